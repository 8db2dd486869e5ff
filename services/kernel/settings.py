"""Settings that every process has; environment variables begin with DRYDOCK_."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kernel.errors import ServiceError, invalid


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
    kafka: str = Field(default="", max_length=4096)
    """Brokers that are the bus, `HOST:PORT` with commas between; `embedded` for one of our own; PostgreSQL is the
    bus when empty."""
    bus_retention_days: int = Field(default=7, ge=1)
    """How long messages are kept: in PostgreSQL, and in topics that we make in Kafka."""

    @field_validator("kafka")
    @classmethod
    def _is_list_of_servers(cls, value: str) -> str:
        servers = [server.strip() for server in value.split(",")] if value not in ("", "embedded") else []
        for server in servers:
            host, _, port = server.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
                raise ValueError("it is HOST:PORT, several with commas between, or embedded")
        return value


ELSEWHERE = frozenset({"DRYDOCK_SERVER", "DRYDOCK_TOKEN", "DRYDOCK_OSV_DIR", "DRYDOCK_SHARED"})
"""Variables of the client's side and of the tests, which no settings class has."""


def refuse_unknown(environment: Iterable[str], classes: Sequence[type[BaseSettings]]) -> None:
    """Refuses variables that begin with DRYDOCK_ and mean nothing: a misspelt setting must not pass for a default.

    Raises:
        ServiceError: UNKNOWN_SETTING naming the first one and what was probably meant; never a value.
    """
    known = ELSEWHERE | {
        f"{cls.model_config.get('env_prefix', '')}{field}".upper() for cls in classes for field in cls.model_fields
    }
    for name in sorted(environment):
        if name.upper().startswith("DRYDOCK_") and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Unset it."
            raise invalid("UNKNOWN_SETTING", f"There is no setting {name}.", field=name, hint=hint)


def invalid_setting(error: ValidationError, *, prefix: str = "") -> ServiceError:
    """The INVALID_SETTING of the first thing wrong; with the `prefix` of its class it is named as a variable."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    name = f"{prefix}{name}".upper() if prefix else name
    return invalid("INVALID_SETTING", f"The setting {name} is wrong: {first['msg']}.", field=name)
