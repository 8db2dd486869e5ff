"""Every schema of the database and the package that owns it."""

from __future__ import annotations

SCHEMAS = (
    ("bus", "services.kernel.bus"),
    ("rules", "services.rules"),
    ("scanner", "services.scanner"),
    ("notifier", "services.notifier"),
    ("gateway", "services.gateway"),
)
"""In the order of migration."""
