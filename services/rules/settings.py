"""Settings of rules."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RulesSettings(BaseSettings):
    """Read from `DRYDOCK_RULES_…`."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_RULES_", frozen=True, extra="forbid")

    max_rules_per_instance: int = Field(default=20_000, ge=1)
    """A rule beyond is refused: an index is held in memory whole."""
    max_indexed_rules: int = Field(default=100_000, ge=1)
    """Rules held in memory, over all instances; those asked for longest ago go first."""
    notifier_seconds: float = Field(default=5.0, gt=0, le=60)
    """Longest time for the notifier to say whether targets exist."""
    seen_event_days: int = Field(default=14, ge=1)
    """How long an image event is known again; longer than the bus keeps it."""
    cleanup_interval_seconds: float = Field(default=600.0, gt=0)
    """How often what is too old is deleted."""
    cleanup_batch: int = Field(default=5_000, ge=1)
    """Rows deleted in one transaction."""
