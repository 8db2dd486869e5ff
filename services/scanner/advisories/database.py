"""The compiled file: one LMDB environment, mapped read-only, shared by every process of the machine.

Its keys are packages (`package_key`), its values MessagePack lists of `merge.Vulnerability`; one more key holds
the `Meta`, and one the ids of withdrawn records. Nothing in an open file ever changes: a newer one has another
name.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self

import lmdb
import msgspec

from services.kernel.errors import Kind, ServiceError
from services.scanner.advisories.environments import MappedFile
from services.scanner.advisories.merge import Vulnerability

FORMAT: Final = 3
"""Raised whenever older code could misread the file, or newer code would find less in an older one."""

META_KEY: Final = b"\0meta"
WITHDRAWN_KEY: Final = b"\0withdrawn"
_OWN: Final = b"\0"
"""What the keys begin with that are no package's."""
_MAX_KEY: Final = 400
"""Bytes; LMDB itself allows 511."""
_MAX_ECOSYSTEM: Final = 60
"""Characters of an ecosystem's name in the key of an overlong name: its family is among them."""
_REMEMBERED: Final = 4_096
"""Packages whose vulnerabilities stay decoded."""


class SourceMeta(msgspec.Struct, frozen=True, kw_only=True):
    """A source that went into the file."""

    name: str
    records: int
    newest: str
    """The latest `modified` of its records, RFC 3339, UTC; empty when none tells. What lies after the import is
    not counted: sources have records of next year, and one of them would keep old facts young for ever."""


class _Form(msgspec.Struct, frozen=True):
    """What every format of the `Meta` has."""

    format: int


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What the file is."""

    format: int
    version: str
    """Date and content hash: `20260102-0123456789ab`."""
    built_at: datetime
    """When it was imported, whatever the age of its facts; for the sample, the day of its youngest fact."""
    sample: bool
    """True for the small snapshot that ships with Drydock."""
    records: int
    packages: int
    ecosystems: dict[str, int]
    """Records for each ecosystem with its release, as in `Debian:12`; only what can be matched."""
    families: dict[str, datetime | None]
    """The moment of the youngest fact of each family in `ecosystems`, as in `Debian`; never after `built_at`, None
    when nothing tells. A source that is quiet is as young as its server says that it is."""
    left_out: dict[str, int]
    """Why records or parts of them claim nothing: `withdrawn`, `informational`, `no_versions` and the like."""
    sources: tuple[SourceMeta, ...]

    @property
    def facts_at(self) -> datetime | None:
        """The moment of its youngest fact, of all families; never after `built_at`. None when nothing tells."""
        return max((moment for moment in self.families.values() if moment is not None), default=None)

    def stale_families(self, now: datetime, max_age: timedelta) -> tuple[str, ...]:
        """The families whose youngest fact is older than `max_age`, or of an age that nobody knows; sorted.

        Each counts for itself: a young Debian says nothing about an Alpine of last year.
        """
        return tuple(
            family for family, moment in sorted(self.families.items()) if moment is None or now - moment > max_age
        )

    def is_stale(self, now: datetime, max_age: timedelta) -> bool:
        """Tells whether any family is stale, or none is there that could be young."""
        return not self.families or bool(self.stale_families(now, max_age))


def facts_of(
    moments: Mapping[str, datetime | None], families: Collection[str], otherwise: datetime | None
) -> datetime | None:
    """Returns the moment up to which all of some families are known: the earliest of theirs, None if one has none.

    `otherwise` is returned where none of the families is there.
    """
    known = [moment for family, moment in moments.items() if family in families]
    dated = [moment for moment in known if moment is not None]
    return min(dated, default=otherwise) if len(dated) == len(known) else None


class KnownPackage(NamedTuple):
    """A package, and what is known about it."""

    ecosystem: str
    name: str
    vulnerabilities: tuple[Vulnerability, ...]


class AdvisoryDatabase(Protocol):
    """What matching needs of advisories."""

    @property
    def meta(self) -> Meta:
        """What it is, and which ecosystems it knows."""
        ...

    def vulnerabilities(self, ecosystem: str, name: str) -> tuple[Vulnerability, ...]:
        """Everything known about a package, in the order that `merge` gives."""
        ...


class Database:
    """An open file. Safe to share between threads; close it when the last reader is done."""

    def __init__(self, path: Path) -> None:
        """Maps the file.

        Raises:
            ServiceError: ADVISORIES_UNREADABLE.
        """
        self.path = path
        try:
            self._mapping = MappedFile(path)
        except lmdb.Error as error:
            raise _unreadable(path, "it is damaged or no advisory file") from error
        self._environment = self._mapping.environment
        try:
            self._meta = self._read_meta()
        except ServiceError:
            self._mapping.close()
            raise
        self._decoder = msgspec.msgpack.Decoder(tuple[Vulnerability, ...])
        self._remembered: OrderedDict[bytes, tuple[Vulnerability, ...]] = OrderedDict()

    @property
    def meta(self) -> Meta:
        """What the file is, and which ecosystems it knows."""
        return self._meta

    def vulnerabilities(self, ecosystem: str, name: str) -> tuple[Vulnerability, ...]:
        """Everything known about a package, in the order that `merge` gives; empty when nothing is."""
        key = package_key(ecosystem, name)
        known = self._remembered.get(key)
        if known is None:
            with self._environment.begin(buffers=True) as transaction:
                content = transaction.get(key)
                known = self._decoder.decode(content) if content is not None else ()
            self._remembered[key] = known
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return known

    def withdrawn(self) -> frozenset[str]:
        """Ids of records that say of themselves that they were withdrawn; none of a file of an older release."""
        with self._environment.begin() as transaction:
            content = transaction.get(WITHDRAWN_KEY)
        return msgspec.msgpack.decode(content, type=frozenset[str]) if content is not None else frozenset()

    def packages(self) -> Iterator[KnownPackage]:
        """Gives every package and all that is known about it, sorted by ecosystem and name.

        A name too long for a key is not in the file: its package has the hash in place of it.
        """
        with self._environment.begin(buffers=True) as transaction:
            for key, content in transaction.cursor():
                if bytes(key[:1]) == _OWN:
                    continue
                ecosystem, _, name = bytes(key[:-1]).decode().partition("\0")
                yield KnownPackage(ecosystem, name, self._decoder.decode(content))

    def _read_meta(self) -> Meta:
        try:
            with self._environment.begin() as transaction:
                content = transaction.get(META_KEY)
            form = msgspec.msgpack.decode(content or b"", type=_Form).format
            if form != FORMAT:
                raise _unreadable(self.path, f"it has format {form}, this version of Drydock reads {FORMAT}")
            return msgspec.msgpack.decode(content or b"", type=Meta)
        except (lmdb.Error, msgspec.MsgspecError) as error:
            raise _unreadable(self.path, "it is damaged or no advisory file") from error

    def close(self) -> None:
        """Unmaps the file, unless others in this process read it; idempotent."""
        self._mapping.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def package_key(ecosystem: str, name: str) -> bytes:
    """The key of a package; overlong names are hashed."""
    key = f"{ecosystem}\0{name}".encode()
    if len(key) > _MAX_KEY:
        key = ecosystem[:_MAX_ECOSYSTEM].encode() + b"\0#" + hashlib.sha256(key).hexdigest().encode()
    return key + b"\0"


def _unreadable(path: Path, what: str) -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "ADVISORIES_UNREADABLE",
        f"The advisory file {path.name} cannot be used: {what}.",
        hint="Run `drydock advisories update` or `drydock advisories import` again.",
    )
