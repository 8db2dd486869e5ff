"""Fixer: makes a repaired image of one that was scanned, by packages of its own distribution, and proves it."""
