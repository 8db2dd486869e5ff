"""Python: what is installed, and what locks pin."""
