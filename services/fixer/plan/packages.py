"""Packages: those that an image has, those that a repository offers, and what is to become of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from services.fixer.plan.outcome import FindingRef, Refusal


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Which distribution an image is of (os-release(5))."""

    id: str
    """`ID`, as in `debian`."""
    version: str
    """`VERSION_ID`, as in `12`; empty of those that have none."""
    codename: str = ""
    """`VERSION_CODENAME`, as in `bookworm`."""
    likes: tuple[str, ...] = ()
    """`ID_LIKE`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRef:
    """One repository, as the image's sources or the operator's configuration name it."""

    address: str
    """`http://` or `https://`, without user or password; no trailing slash."""
    suite: str = ""
    """Of apt: `bookworm-security`. Empty for those that have an address for each."""
    components: tuple[str, ...] = ()
    """Of apt: `main`."""
    name: str = ""
    """Of dnf: the section's name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPackage:
    """A package as the image's own database has it."""

    name: str
    version: str
    """As the database writes it, epoch included."""
    architecture: str
    source: str
    """Name of the source package; equal to `name` where the database tells of no other."""
    source_version: str
    held: bool = False
    path: str = ""
    """File of the database, relative to the root: distroless images have one for each package."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a fix has to know of an image before it asks any repository."""

    system: str
    """Name of the package system: `dpkg`, `apk`, `rpm`."""
    release: Release
    architecture: str
    """In the system's own words: `amd64`, `x86_64`."""
    packages: tuple[InstalledPackage, ...]
    """Sorted by name and architecture."""
    repositories: tuple[RepositoryRef, ...]
    """Those that the image names and that are switched on."""
    database: bytes = b""
    """What the system itself needs of the database for planning, such as dependencies; in a form of its own."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A package as a verified index offers it."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    url: str
    size: int
    sha256: str
    """Hexadecimal. Empty where the index has other hashes: then `checksum` says which."""
    checksum: str = ""
    """`ALGORITHM:HEX`, for indexes without SHA-256."""
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What the system needs of the record for planning: dependencies and the like, as the index writes them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """One package that is to be replaced by a newer one."""

    installed: InstalledPackage
    candidate: Candidate
    because: tuple[FindingRef, ...]
    """Empty of a sibling that only goes along, because its source's packages move together."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SystemPlan:
    """What is to become of one platform's image."""

    upgrades: tuple[Upgrade, ...]
    """Sorted by name and architecture."""
    refusals: tuple[Refusal, ...]
    """Sorted by the finding's id and package; with the reasons of `upgrades` every finding asked for, once."""
