"""Debian's packages: replaced in an image as dpkg would, without running anything of it."""
