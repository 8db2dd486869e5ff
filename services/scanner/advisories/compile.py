"""Compiles sources into one file: claims are sorted by package on disk, then merged package by package.

Memory does not grow with the sources: what a package needs is all that is held.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final

import lmdb
import msgspec

from services.kernel.errors import Kind, ServiceError
from services.kernel.versions import sort_key
from services.scanner.advisories.claims import Claim, TooManyClaims, claims_of
from services.scanner.advisories.database import (
    FORMAT,
    META_KEY,
    WITHDRAWN_KEY,
    Meta,
    SourceMeta,
    package_key,
)
from services.scanner.advisories.ecosystems import family, is_system, scheme_of
from services.scanner.advisories.merge import Vulnerability, merge
from services.scanner.advisories.osv import moment_of
from services.scanner.advisories.sources import broken, read_source

Progress = Callable[[str, int], None]
"""Is told the source and how many of its records were read, every thousand records and at its end."""

_MAP_LEAST: Final = 64 << 20
_MAP_MOST: Final = 256 << 30
_MAP_PER_SOURCE_BYTE: Final = 100
"""Address space, not memory: the files are as large as their content, which is a few times the zips' size."""
_BATCH: Final = 20_000
_PROGRESS_EVERY: Final = 1_000
_SEQUENCE_BYTES: Final = 8
_EARLIEST: Final = datetime.fromtimestamp(0, UTC)
"""No advisory is older."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something to import: where it lies, and what it is called in errors and in the status."""

    path: Path
    name: str
    modified: datetime | None = None
    """When it last changed, by the word of the server that it was fetched from; None when nobody says."""


@dataclasses.dataclass(slots=True)
class _Counts:
    records: int = 0
    ecosystems: Counter[str] = dataclasses.field(default_factory=Counter)
    families: dict[str, datetime] = dataclasses.field(default_factory=dict)
    """The youngest fact of each; `_EARLIEST` when nothing tells."""
    left_out: Counter[str] = dataclasses.field(default_factory=Counter)
    withdrawn: set[str] = dataclasses.field(default_factory=set)
    """Ids of records."""
    sources: list[SourceMeta] = dataclasses.field(default_factory=list)


