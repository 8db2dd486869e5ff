"""Which of two packages has a file that both have (`apk_pkg_replaces_file` of apk-tools)."""

from __future__ import annotations

import dataclasses

from services.fixer.plan.packages import Candidate
from services.fixer.systems.apk.database import Record
from services.fixer.systems.apk.dependencies import Dependency, parse
from services.fixer.systems.apk.package import Control


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Replaces:
    """What a package says of that."""

    name: str
    version: str
    origin: str
    replaces: tuple[Dependency, ...]
    priority: int

    @staticmethod
    def of_record(record: Record) -> Replaces:
        """Of a package in the database."""
        priority = record.fields.get("q", "")
        return Replaces(
            name=record.name,
            version=record.version,
            origin=record.fields.get("o", ""),
            replaces=parse(record.fields.get("r", "")),
            priority=int(priority) if priority.isdecimal() else 0,
        )

    @staticmethod
    def of_candidate(candidate: Candidate, control: Control) -> Replaces:
        """Of a package that comes."""
        return Replaces(
            name=candidate.name,
            version=candidate.version,
            origin=candidate.fields.get("o", ""),
            replaces=parse(control.replaces),
            priority=control.replaces_priority,
        )

    def says_of(self, other: Replaces) -> int:
        """Returns with what priority it replaces files of another package; -1 where it does not."""
        for each in self.replaces:
            if each.name == other.name and each.admits(other.version):
                return self.priority
        return -1


def takes(new: Replaces, owner: Replaces) -> bool | None:
    """Tells whether a package that comes takes a file from its owner; None where neither may have it."""
    if new.name == owner.name or (owner.origin and new.origin == owner.origin):
        return True
    theirs, ours = owner.says_of(new), new.says_of(owner)
    if theirs > ours:
        return False
    return True if ours >= 0 else None
