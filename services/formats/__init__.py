"""The forms of a report that other programs read, a file for each: pure functions (`docs/formats.md`)."""
