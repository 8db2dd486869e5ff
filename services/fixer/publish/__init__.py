"""Bringing a fixed image to its registry: which tag it gets, what that tag may hold, and how it is put back."""
