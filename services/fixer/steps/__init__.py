"""The steps of a fix, each a file; `services/fixer/fix.py` takes them in their order."""
