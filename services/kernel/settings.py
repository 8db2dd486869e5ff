"""Settings that every process has; environment variables begin with DRYDOCK_."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_data_dir() -> Path:
    """Returns `~/.local/share/drydock`."""
    return Path.home() / ".local" / "share" / "drydock"


class KernelSettings(BaseSettings):
    """What an operator may say of the installation."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_", frozen=True, extra="forbid")

    data_dir: Path = Field(default_factory=default_data_dir)
    """Holds the embedded database, the advisory file, the layer spool and the keys."""
    database_url: str = Field(default="", repr=False)
    """`postgresql://…`; the embedded database when empty. May hold a password: never printed."""
    secret_key: SecretStr = SecretStr("")
    """64 hex characters that secrets at rest are encrypted with; a file in the data folder when empty."""
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """Least level that is logged."""
    drain_seconds: float = Field(default=20.0, ge=0)
    """How long work in hand may go on after the signal to stop."""
    bus_retention_days: int = Field(default=7, ge=1)
    """How long messages of the PostgreSQL bus are kept."""
