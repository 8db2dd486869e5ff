"""Servers of others that run inside an installation of ours, so that one machine needs nothing else."""
