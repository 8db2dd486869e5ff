"""Every schema of the database and the package that owns it."""

from __future__ import annotations

from services.kernel.bus.open import needs_schema
from services.kernel.settings import KernelSettings

Schema = tuple[str, str]
"""Name and package."""

SCHEMAS: tuple[Schema, ...] = (
    ("bus", "services.kernel.bus"),
    ("rules", "services.rules"),
    ("scanner", "services.scanner"),
    ("fixer", "services.fixer"),
    ("notifier", "services.notifier"),
    ("gateway", "services.gateway"),
)
"""In the order of migration."""


def schemas_needed(settings: KernelSettings) -> tuple[Schema, ...]:
    """Returns the schemas of an installation with these settings: over Kafka, there is no bus in the database."""
    return tuple(schema for schema in SCHEMAS if schema[0] != "bus" or needs_schema(settings))
