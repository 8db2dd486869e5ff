"""What repositories offer: `APKINDEX.tar.gz`, verified and then read (apk-repositories(5), apk-index(5))."""

from __future__ import annotations

import asyncio
import io
import re
import tarfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Candidate, RepositoryRef, Survey
from services.fixer.repositories.apk_identity import ALGORITHM
from services.fixer.repositories.depot import Depot
from services.fixer.systems.apk.signature import verified
from services.fixer.systems.apk.survey import sha1_of
from services.kernel.stanzas import stanzas

MAX_INDEX_BYTES: Final = 64 << 20
"""As stored; Alpine's largest has 2 MB, Wolfi's 20."""
MAX_PLAIN_BYTES: Final = 512 << 20
MAX_PACKAGE_BYTES: Final = 2 << 30
TAG: Final = "tag"
"""Field of candidates from a repository that only packages with its tag may come from."""
_INDEX: Final = "APKINDEX"
_NAME: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+-]{0,199}")
_FIELD: Final = re.compile(rb"^([A-Za-z]):(.*)$", re.MULTILINE)
_NAMES: Final = re.compile(rb"^([Po]):(.*)$", re.MULTILINE)


async def offered(survey: Survey, repositories: Sequence[RepositoryRef], depot: Depot) -> tuple[Candidate, ...]:
    """Returns every version that the repositories have of the image's packages and of their siblings.

    Raises:
        FixFailure: one of those about repositories and indexes.
    """
    if not repositories:
        raise FixFailure(
            FixReason.REPOSITORY_UNKNOWN,
            "Neither /etc/apk/repositories in the image nor the configuration names one that can be asked.",
        )
    keys = depot.keys(survey.system, survey.release)
    names = {package.name for package in survey.packages} | {package.source for package in survey.packages}
    found: dict[tuple[str, str, str], Candidate] = {}
    for repository in repositories:
        url = f"{repository.address}/{survey.architecture}/{_INDEX}.tar.gz"
        content = await depot.small(url, at_most=MAX_INDEX_BYTES)
        if content is None:
            raise FixFailure(
                FixReason.REPOSITORY_INVALID, f"{repository.address} has no index for {survey.architecture}."
            )
        for candidate in await asyncio.to_thread(_candidates, content, keys, url, repository.name, names):
            found.setdefault((candidate.name, candidate.version, candidate.fields[TAG]), candidate)
    return tuple(found.values())


def _candidates(
    content: bytes, keys: Sequence[bytes], url: str, tag: str, names: Collection[str]
) -> list[Candidate]:
    signed = verified(content, keys, url)
    raw = {name.encode("utf-8", "surrogateescape") for name in names}
    return [
        candidate
        for record in stanzas(_index(signed, url))
        if any(match[2] in raw for match in _NAMES.finditer(record))
        and (candidate := _candidate(record, url.rpartition("/")[0], tag)) is not None
    ]


def _index(signed: bytes, url: str) -> bytes:
    """Unpacks the index of what is verified."""
    try:
        with tarfile.open(fileobj=io.BytesIO(b"".join(_plain(signed))), mode="r:") as archive:
            for entry in archive:
                if entry.isreg() and entry.name == _INDEX and (file := archive.extractfile(entry)) is not None:
                    return file.read()
    except (tarfile.TarError, zlib.error, ValueError, OverflowError, EOFError) as error:
        raise FixFailure(FixReason.REPOSITORY_INVALID, f"{url} cannot be unpacked.") from error
    raise FixFailure(FixReason.REPOSITORY_INVALID, f"{url} has no {_INDEX} in it.")


def _plain(signed: bytes) -> Iterator[bytes]:
    left = MAX_PLAIN_BYTES
    while signed.strip(b"\0"):
        unpacker = zlib.decompressobj(wbits=31)
        plain = unpacker.decompress(signed, left)
        if not unpacker.eof:
            raise ValueError("cut off, or too large")
        left -= len(plain)
        signed = unpacker.unused_data
        yield plain


def _candidate(record: bytes, folder: str, tag: str) -> Candidate | None:
    """Reads a record; one that could not be a package is none: apk leaves it as well."""
    fields: dict[str, str] = {}
    for match in _FIELD.finditer(record):
        fields.setdefault(match[1].decode("ascii"), match[2].decode("utf-8", "replace"))
    name, version, size = fields.get("P", ""), fields.get("V", ""), fields.get("S", "")
    control = sha1_of(fields.get("C", ""))
    if not (
        _NAME.fullmatch(name) and _NAME.fullmatch(version) and size.isdecimal() and len(size) < 12 and control
    ):
        return None
    if not 0 < int(size) <= MAX_PACKAGE_BYTES:
        return None
    return Candidate(
        name=name,
        version=version,
        architecture=fields.get("A", ""),
        source=fields.get("o") or name,
        source_version=version,
        url=f"{folder}/{name}-{version}.apk",
        size=int(size),
        sha256="",
        checksum=f"{ALGORITHM}:{control}",
        fields={**fields, TAG: tag},
    )
