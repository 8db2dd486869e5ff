"""What one record claims about one package: under which ids, for which versions, and how bad it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

from services.kernel.versions import sort_key
from services.scanner.advisories.ecosystems import answers_related, canonical_name, is_advisory, scheme_of
from services.scanner.advisories.modules import build_of, is_modular, module_of
from services.scanner.advisories.osv import Affected, Record
from services.scanner.advisories.ranges import Interval, Key, Upper, to_intervals
from services.scanner.advisories.severity import Judgement, judge

MAX_CLAIMS: Final = 500_000
"""Claims that one record may make: packages times ids."""

_MAX_TITLE: Final = 300
# DEBIAN-CVE-2023-1 and UBUNTU-CVE-2023-1 are a distribution's pages about CVE-2023-1, no things of their own.
_WRAPPED = re.compile(r"[A-Z]+-(CVE-[0-9]+-[0-9]+)")
_SHARED = ("CVE-", "GHSA-")
_INFORMING: Final = ("unmaintained", "notice")


class Target(msgspec.Struct, frozen=True):
    """The package that a claim is about; `ecosystems.names_binaries` tells of which kind."""

    ecosystem: str
    name: str


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
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
    module: str = ""
    """What of a module its versions are, as `modules.module_of` says; empty where they are of none."""


class TooManyClaims(ValueError):
    """A record multiplies packages with ids beyond MAX_CLAIMS."""


def claims_of(record: Record, notes: Counter[str]) -> Iterator[tuple[Target, Claim]]:
    """Yields all claims of a record, and counts in `notes` why parts of it were left out.

    Withdrawn records and bug fixes of a distribution claim nothing, nor does what only informs (`_only_informs`).

    Raises:
        TooManyClaims: see MAX_CLAIMS.
    """
    left_out = _left_out(record)
    if left_out:
        notes[left_out] += 1
        return
    things = _things(record)
    if len(things) * len(record.affected or ()) > MAX_CLAIMS:
        raise TooManyClaims(record.id)
    told = list(_told(record, notes))
    fixes = {target.name: fix for target, _, intervals, _ in told if (fix := _modular_fix(intervals))}
    module = module_of(record.summary or "", fixes) if fixes else ""
    title = (record.summary or "").strip()[:_MAX_TITLE]
    for target, affected, intervals, versions in _one_build_each(told):
        judgement = judge(record, affected)
        of = module if _modular_fix(intervals) else ""
        for ids, mentions in things:
            yield (
                target,
                Claim(record.id, record.modified, ids, mentions, judgement, title, intervals, versions, of),
            )


_Told = tuple[Target, Affected, tuple[Interval, ...], tuple[str, ...]]


def _left_out(record: Record) -> str:
    """Says why a record as a whole claims nothing; empty where it does claim."""
    if record.withdrawn:
        return "withdrawn"
    named = [each.package.ecosystem for each in record.affected or () if each.package is not None]
    answers = bool(_answered(record))
    if named and not any(is_advisory(ecosystem, record.id, answers=answers) for ecosystem in named):
        return "no_vulnerability"
    return ""


def _told(record: Record, notes: Counter[str]) -> Iterator[_Told]:
    """Yields what the record says of each package whose versions can be compared."""
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
        target = Target(package.ecosystem, canonical_name(package.ecosystem, package.name))
        yield target, affected, intervals, versions


def _modular_fix(intervals: Sequence[Interval]) -> str:
    return next((each.upper for each in intervals if each.kind is Upper.FIXED and is_modular(each.upper)), "")


def _one_build_each(told: Sequence[_Told]) -> Iterator[_Told]:
    """Of several builds of one modular fix, which AlmaLinux lists side by side, the lowest is the fix."""
    lowest: dict[tuple[Target, str], _Told] = {}
    for each in told:
        target, _, intervals, versions = each
        fix = _modular_fix(intervals)
        if not fix or len(intervals) > 1 or versions:
            yield each
            continue
        build = (target, build_of(fix))
        other = lowest.get(build)
        if other is None or sort_key("rpm", fix) < sort_key("rpm", _modular_fix(other[2])):
            lowest[build] = each
    yield from lowest.values()


def _things(record: Record) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The things a record speaks of, each as (its ids, mentions).

    A record that answers no other ids is one thing, together with its aliases. Else each id that it answers is a
    thing of its own, and so are aliases of the CVE or GHSA kind that are not among these.
    """
    aliases = record.aliases or []
    answered = _answered(record)
    if not answered:
        return [(_unwrapped([record.id, *aliases]), ())]
    mentions = (record.id, *(alias for alias in aliases if not alias.startswith(_SHARED)))
    found: dict[str, dict[str, None]] = {}
    for upstream in answered:
        root = _root(upstream)
        found.setdefault(root, {root: None})[upstream] = None
    things = [(tuple(ids), mentions) for ids in found.values()]
    others = tuple(alias for alias in aliases if alias.startswith(_SHARED))
    if others and not found.keys() & set(others):
        things.append((others, mentions))
    return things


def _answered(record: Record) -> Sequence[str]:
    """The ids that an advisory answers: `upstream`, else the CVEs in `related` where distributions put them."""
    if record.upstream or not record.related:
        return record.upstream or ()
    if not any(answers_related(each.package.ecosystem) for each in record.affected or () if each.package):
        return ()
    return [identifier for identifier in record.related if identifier.startswith("CVE-")]


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


def _uncovered(versions: Sequence[str], intervals: Sequence[Interval], key: Key) -> tuple[str, ...]:
    return tuple(
        version
        for version in dict.fromkeys(versions)
        if not any(interval.covers(key(version), key) for interval in intervals)
    )
