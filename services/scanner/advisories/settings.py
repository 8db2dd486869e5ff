"""Where advisories come from, how far they are trusted, and the bounds of fetching them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_OSV = "https://osv-vulnerabilities.storage.googleapis.com"
_ECOSYSTEMS = (
    "AlmaLinux",
    "Alpine",
    "Bitnami",
    "Chainguard",
    "Debian",
    "Go",
    "Mageia",
    "Maven",
    "NuGet",
    "Packagist",
    "PyPI",
    "Red Hat",
    "Rocky Linux",
    "RubyGems",
    "SUSE",
    "Ubuntu",
    "Wolfi",
    "crates.io",
    "npm",
    "openEuler",
    "openSUSE",
)
"""Those that are read and that OSV publishes by themselves (osv.dev, "Data dumps")."""


class AdvisorySettings(BaseSettings):
    """Read from `DRYDOCK_ADVISORY_…`."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_ADVISORY_", frozen=True, extra="forbid")

    sources: Annotated[tuple[str, ...], NoDecode] = tuple(
        f"{_OSV}/{quote(ecosystem)}/all.zip" for ecosystem in _ECOSYSTEMS
    )
    """What `update` fetches; in the environment separated by commas or white space."""
    max_age_days: float = Field(default=7.0, gt=0)
    """A family of advisories, as Debian's, whose youngest fact is older still serves, but reports say so and no
    verdict rests on it."""
    connect_timeout_seconds: float = Field(default=10.0, gt=0)
    read_timeout_seconds: float = Field(default=30.0, gt=0)
    """Between two pieces of an answer."""
    download_timeout_seconds: float = Field(default=900.0, gt=0)
    """For one source, from beginning to end."""
    download_max_bytes: int = Field(default=4 << 30, gt=0)
    """For one source."""

    trivy_writer: Path | None = None
    """The program that writes Trivy's database; without it, `trivy-advisories` on PATH or of `make trivy`."""

    @property
    def max_age(self) -> timedelta:
        """`max_age_days` as a duration."""
        return timedelta(days=self.max_age_days)

    @field_validator("sources", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value
