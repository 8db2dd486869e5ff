"""What a scan finds: packages, and what is wrong with them."""

from __future__ import annotations

import enum

import msgspec

from services.kernel.model.severity import Severity


class FindingKind(enum.Enum):
    """The four kinds of finding."""

    SYSTEM_VULNERABILITY = "SYSTEM_VULNERABILITY"
    APPLICATION_VULNERABILITY = "APPLICATION_VULNERABILITY"
    BASELINE_RISK = "BASELINE_RISK"
    MALICIOUS_SAMPLE = "MALICIOUS_SAMPLE"


class FixState(enum.Enum):
    """Whether a newer version helps."""

    FIXED = "fixed"
    AFFECTED = "affected"
    END_OF_LIFE = "end_of_life"


class SourcePackage(msgspec.Struct, frozen=True, kw_only=True):
    """The source that an operating system's binary package was built from."""

    name: str
    version: str


class Package(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A package as installed in an image."""

    purl: str
    """Package URL with the qualifiers that its type asks for (`arch`, `distro`)."""
    name: str
    version: str
    ecosystem: str
    """OSV's word with its release, as in `Debian:12`; empty where OSV has none for the distribution."""
    path: str
    """File that says so, absolute, as in `/var/lib/dpkg/status`."""
    layer: str
    """Digest of the layer whose file gave this version first."""
    source: SourcePackage | None = None
    arch: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with an image, and exactly where."""

    kind: FindingKind
    id: str
    """CVE id where there is one, else the advisory's own id."""
    aliases: tuple[str, ...]
    """Other ids of the same thing, the advisory's own among them; sorted, without `id`."""
    severity: Severity
    score: float | None
    """CVSS base score, 0.0 to 10.0; None where nobody gave one."""
    title: str
    link: str
    package: Package
    fixed_version: str
    """First version without it; empty where there is none."""
    path: str
    layer: str
    fix_state: FixState

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes a finding one: id, package, version, path."""
        return (self.id, self.package.name, self.package.version, self.path)
