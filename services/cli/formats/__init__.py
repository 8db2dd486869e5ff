"""The forms of a report: one file for each format that other programs read (`docs/formats.md`)."""
