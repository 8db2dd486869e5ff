"""Trivy's databases: whether they are there, of when they are, and what they speak of.

A cache folder of Trivy's holds `db` (vulnerabilities) and `java-db` (which jar is what), each a file with a
`metadata.json` beside it (aquasecurity/trivy-db, pkg/metadata). Beside one that
`drydock advisories export --format trivy-db` wrote, `drydock.json` tells which of our advisories it was made of.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from services.kernel.reasons import Reason, ScanFailure
from services.scanner.advisories.ecosystems import family
from services.scanner.trivy.bolt import is_whole

SCHEMA: Final = 2
"""Of trivy-db, which every Trivy since 0.23 wants."""
_OURS: Final = "drydock.json"
_METADATA: Final = "metadata.json"
_MAX_BYTES: Final = 1 << 20
_HINT: Final = (
    "Make one with `drydock advisories export --format trivy-db FOLDER`, or with "
    "`trivy image --download-db-only --cache-dir FOLDER`, and name the folder in DRYDOCK_TRIVY_DATABASES."
)

T = TypeVar("T")


class _Metadata(msgspec.Struct, rename="pascal"):
    version: int
    updated_at: datetime | None = None


class _Ours(msgspec.Struct):
    version: str
    built_at: datetime
    sample: bool
    ecosystems: tuple[str, ...]
    families: dict[str, datetime | None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrivyDatabase:
    """What a run of Trivy judges by."""

    version: str
    """Of our advisories where it was made of them, else the moment of which it is."""
    built_at: datetime | None
    """None where nobody says."""
    sample: bool = False
    ecosystems: frozenset[str] | None = None
    """What it speaks of, in OSV's words; None where nobody says, as of Trivy's own."""
    families: dict[str, datetime | None] = dataclasses.field(default_factory=dict)
    """Of one that was made of our advisories: the moment of the youngest fact of each family."""
    java: str = ""
    """Moment of the Java database; empty where there is none."""

    @property
    def facts_at(self) -> datetime | None:
        """The moment of its youngest fact."""
        return max((each for each in self.families.values() if each is not None), default=self.built_at)

    def stale_parts(
        self, now: datetime, max_age: timedelta, families: Collection[str]
    ) -> dict[str, datetime | None]:
        """Returns what no verdict rests on: those of the families, or all of it under no name."""
        moments = {name: at for name, at in self.families.items() if name in families}
        if not self.families:
            moments = {"": self.built_at}
        return {name: at for name, at in moments.items() if at is None or now - at > max_age}

    def speaks_of(self, ecosystem: str) -> bool:
        """Tells whether it has advisories of packages of the ecosystem, as far as anybody says."""
        if self.ecosystems is None:
            return True
        name = family(ecosystem)
        # Red Hat's name parts of a release, of which packages tell nothing.
        return any(each in (ecosystem, name) or each.startswith(f"{ecosystem}:") for each in self.ecosystems)


def read_databases(folder: Path) -> TrivyDatabase:
    """Reads what is in a cache folder of Trivy's; changes nothing. Reads files: not for the event loop.

    Raises:
        ScanFailure: TRIVY_DATABASE_MISSING or TRIVY_DATABASE_BROKEN.
    """
    with _opened(folder / "db") as place:
        return _read(folder, place)


def lend_databases(folder: Path, cache: Path) -> TrivyDatabase:
    """Gives a run's own cache folder the databases, and returns what they are: of one moment, whatever comes.

    The files are linked, not copied: Trivy removes a database that it finds broken, and then removes the link.
    Reads files: not for the event loop.

    Raises:
        ScanFailure: TRIVY_DATABASE_MISSING or TRIVY_DATABASE_BROKEN.
    """
    with _opened(folder / "db") as place:
        found = _read(folder, place)
        _lend(folder / "db", place, cache / "db", "trivy.db")
    return dataclasses.replace(found, java=lend_java_database(folder, cache))


def lend_java_database(folder: Path, cache: Path) -> str:
    """Does so with the Java database alone, if it is there, and returns its moment: a server has the other."""
    moment = java_moment(folder)
    if moment:
        with _opened(folder / "java-db") as place:
            _lend(folder / "java-db", place, cache / "java-db", "trivy-java.db")
    return moment


def java_moment(folder: Path) -> str:
    """Returns the moment of the Java database, empty where there is none: only images with jars want it."""
    place = folder / "java-db"
    try:
        with _opened(place) as opened:
            os.stat("trivy-java.db", dir_fd=opened)
            content = _content(place, opened, _METADATA)
            moment = _decoded(content, place / _METADATA, _Metadata).updated_at
    except (ScanFailure, OSError):
        return ""
    return _written(_utc(moment)) or "undated"


def dated(moment: datetime | None, java: str = "") -> TrivyDatabase:
    """Returns a database of which only the moment is known."""
    moment = _utc(moment)
    return TrivyDatabase(version=_written(moment) or "undated", built_at=moment, java=java)


def _read(folder: Path, place: int) -> TrivyDatabase:
    metadata = _decoded(_content(folder / "db", place, _METADATA), folder / "db" / _METADATA, _Metadata)
    if metadata.version != SCHEMA:
        raise _broken(f"The database in {folder} is of schema {metadata.version}; Trivy wants {SCHEMA}.")
    try:
        file = os.open("trivy.db", os.O_RDONLY | os.O_CLOEXEC, dir_fd=place)
    except OSError as error:
        raise _missing(folder / "db") from error
    try:
        if not is_whole(file):
            raise _broken(f"The database {folder / 'db' / 'trivy.db'} is damaged, or not all of it is there.")
    finally:
        os.close(file)
    java = java_moment(folder)
    try:
        content = _content(folder / "db", place, _OURS)
    except ScanFailure:
        return dated(metadata.updated_at, java)
    ours = _decoded(content, folder / "db" / _OURS, _Ours)
    return TrivyDatabase(
        version=ours.version,
        built_at=_utc(ours.built_at),
        sample=ours.sample,
        ecosystems=frozenset(ours.ecosystems),
        families={name: _utc(moment) for name, moment in ours.families.items()},
        java=java,
    )


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Opens a folder: what is read through it belongs together, even when another takes its name meanwhile."""
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _missing(folder) from error
    try:
        yield place
    finally:
        os.close(place)


