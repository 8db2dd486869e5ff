"""Executables: where in them lies what, and the marks that tell what is in them."""
