"""Repositories of packages: asked through one guarded door, believed only by signatures of keys that we trust."""
