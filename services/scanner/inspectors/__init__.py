"""Inspectors: rules over what files and image configurations hold, for baseline risks and malicious samples."""
