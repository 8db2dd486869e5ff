"""What a cataloger is: it names the files it wants and turns one file's bytes into packages."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

import msgspec

from services.kernel.model.finding import SourcePackage
from services.kernel.model.report import ReportWarning
from services.scanner.inspectors.interface import Sighting
from services.scanner.reading.executables.interface import Mark, Program


class PackageFormat(enum.Enum):
    """Whose package it is, in purl's word; the ecosystem follows, for an OS package with the distribution."""

    DEB = "deb"
    APK = "apk"
    RPM = "rpm"
    PYPI = "pypi"
    CONDA = "conda"
    NPM = "npm"
    MAVEN = "maven"
    GO = "golang"
    CARGO = "cargo"
    GEM = "gem"
    COMPOSER = "composer"
    NUGET = "nuget"
    BITNAMI = "bitnami"


class FoundPackage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A package as one file of one layer tells it."""

    format: PackageFormat
    name: str
    version: str
    """Empty where nothing tells it: the package is listed, and judged only by whether advisories speak of it."""
    arch: str = ""
    source: SourcePackage | None = None
    module: str = ""
    """Module and stream, as in `nodejs:16`, that a modular rpm is of; empty for all others."""
    vendor: str = ""
    """Who built it, where the record says so; fit to be shown."""
    inner: str = ""
    """Where in the file it is, as in `WEB-INF/lib/y.jar`, if the file is an archive of several."""
    guessed: bool = False
    """Whether nothing tells its whole name for certain: advisories may know it by another one."""


class OwnedFile(msgspec.Struct, frozen=True, array_like=True):
    """A record of a language's package that a package of the system brought (`catalogers.ownership`)."""

    path: str
    """As the system's database names it, without a leading slash."""
    owner: str
    """Name of the system's package."""


class Distribution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an os-release file says (os-release(5))."""

    id: str
    """Lower case, as in `debian`; `linux` where the file gives none."""
    version_id: str = ""
    codename: str = ""
    like: tuple[str, ...] = ()
    pretty_name: str = ""
    channels: tuple[str, ...] = ()
    """Where packages come from beside the main repositories, as other files say: content sets of Red Hat,
    `esm-infra` and `esm-apps` of Ubuntu Pro. Sorted."""

    @property
    def has_pro(self) -> bool:
        """Tells whether fixes of Ubuntu Pro reach the image."""
        return any(channel.startswith("esm") for channel in self.channels)

    @property
    def is_stream(self) -> bool:
        """Tells whether it is CentOS Stream, which runs ahead of Red Hat and has the id of what followed it."""
        return self.id == "centos" and "stream" in self.pretty_name.lower()


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one cataloger read out of one file."""

    path: str
    """Inside the layer, without a leading slash, normalised."""
    cataloger: str
    """Name of the cataloger."""
    packages: tuple[FoundPackage, ...] = ()
    distribution: Distribution | None = None
    channels: tuple[str, ...] = ()
    """What the file adds to the distribution's own."""
    warnings: tuple[ReportWarning, ...] = ()
    unread: str = ""
    """The ecosystem that the file tells packages of, in OSV's word where it has one, when nobody reads them."""
    sightings: tuple[Sighting, ...] = ()
    """What rules saw in the file's content."""
    moot_beside: str = ""
    """What tells of the same packages, a record or a folder of such: where it lies beside the file, `unread` says
    nothing."""
    pinned: bool = False
    """Whether the packages are what was to be installed, not what is: `pipeline.pinned` says when they count."""
    owned: tuple[OwnedFile, ...] = ()
    """What packages of the system brought."""


class Reads(enum.Enum):
    """What of a file a cataloger goes by."""

    CONTENT = enum.auto()
    """All bytes of a file that it wants by name."""
    NAME = enum.auto()
    """The name alone: `read` is given no bytes."""
    MARK = enum.auto()
    """A mark inside an executable of any name: `read` is given what the mark leads to, no bytes where that could
    not be had."""


class Hints(NamedTuple):
    """What the paths that a cataloger wants have in common; each has one of these at least."""

    names: Iterable[str] = ()
    """Last parts."""
    ends: Iterable[str] = ()
    """What follows the last dot, in lower case."""
    folders: Iterable[str] = ()
    """Beginnings."""


class Cataloger(ABC):
    """Reads one format. Stateless; runs in a worker process on hostile bytes; never raises on bad content.

    What cannot be read becomes a warning that names the file, and what could be read is still returned.
    """

    name: ClassVar[str]
    """Short and stable, as in `dpkg`."""
    version: ClassVar[int]
    """Raised whenever the same bytes would give another result: stored layer analyses are then made anew."""
    reads: ClassVar[Reads] = Reads.CONTENT
    hints: ClassVar[Hints | None] = None
    """Spares it being asked for every path; None where it wants to be."""
    max_bytes: ClassVar[int] = 0
    """Files above this are not read; a warning says so. Without meaning where content is not read."""
    mark: ClassVar[Mark | None] = None
    """What to look for in executables, where that is what it goes by."""

    @abstractmethod
    def wants(self, path: str) -> bool:
        """Tells by path alone (no leading slash, normalised) whether it is evidence. Has to be fast.

        Where a mark makes the evidence, any name does.
        """

    def counts(self, path: str) -> bool:
        """Tells by path alone whether a file of that name is evidence, once all links are known.

        It is what `wants` says, unless a file is worth reading for a name that only a link may give it.
        """
        return self.wants(path)

    def holds(self, path: str) -> bool:
        """Tells by path alone whether a folder there is one of evidence: a link in its place may hide some.

        What lies where the link leads has other names, by which nobody wanted it when its layer was read.
        """
        return False

    def follow(self, program: Program, at: int) -> bytes | None:
        """Returns what the mark at an offset leads to; None where that is not held, or the mark is none.

        Asked again as more of the file passes, until it answers.
        """
        return None

    @abstractmethod
    def read(self, path: str, content: bytes) -> Evidence:
        """Reads one file that `wants` accepted."""


def versions_key(catalogers: Sequence[Cataloger], walker_version: int) -> str:
    """Names the set of analysers that made a layer analysis; equal keys mean interchangeable analyses."""
    parts = sorted(f"{c.name}={c.version}" for c in catalogers)
    return ";".join((f"walker={walker_version}", *parts))
