"""Settings of rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.registry.limits import ImageLimits, RetryPolicy, SourceSettings, Timeouts


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
    sync_interval_seconds: float = Field(default=21_600.0, ge=1)
    """From the end of one reconciliation of a synced instance to the beginning of the next: six hours."""
    sync_requests_per_second: float = Field(default=50.0, gt=0, le=10_000)
    """What one reconciliation asks its registry in a second at most; it asks one thing at a time."""
    sync_walks: int = Field(default=4, ge=1, le=64)
    """Registries that one process reconciles at once."""
    sync_lease_seconds: float = Field(default=120.0, ge=3)
    """How long a reconciliation belongs to a process that went silent; no step of it may take longer."""
    sync_repositories: int = Field(default=200_000, ge=1)
    """Repositories that are read of one registry; it is told when there are more."""
    sync_pages: int = Field(default=ImageLimits().pages, ge=1)
    """Pages that one reconciliation reads of a catalogue, and of one repository's tags."""
    sync_tags: int = Field(default=200_000, ge=1)
    """Tags that are read of one repository; one that has more is skipped."""
    sync_turn_seconds: float = Field(default=600.0, ge=1)
    """After so long a reconciliation makes room for those that wait, and waits itself."""
    removal_grace_seconds: float = Field(default=604_800.0, ge=0)
    """From finding a repository deleted until schedules go that name no other one: seven days."""
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
    entitlement_file: Path | None = None
    """Which instances, or how many, may use SECURITY_CENTER (`docs/engines.md`); without one all may."""
    engine_check_seconds: float = Field(default=60.0, ge=1)
    """How often the registry of each instance is asked how it is."""
    engine_pull_seconds: float = Field(default=3600.0, ge=1)
    """How often an image is pulled from it, all but its layers, once that has worked; until then at each check."""
    engine_checks: int = Field(default=8, ge=1, le=256)
    """Registries that one copy of rules asks at once."""
    engine_look_seconds: float = Field(default=10.0, gt=0, le=60)
    """Longest time until a registry answers such a question, and for the pull as much again."""

    @property
    def look(self) -> SourceSettings:
        """The bounds and deadlines of a look at a registry: it comes again, so it need not be patient."""
        seconds = self.engine_look_seconds
        return SourceSettings(
            timeouts=Timeouts(connect_seconds=seconds, idle_seconds=seconds, request_seconds=seconds),
            retry=RetryPolicy(attempts=2),
            token_hosts=self.registry_token_hosts,
        )

    @property
    def walk_source(self) -> SourceSettings:
        """The bounds and deadlines of a walk: what fails is tried again later, so it need not be patient."""
        return SourceSettings(
            timeouts=Timeouts(request_seconds=20.0, idle_seconds=10.0),
            retry=RetryPolicy(attempts=2, longest_seconds=5.0),
            token_hosts=self.registry_token_hosts,
        )

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
