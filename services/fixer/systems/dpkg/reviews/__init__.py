"""Maintainer scripts that somebody has read, a file for each kind of package."""
