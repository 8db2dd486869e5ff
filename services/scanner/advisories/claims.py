"""What one record claims about one package: under which ids, for which versions, and how bad it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

from services.kernel.versions import sort_key
from services.scanner.advisories.ecosystems import canonical_name, family, scheme_of
from services.scanner.advisories.osv import Affected, Record
from services.scanner.advisories.ranges import Interval, Key, to_intervals
from services.scanner.advisories.severity import Judgement, judge

MAX_CLAIMS: Final = 500_000
"""Claims that one record may make: packages times ids."""

_MAX_TITLE: Final = 300
# DEBIAN-CVE-2023-1 and UBUNTU-CVE-2023-1 are a distribution's pages about CVE-2023-1, no things of their own.
_WRAPPED = re.compile(r"[A-Z]+-(CVE-[0-9]+-[0-9]+)")
_SHARED = ("CVE-", "GHSA-")
_INFORMING: Final = ("unmaintained", "notice")


class Target(msgspec.Struct, frozen=True):
    """The package that a claim is about."""

    ecosystem: str
    name: str
    binary: bool
    """True when the claim names a binary package, false for a source or a language's package."""


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """What one record says about one thing in one package."""

    record: str
    modified: str
    ids: tuple[str, ...]
    """Names of the thing: claims that share one speak of the same thing."""
    mentions: tuple[str, ...]
    """Ids that lead to it and to other things too, such as a DSA; never merged by."""
    judgement: Judgement
    title: str
    intervals: tuple[Interval, ...]
    versions: tuple[str, ...]
    """Affected versions that no interval covers."""


class TooManyClaims(ValueError):
    """A record multiplies packages with ids beyond MAX_CLAIMS."""


def claims_of(record: Record, notes: Counter[str]) -> Iterator[tuple[Target, Claim]]:
    """Yields all claims of a record, and counts in `notes` why parts of it were left out.

    Withdrawn records claim nothing, nor does what only informs (`_only_informs`).

    Raises:
        TooManyClaims: see MAX_CLAIMS.
    """
    if record.withdrawn:
        notes["withdrawn"] += 1
        return
    things = _things(record)
    if len(things) * len(record.affected or ()) > MAX_CLAIMS:
        raise TooManyClaims(record.id)
    for affected in record.affected or ():
        package = affected.package
        scheme = scheme_of(package.ecosystem) if package else None
        if package is None or scheme is None:
            notes["package_not_named" if package is None else "ecosystem_not_supported"] += 1
            continue
        if _only_informs(record, affected):
            notes["informational"] += 1
            continue
        key = partial(sort_key, scheme)
        intervals = to_intervals(affected.ranges or (), key)
        versions = _uncovered(affected.versions or (), intervals, key)
        if not intervals and not versions:
            notes["no_versions"] += 1
            continue
        target = Target(package.ecosystem, canonical_name(package.ecosystem, package.name), _is_binary(affected))
        judgement = judge(record, affected)
        title = (record.summary or "").strip()[:_MAX_TITLE]
        for ids, mentions in things:
            yield target, Claim(record.id, record.modified, ids, mentions, judgement, title, intervals, versions)


def _things(record: Record) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The things a record speaks of, each as (its ids, mentions).

    Without `upstream` a record is one thing, together with its aliases. With it each upstream id is a thing of its
    own, and so are aliases of the CVE or GHSA kind that `upstream` does not name.
    """
    aliases = record.aliases or []
    if not record.upstream:
        return [(_unwrapped([record.id, *aliases]), ())]
    mentions = (record.id, *(alias for alias in aliases if not alias.startswith(_SHARED)))
    found: dict[str, dict[str, None]] = {}
    for upstream in record.upstream:
        root = _root(upstream)
        found.setdefault(root, {root: None})[upstream] = None
    things = [(tuple(ids), mentions) for ids in found.values()]
    others = tuple(alias for alias in aliases if alias.startswith(_SHARED))
    if others and not found.keys() & set(others):
        things.append((others, mentions))
    return things


def _unwrapped(ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in ids for name in (_root(each), each)))


def _root(identifier: str) -> str:
    wrapped = _WRAPPED.fullmatch(identifier)
    return wrapped[1] if wrapped else identifier


def _only_informs(record: Record, affected: Affected) -> bool:
    """Tells of RustSec's records that a crate is not maintained any more, or the like.

    RustSec itself counts them as no vulnerabilities, nor does `cargo audit`. What somebody gave a CVE id is one
    all the same; and so is what is unsound, which is a fault in the code, mostly with a fixed version.
    """
    word = affected.database_specific.informational if affected.database_specific else None
    return word in _INFORMING and not any(alias.startswith("CVE-") for alias in record.aliases or ())


def _is_binary(affected: Affected) -> bool:
    """Debian, Ubuntu and Alpine name sources (OSV schema); a purl with a real architecture says otherwise."""
    package = affected.package
    if package is None or not package.purl or family(package.ecosystem) == "PyPI":
        return False
    _, _, qualifiers = package.purl.partition("?")
    arch = [value for name, _, value in (q.partition("=") for q in qualifiers.split("&")) if name == "arch"]
    return bool(arch) and arch[0] not in ("source", "all", "")


def _uncovered(versions: Sequence[str], intervals: Sequence[Interval], key: Key) -> tuple[str, ...]:
    return tuple(
        version
        for version in dict.fromkeys(versions)
        if not any(interval.covers(key(version), key) for interval in intervals)
    )
