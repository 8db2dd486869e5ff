"""Runs: a saved rule is held against what its registry has now, and every matching tag is asked for."""
