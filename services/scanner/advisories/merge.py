"""One vulnerability of all claims about one thing in one package, and the verdict on an installed version.

The rules, as claims may disagree:

- Claims are one vulnerability when they share an id; only ids and aliases count, a shared DSA does not.
- A version is affected when any claim says so: of a wrong alarm and a missed one, the missed one is worse.
- What a `MAL-` record is about is malicious, whatever others call it, and as bad as can be.
- The fixed version is the smallest that is above the installed one, that some claim names as its fix, and that no
  claim calls affected. When the claims agree on none, the smallest one that its own claim calls free is told:
  a fix is known, though somebody has not heard of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from services.kernel.model.severity import Severity
from services.scanner.advisories.claims import Claim
from services.scanner.advisories.modules import fits
from services.scanner.advisories.ranges import Interval, Key, Upper
from services.scanner.advisories.severity import combine, decide

_DIGITS = re.compile(r"([0-9]+)")
_PREFERENCE: Final = ("CVE-", "GHSA-")
_MALICIOUS: Final = "MAL-"


class Side(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one claim says about versions."""

    intervals: tuple[Interval, ...]
    versions: tuple[str, ...]
    module: str = ""
    """Of which module; empty where of none."""

    def affects(self, version: Any, key: Key) -> bool:
        """Tells whether this claim calls a version, given as its key, affected."""
        for interval in self.intervals:
            if interval.covers(version, key):
                return True
        return bool(self.versions) and any(key(listed) == version for listed in self.versions)


class Vulnerability(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that is wrong with versions of one package, as the file holds it."""

    id: str
    aliases: tuple[str, ...]
    severity: Severity
    score: float | None
    title: str
    ceiling: str
    """No version above it is affected; empty when there is no such bound."""
    plain: bool
    """Every version below the ceiling, if of no module, is affected, and the ceiling is the fix: nine in ten."""
    sides: tuple[Side, ...]

    @property
    def is_malicious(self) -> bool:
        """Tells whether those versions were made to do harm (OSV, "malicious-packages"), and have no mere flaw."""
        if self.severity is not Severity.CRITICAL:
            return False  # `_vulnerability` makes those critical: most are told without a look at their names
        return any(name.startswith(_MALICIOUS) for name in (self.id, *self.aliases))

    def affects(self, version: Any, key: Key, label: str = "") -> bool:
        """Tells whether any side of the label's module calls a version, given as its key, affected."""
        return any(fits(side.module, label) and side.affects(version, key) for side in self.sides)

    def fixed_above(self, version: Any, key: Key, label: str = "") -> str:
        """Returns the version that an affected one should be raised to; empty when none is known."""
        fixes: dict[str, Side] = {}
        for side in self.sides:
            if not fits(side.module, label):
                continue
            for interval in side.intervals:
                if interval.kind is Upper.FIXED and key(interval.upper) > version:
                    fixes.setdefault(interval.upper, side)
        ordered = sorted(fixes, key=lambda fix: (key(fix), fix))
        agreed = (fix for fix in ordered if not self.affects(key(fix), key, label))
        own = (fix for fix in ordered if not fixes[fix].affects(key(fix), key))
        return next(agreed, "") or next(own, "")


def merge(claims: Sequence[Claim], key: Key, *, system: bool) -> list[Vulnerability]:
    """Makes the vulnerabilities of one package of all claims about it.

    Sorted by ceiling: those without first, then from the highest downward, so that a reader may stop at the first
    one below the installed version.
    """
    merged = [_vulnerability(group, key, system=system) for group in _groups(_newest(claims))]
    bounded = sorted(
        (each for each in merged if each.ceiling), key=lambda each: (key(each.ceiling), each.id), reverse=True
    )
    return sorted((each for each in merged if not each.ceiling), key=lambda each: each.id) + bounded


def _newest(claims: Iterable[Claim]) -> list[Claim]:
    """Of one record met in several sources only the newest edition speaks."""
    newest: dict[str, str] = {}
    distinct = list(dict.fromkeys(claims))
    for claim in distinct:
        newest[claim.record] = max(newest.get(claim.record, ""), claim.modified)
    return [claim for claim in distinct if claim.modified == newest[claim.record]]


def _groups(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Joins claims that share an id, directly or through others."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for claim in claims:
        for other in claim.ids[1:]:
            parent[root(other)] = root(claim.ids[0])
    groups: dict[str, list[Claim]] = {}
    for claim in claims:
        groups.setdefault(root(claim.ids[0]), []).append(claim)
    return list(groups.values())


def _vulnerability(group: Sequence[Claim], key: Key, *, system: bool) -> Vulnerability:
    ids = {name for claim in group for name in claim.ids}
    chosen = min(ids, key=_preference) if len(ids) > 1 else next(iter(ids))
    mentions = {name for claim in group for name in claim.mentions}
    severity = Severity.CRITICAL if any(name.startswith(_MALICIOUS) for name in ids) else None
    judgement = combine(claim.judgement for claim in group) if len(group) > 1 else group[0].judgement
    titles = [claim.title for claim in sorted(group, key=lambda claim: claim.record) if claim.title]
    sides = tuple(dict.fromkeys(Side(claim.intervals, claim.versions, claim.module) for claim in group))
    return Vulnerability(
        id=chosen,
        aliases=tuple(sorted((ids | mentions) - {chosen})),
        severity=severity or decide(judgement, system=system),
        score=judgement.score,
        title=titles[0] if titles else "",
        ceiling=_ceiling(sides, key),
        plain=len(sides) == 1 and _is_plain(sides[0]),
        sides=sides,
    )


def _is_plain(side: Side) -> bool:
    if side.versions or side.module or len(side.intervals) != 1:
        return False
    (interval,) = side.intervals
    return interval.kind is Upper.FIXED and not interval.lower


def _ceiling(sides: Sequence[Side], key: Key) -> str:
    intervals = [interval for side in sides for interval in side.intervals]
    if any(interval.kind is Upper.OPEN for interval in intervals):
        return ""
    bounds = [interval.upper for interval in intervals] + [version for side in sides for version in side.versions]
    return max(bounds, key=key) if len(bounds) > 1 else bounds[0]


def _preference(name: str) -> tuple[int, list[tuple[int, str]]]:
    """CVE before GHSA before the rest; within a kind the lowest number, read as a number."""
    kind = next((place for place, prefix in enumerate(_PREFERENCE) if name.startswith(prefix)), len(_PREFERENCE))
    parts = [part for part in _DIGITS.split(name) if part]
    return kind, [(len(part), part) if part.isdecimal() else (0, part) for part in parts]
