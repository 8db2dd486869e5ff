"""The demo: one image on its whole way, told as it happens."""
