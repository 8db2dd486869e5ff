"""What a scan finds: packages, and what is wrong with them."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import msgspec

from services.kernel.model.severity import Severity


class FindingKind(enum.Enum):
    """The four kinds of finding."""

    SYSTEM_VULNERABILITY = "SYSTEM_VULNERABILITY"
    APPLICATION_VULNERABILITY = "APPLICATION_VULNERABILITY"
    BASELINE_RISK = "BASELINE_RISK"
    MALICIOUS_SAMPLE = "MALICIOUS_SAMPLE"


VULNERABILITIES: Final = frozenset({FindingKind.SYSTEM_VULNERABILITY, FindingKind.APPLICATION_VULNERABILITY})
"""Found by packages and advisories."""
CONTENT_KINDS: Final = frozenset({FindingKind.BASELINE_RISK, FindingKind.MALICIOUS_SAMPLE})
"""Found by rules, in what files hold."""


class FixState(enum.Enum):
    """Whether a newer version helps."""

    FIXED = "fixed"
    AFFECTED = "affected"
    END_OF_LIFE = "end_of_life"


class SourcePackage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The source that an operating system's binary package was built from."""

    name: str
    version: str


class Package(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A package as installed in an image."""

    purl: str
    """Package URL with the qualifiers that its type asks for (`arch`, `distro`)."""
    name: str
    version: str
    ecosystem: str
    """OSV's word with its release, as in `Debian:12`; empty where OSV has none for the distribution."""
    path: str
    """File that says so, absolute, as in `/var/lib/dpkg/status`; empty where TRIVY does not tell."""
    layer: str
    """Digest of the layer whose file gave this version first; empty where TRIVY does not tell."""
    source: SourcePackage | None = None
    arch: str = ""
    module: str = ""
    """Module and stream of a modular rpm, as in `nodejs:16`; empty for all others."""
    owner: str = ""
    """Name of the system's package that brought the file; where advisories speak of it, it alone is judged."""


class Disagreement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What engines that looked at the same image do not agree on."""

    about: str
    """`severity`, `version` (of the package) or `fixed_version`."""
    said: dict[str, str]
    """What each engine says, by its name; empty for what it does not know."""


class FindingKey(NamedTuple):
    """What makes a finding one; also the order among equally severe ones."""

    id: str
    package: str
    version: str
    path: str
    match: str
    sha256: str


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One thing that is wrong with an image, and exactly where."""

    kind: FindingKind
    id: str
    """CVE id where there is one, else the advisory's own id; of what was found in content, the rule's."""
    aliases: tuple[str, ...]
    """Other ids of the same thing, the advisory's own among them; sorted, without `id`."""
    severity: Severity
    score: float | None
    """CVSS base score, 0.0 to 10.0; None where nobody gave one."""
    title: str
    link: str
    package: Package | None
    """What has the vulnerability; None for what was found in content."""
    fixed_version: str
    """First version without it; empty where there is none."""
    path: str
    """File, absolute; a member of an archive follows after `!`; of the image's configuration `config:` and a JSON
    pointer, as in `config:/config/Env/2`."""
    layer: str
    """Digest of the layer that brought it; empty where only the image's configuration, or no layer, is told."""
    fix_state: FixState
    """`AFFECTED` for what was found in content: no version mends it."""
    advice: str = ""
    """What to do about it; of what was found in content."""
    match: str = ""
    """What was seen, with every secret masked."""
    line: int = 0
    """Line of the file, from 1; 0 where there is none."""
    sha256: str = ""
    """Of a malicious sample: the file's hash, in hexadecimal digits."""
    md5: str = ""
    """The same by the hash that older lists of samples go by."""
    deleted: bool = False
    """Whether a later layer takes the file away: whoever has the image has the layer, and so the file."""
    engines: tuple[str, ...] = ()
    """Who says so, where several were asked; sorted."""
    disagreements: tuple[Disagreement, ...] = ()
    """What they do not agree on; the finding itself has the worse severity."""

    @property
    def key(self) -> FindingKey:
        """What makes a finding one."""
        name, version = (self.package.name, self.package.version) if self.package else ("", "")
        return FindingKey(self.id, name, version, self.path, self.match, self.sha256)
