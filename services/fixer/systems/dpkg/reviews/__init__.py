"""Maintainer scripts that somebody has read, by kinds of packages; what Debian 13 has otherwise by itself."""
