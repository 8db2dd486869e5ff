"""A repository's signed part: whether it is believed, still holds and is what was asked for (apt-secure(8)).

Format: wiki.debian.org/DebianRepository/Format, "Release" files.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import RepositoryRef
from services.fixer.repositories.depot import Depot
from services.fixer.repositories.openpgp import verify_detached, verify_inline
from services.fixer.systems.dpkg.control import Stanza, decode, parse_stanza

_MAX_RELEASE: Final = 16 << 20
_MAX_SIGNATURE: Final = 1 << 20
_EARLY: Final = timedelta(days=1)
"""A clock may be so wrong."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A part of the index, as the signed part says."""

    size: int
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SignedRelease:
    """What a repository signs."""

    files: Mapping[str, ListedFile]
    """By path beneath the suite's folder."""
    by_hash: bool
    """Parts are to be had by their hash too, so that no mirror can give one of another time."""
    architectures: frozenset[str]
    separate_all: bool
    """Packages of the architecture `all` stand in an index of their own only."""
    priority: int
    """As apt counts: 500, of suites that nothing is taken from by itself 100 or 1."""


async def fetch_release(
    repository: RepositoryRef, keys: Sequence[bytes], depot: Depot, now: datetime
) -> SignedRelease:
    """Fetches and verifies the signed part of a repository.

    Raises:
        FixFailure: INDEX_UNSIGNED, INDEX_KEY_UNKNOWN, INDEX_SIGNATURE_INVALID, INDEX_EXPIRED, REPOSITORY_INVALID,
            and what the depot says.
    """
    base = suite_address(repository)
    inline = await depot.small(f"{base}/InRelease", at_most=_MAX_RELEASE)
    if inline is not None:
        text = verify_inline(inline, keys)
    else:
        release = await depot.small(f"{base}/Release", at_most=_MAX_RELEASE)
        if release is None:
            raise FixFailure(FixReason.REPOSITORY_INVALID, f"There is no repository at {base}: it has no index.")
        signature = await depot.small(f"{base}/Release.gpg", at_most=_MAX_SIGNATURE)
        if signature is None:
            raise FixFailure(FixReason.INDEX_UNSIGNED, f"The index at {base} is not signed.")
        verify_detached(release, signature, keys)
        text = release
    try:
        stanza = parse_stanza(decode(text).strip("\n"))
        _check(stanza, repository, now)
        return _signed(stanza)
    except ValueError as error:
        raise FixFailure(FixReason.REPOSITORY_INVALID, f"The index at {base} cannot be used: {error}.") from error


def suite_address(repository: RepositoryRef) -> str:
    """Returns the address of a suite's folder."""
    return f"{repository.address}/dists/{repository.suite}"


def _check(stanza: Stanza, repository: RepositoryRef, now: datetime) -> None:
    """An old index, or that of another suite, is signed as well as the one that was asked for."""
    named = {stanza.get("Suite"), stanza.get("Codename")} - {""}
    asked = {repository.suite, repository.suite.partition("/")[0]}
    if named.isdisjoint(asked):
        raise ValueError(f"{repository.suite} was asked for, and it says that it is {sorted(named)}")
    where = suite_address(repository)
    until, date = _time(stanza.get("Valid-Until")), _time(stanza.get("Date"))
    if until is not None and until < now:
        raise FixFailure(
            FixReason.INDEX_EXPIRED,
            f"The index at {where} held until {until:%Y-%m-%d %H:%M} UTC.",
            hint="The mirror may be out of date, or somebody keeps newer packages from us.",
        )
    if date is not None and date > now + _EARLY:
        raise FixFailure(
            FixReason.INDEX_EXPIRED,
            f"The index at {where} is of {date:%Y-%m-%d %H:%M} UTC, which is yet to come.",
            hint="Compare this machine's clock.",
        )


def _time(text: str) -> datetime | None:
    if not text:
        return None
    read = parsedate_to_datetime(text)  # a ValueError says what is wrong
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _signed(stanza: Stanza) -> SignedRelease:
    files: dict[str, ListedFile] = {}
    for line in stanza.get("SHA256").split("\n"):
        words = line.split()
        if not words:
            continue
        if len(words) != 3 or not _SHA256.fullmatch(words[0]) or not words[1].isascii() or not words[1].isdigit():
            raise ValueError(f"a line of its hashes cannot be read: {line[:120]!r}")
        files[words[2]] = ListedFile(size=int(words[1]), sha256=words[0])
    if not files:
        raise ValueError("it has no hashes by SHA-256")
    architectures = frozenset(stanza.get("Architectures").split())
    priority = 500
    if stanza.get("NotAutomatic").lower() == "yes":
        priority = 100 if stanza.get("ButAutomaticUpgrades").lower() == "yes" else 1
    return SignedRelease(
        files=files,
        by_hash=stanza.get("Acquire-By-Hash").lower() == "yes",
        architectures=architectures,
        separate_all="all" in architectures
        and "Packages" not in stanza.get("No-Support-for-Architecture-all").split(),
        priority=priority,
    )
