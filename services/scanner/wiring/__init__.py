"""Puts the scanner together: as a server, or for one scan without database and bus."""
