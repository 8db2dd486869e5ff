"""Settings that every process has; environment variables begin with DRYDOCK_."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kernel.data_dir import DEFAULT_DATA_DIR
from services.kernel.environment import ELSEWHERE, settings_in
from services.kernel.errors import ServiceError, invalid

EMBEDDED = "embedded"
"""The value of `kafka` that asks for a broker of our own."""


class KernelSettings(BaseSettings):
    """What an operator may say of the installation."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_", frozen=True, extra="forbid")

    data_dir: Path = Field(default_factory=DEFAULT_DATA_DIR.expanduser)
    """Holds the embedded database, the advisory file, the layer spool and the keys."""
    database_url: str = Field(default="", repr=False)
    """`postgresql://…`; the embedded database when empty. May hold a password: never printed."""
    database_url_file: Path | None = None
    """File that holds the URL, in place of `database_url`."""
    secret_key: SecretStr = SecretStr("")
    """64 hex characters that secrets at rest are encrypted with; a file in the data folder when empty."""
    secret_key_file: Path | None = None
    """File that holds the key, in place of `secret_key`."""
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
        servers = [server.strip() for server in value.split(",")] if value not in ("", EMBEDDED) else []
        for server in servers:
            host, _, port = server.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
                raise ValueError("it is HOST:PORT, several with commas between, or embedded")
        return value

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, said: Any) -> Any:  # whatever was said, before pydantic looks at it
        return with_files(said, "database_url", "secret_key", prefix="DRYDOCK_")


def with_files(said: dict[str, Any], *names: str, prefix: str) -> dict[str, Any]:
    """Returns what was said, with the secrets in it that a `<name>_file` names: mounted secrets are files.

    Raises:
        ServiceError: INVALID_SETTING naming the variable: the file cannot be read, or the secret was given twice.
    """
    read: dict[str, Any] = {}
    for name in names:
        path = said.get(f"{name}_file")
        if not path:
            continue
        variable = f"{prefix}{name}_file".upper()
        if said.get(name):
            raise invalid(
                "INVALID_SETTING",
                f"{variable} and {variable.removesuffix('_FILE')} are both set.",
                field=variable,
                hint="Set one of them.",
            )
        try:
            read[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise invalid(
                "INVALID_SETTING",
                f"The file {path} of {variable} cannot be read: {why}.",
                field=variable,
                hint="Check its path, owner and mode.",
            ) from error
        if not read[name]:
            raise invalid(
                "INVALID_SETTING",
                f"The file {path} of {variable} is empty.",
                field=variable,
                hint="Write the secret into it, or unset the variable.",
            )
    return {**said, **read}


def refuse_unknown(environment: Iterable[str], classes: Sequence[type[BaseSettings]]) -> None:
    """Refuses variables that begin with DRYDOCK_ and mean nothing: a misspelt setting must not pass for a default.

    Raises:
        ServiceError: UNKNOWN_SETTING naming the first one and what was probably meant; never a value.
    """
    known = {
        f"{cls.model_config.get('env_prefix', '')}{field}".upper() for cls in classes for field in cls.model_fields
    }
    for name in sorted(settings_in(environment)):
        if name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known | ELSEWHERE, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Unset it."
            raise invalid("UNKNOWN_SETTING", f"There is no setting {name}.", field=name, hint=hint)


def invalid_setting(error: ValidationError, *, prefix: str = "") -> ServiceError:
    """The INVALID_SETTING of the first thing wrong; with the `prefix` of its class it is named as a variable."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    name = f"{prefix}{name}".upper() if prefix else name
    return invalid(
        "INVALID_SETTING",
        f"The setting {name} is wrong: {first['msg']}.",
        field=name,
        hint="Give another value, or none for the default.",
    )