def compile_sources(
    sources: Sequence[Source], output: Path, *, built_at: datetime | None, progress: Progress | None = None
) -> Meta:
    """Writes the file and syncs it to disk; `output` must not exist. Without `built_at` it is a sample.

    Blocking, for seconds: call it from the command line or from a worker process.

    Raises:
        ServiceError: ADVISORY_SOURCE_NOT_FOUND, ADVISORY_SOURCE_BROKEN or ADVISORY_SOURCE_TOO_LARGE.
    """
    spool = output.with_suffix(".spool")
    space = _space(sources)
    try:
        with lmdb.open(str(spool), subdir=False, lock=False, sync=False, map_size=space) as environment:
            counts = _collect(sources, environment, built_at, progress or _ignore)
            meta = _write(environment, output, space, counts, built_at)
    except lmdb.Error as error:
        raise _not_written(output) from error
    finally:
        spool.unlink(missing_ok=True)
    descriptor = os.open(output, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return meta


def _collect(
    sources: Sequence[Source], environment: lmdb.Environment, built_at: datetime | None, progress: Progress
) -> _Counts:
    """Puts every claim into the spool, under its package and a running number."""
    counts = _Counts()
    encoder = msgspec.msgpack.Encoder()
    batch: list[tuple[bytes, bytes]] = []
    sequence = 0
    for source in sources:
        read, newest = 0, _EARLIEST
        said = _newer(_EARLIEST, source.modified, built_at)
        for record in read_source(source.path, source.name):
            read += 1
            moment = moment_of(record.modified)
            if record.withdrawn:
                counts.withdrawn.add(record.id)
            newest = _newer(newest, moment, built_at)
            ecosystems: set[str] = set()
            try:
                for target, claim in claims_of(record, counts.left_out):
                    ecosystems.add(target.ecosystem)
                    key = package_key(target.ecosystem, target.name)
                    batch.append((key + sequence.to_bytes(_SEQUENCE_BYTES), encoder.encode(claim)))
                    sequence += 1
            except TooManyClaims as error:
                raise broken(source.name, record.id[:80], "the record names too many packages and ids") from error
            counts.ecosystems.update(ecosystems)
            youngest = _newer(said, moment, built_at)
            for name in map(family, ecosystems):
                counts.families[name] = max(youngest, counts.families.get(name, youngest))
            if len(batch) >= _BATCH:
                _flush(environment, batch)
            if read % _PROGRESS_EVERY == 0:
                progress(source.name, read)
        progress(source.name, read)
        counts.records += read
        counts.sources.append(SourceMeta(name=source.name, records=read, newest=_told(newest)))
    _flush(environment, batch)
    return counts


def _newer(newest: datetime, moment: datetime | None, built_at: datetime | None) -> datetime:
    if moment is None or (built_at is not None and moment > built_at):
        return newest
    return max(newest, moment)


def _told(newest: datetime) -> str:
    return "" if newest == _EARLIEST else newest.isoformat().replace("+00:00", "Z")


def _flush(environment: lmdb.Environment, batch: list[tuple[bytes, bytes]]) -> None:
    batch.sort()
    with environment.begin(write=True) as transaction:
        for key, value in batch:
            transaction.put(key, value)
    batch.clear()


def _write(spool: lmdb.Environment, output: Path, space: int, counts: _Counts, built_at: datetime | None) -> Meta:
    """Merges package by package, in key order, so that the file's pages are filled one after another."""
    digest = hashlib.sha256()
    packages = 0
    encoder = msgspec.msgpack.Encoder()
    with lmdb.open(str(output), subdir=False, lock=False, sync=False, map_size=space) as environment:
        with environment.begin(write=True) as transaction:
            for key, vulnerabilities in _merged(spool):
                value = encoder.encode(vulnerabilities)
                digest.update(len(key).to_bytes(2) + key + len(value).to_bytes(_SEQUENCE_BYTES) + value)
                transaction.put(key, value, append=True)
                packages += 1
            withdrawn = encoder.encode(sorted(counts.withdrawn))
            digest.update(withdrawn)
            transaction.put(WITHDRAWN_KEY, withdrawn)
            meta = _meta(counts, built_at, packages, digest.digest())
            transaction.put(META_KEY, encoder.encode(meta))
        environment.sync(True)
    return meta


def _merged(spool: lmdb.Environment) -> Iterator[tuple[bytes, list[Vulnerability]]]:
    decoder = msgspec.msgpack.Decoder(Claim)
    with spool.begin() as transaction:
        items = iter(transaction.cursor())
        for key, group in groupby(items, key=lambda item: item[0][:-_SEQUENCE_BYTES]):
            ecosystem = key.partition(b"\0")[0].decode()
            scheme = scheme_of(ecosystem)
            if scheme is not None:
                claims = [decoder.decode(value) for _, value in group]
                yield key, merge(claims, partial(sort_key, scheme), system=is_system(ecosystem))


def _meta(counts: _Counts, built_at: datetime | None, packages: int, content: bytes) -> Meta:
    newest = max((source.newest for source in counts.sources), default="")
    built = (built_at or moment_of(newest) or _EARLIEST).astimezone(UTC).replace(microsecond=0)
    facts = Meta(
        format=FORMAT,
        version="",
        built_at=built,
        sample=built_at is None,
        records=counts.records,
        packages=packages,
        ecosystems=dict(sorted(counts.ecosystems.items())),
        families={
            name: None if moment == _EARLIEST else min(moment, built)
            for name, moment in sorted(counts.families.items())
        },
        left_out=dict(sorted(counts.left_out.items())),
        sources=tuple(counts.sources),
    )
    digest = hashlib.sha256(content + msgspec.msgpack.encode(facts)).hexdigest()
    return msgspec.structs.replace(facts, version=f"{built:%Y%m%d}-{digest[:12]}")


def _space(sources: Sequence[Source]) -> int:
    size = 0
    for source in sources:
        files = source.path.rglob("*.json") if source.path.is_dir() else (source.path,)
        size += sum(file.stat().st_size for file in files if file.is_file())
    return min(_MAP_MOST, max(_MAP_LEAST, size * _MAP_PER_SOURCE_BYTE))


def _not_written(output: Path) -> ServiceError:
    return ServiceError(
        Kind.RESOURCE_EXHAUSTED,
        "ADVISORIES_NOT_WRITTEN",
        f"The advisory file could not be written to {output.parent}: the disk is full, or records expand too far.",
        hint="The advisories that were there still serve. Make room, then try again.",
    )


def _ignore(source: str, records: int) -> None:
    """Nobody watches."""
