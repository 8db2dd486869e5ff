"""Settings of the fixer; environment variables begin with DRYDOCK_FIXER_."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kernel.egress import parse_networks, parse_ports


class FixerSettings(BaseSettings):
    """What an operator may change."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_FIXER_", frozen=True, extra="forbid")

    concurrent_fixes: int = Field(default=2, ge=1, le=64)
    """Fixes that one process works on at once."""
    concurrent_per_instance: int = Field(default=4, ge=1, le=256)
    """Fixes under way of images of one instance, over all processes: its registry has other callers, too."""
    concurrent_previews: int = Field(default=2, ge=1, le=64)
    """Previews that one process makes at once; whoever comes then is told to try again."""
    open_per_instance: int = Field(default=500, ge=1)
    """Fixes of one instance that may wait or be under way; more are refused."""
    preview_seconds: float = Field(default=300.0, ge=1)
    """Longest time for a preview."""
    fix_seconds: float = Field(default=3600.0, gt=0)
    """Longest time for one attempt, the scan of the fixed image included."""
    lease_seconds: float = Field(default=30.0, ge=1)
    """How long a silent worker counts as alive."""
    attempts: int = Field(default=4, ge=1, le=50)
    """How often a fix is begun before it fails for good."""
    patience_seconds: float = Field(default=21_600.0, ge=0)
    """Age of a fix up to which attempts do not count for which another service of ours was away."""
    retry_first_seconds: float = Field(default=5.0, ge=0)
    """First pause before another attempt; it doubles from attempt to attempt."""
    retry_longest_seconds: float = Field(default=300.0, ge=0)
    """Longest pause before another attempt, also when a repository or a registry asks for more."""
    task_days: int = Field(default=90, ge=1)
    """How long a task is kept after its end. Until then it can be reverted."""
    cleanup_interval_seconds: float = Field(default=3600.0, gt=0)
    """How often what is too old is deleted."""
    cleanup_batch: int = Field(default=1_000, ge=1)
    """Rows deleted in one transaction."""
    allowed_networks: str = "127.0.0.0/8,::1/128"
    """Where package repositories may be besides public addresses, with commas between: this machine by default."""
    allowed_ports: str = ""
    """Ports that package repositories may have besides those that any may have, with commas between."""
    repositories_file: Path | None = None
    """Which repositories packages come from; `repositories.toml` of the data directory when not set. For a
    distribution that it does not name, those that the image itself names."""
    keyrings_dir: Path | None = None
    """Keys that sign indexes, a folder for each distribution, besides those that come with Drydock; `keyrings` of
    the data directory when not set. An image's own are never believed."""
    image_bytes: int = Field(default=20 << 30, ge=1 << 20)
    """Stored bytes of the layers of an image that is fixed; they lie on disk meanwhile."""
    step_seconds: float = Field(default=900.0, ge=10)
    """Longest time for one step in a worker process: reading an image, or building its layer."""
    worker_bytes: int = Field(default=2 << 30, ge=256 << 20)
    """Address space of one worker process."""
    packages_cache_bytes: int = Field(default=4 << 30, ge=1 << 20)
    """Disk that fetched packages may take below the data folder."""

    @field_validator("allowed_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @field_validator("allowed_ports")
    @classmethod
    def _are_ports(cls, value: str) -> str:
        parse_ports(value)
        return value
