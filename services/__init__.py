"""Drydock's own code: one package a service, and `kernel` for what at least two of them share."""
