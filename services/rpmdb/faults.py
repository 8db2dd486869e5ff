"""What makes a database, or a part of it, unreadable."""

from __future__ import annotations


class Damaged(ValueError):
    """Bytes that are not what the format says; its text ends a sentence that began with the record."""
