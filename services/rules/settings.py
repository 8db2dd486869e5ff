"""Settings of rules."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.registry.limits import SourceSettings, Timeouts


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
    run_days: int = Field(default=30, ge=1)
    """How long a run is kept after its beginning, once it has ended."""
    concurrent_runs: int = Field(default=2, ge=1, le=64)
    """Runs that one process asks registries for at once; the scans of a run are the scanner's."""
    run_questions: int = Field(default=8, ge=1, le=64)
    """What one run, or a preview, asks its registry at the same time."""
    run_lease_seconds: float = Field(default=30.0, ge=3)
    """How long a silent process keeps a run; heartbeats come three times as often."""
    run_attempts: int = Field(default=10, ge=1, le=100)
    """How often in a row a registry may fail a run before it ends."""
    run_retry_first_seconds: float = Field(default=5.0, ge=0)
    """First pause before another attempt; it doubles from attempt to attempt."""
    run_retry_longest_seconds: float = Field(default=300.0, ge=0)
    """Longest pause before another attempt, also when a registry asks for more."""
    max_run_images: int = Field(default=200_000, ge=1)
    """Tags that one run may match."""
    preview_seconds: float = Field(default=15.0, gt=0, le=60)
    """Longest time for a preview; it then tells what it has counted."""
    registry_request_seconds: float = Field(default=Timeouts().request_seconds, gt=0)
    """Longest time for one page of a registry's tags or repositories."""
    registry_token_hosts: Annotated[frozenset[str], NoDecode] = frozenset()
    """Token servers on other hosts that may see a registry's credentials; separated by commas or white space."""
    cleanup_interval_seconds: float = Field(default=600.0, gt=0)
    """How often what is too old is deleted."""
    cleanup_batch: int = Field(default=5_000, ge=1)
    """Rows deleted in one transaction."""

    @property
    def source(self) -> SourceSettings:
        """The bounds and deadlines for asking registries."""
        return SourceSettings(
            timeouts=Timeouts(request_seconds=self.registry_request_seconds), token_hosts=self.registry_token_hosts
        )

    @field_validator("registry_token_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return frozenset(value.lower().replace(",", " ").split()) if isinstance(value, str) else value
