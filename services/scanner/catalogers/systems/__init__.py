"""Packages of distributions, and what a distribution says of itself."""