def _lend(folder: Path, place: int, to: Path, name: str) -> None:
    to.mkdir(mode=0o700, parents=True)
    try:
        (to / _METADATA).write_bytes(_content(folder, place, _METADATA))
        try:
            os.link(name, to / name, src_dir_fd=place)
        except OSError:  # another disk, or a file of somebody else's
            os.stat(name, dir_fd=place)
            (to / name).symlink_to(folder.absolute() / name)
    except OSError as error:
        shutil.rmtree(to, ignore_errors=True)
        raise _missing(folder) from error


def _content(folder: Path, place: int, name: str) -> bytes:
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=place)
    except OSError as error:
        raise _missing(folder) from error
    with os.fdopen(file, "rb") as opened:
        return opened.read(_MAX_BYTES)


def _decoded(content: bytes, path: Path, of: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=of)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _broken(f"{path} is not the JSON that it should be.") from error


def _utc(moment: datetime | None) -> datetime | None:
    """Go writes no moment as the year 1."""
    if moment is None or moment.year < 2000:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _written(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else ""


def _missing(folder: Path) -> ScanFailure:
    return ScanFailure(Reason.TRIVY_DATABASE_MISSING, f"There is no database of Trivy's in {folder}.", hint=_HINT)


def _broken(message: str) -> ScanFailure:
    return ScanFailure(Reason.TRIVY_DATABASE_BROKEN, message, hint=_HINT)
