"""Makes new versions and the rest of an image fit: moves along what must, keeps back what cannot (Policy 7)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from services.fixer.plan.outcome import NotFixable
from services.fixer.plan.packages import Candidate
from services.fixer.systems.dpkg.choose import Choice
from services.fixer.systems.dpkg.relations import Alternatives, Member, Members, Relation
from services.fixer.systems.dpkg.survey import Record

Key = tuple[str, str]
_NEEDS: Final = ("Pre-Depends", "Depends")
_AGAINST: Final = ("Breaks", "Conflicts")


@dataclasses.dataclass(frozen=True, slots=True)
class Blocked:
    """Why a package stays in the version it has."""

    why: NotFixable
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Trouble:
    """What does not hold in the set as it would be, and did in the set as it is."""

    of: Member
    """Whose field it is."""
    wanted: Alternatives
    """What it needs; or what it must not be with."""
    against: tuple[Member, ...] = ()
    """The members that it must not be with; none where it needs something."""


class Fitting:
    """The packages that move, and those that cannot; grows until everything fits."""

    def __init__(
        self, records: list[Record], choice: Choice, native: str, blocked: dict[Key, Blocked] | None = None
    ) -> None:
        self.records = {(each.package.name, each.package.architecture): each for each in records}
        self._choice = choice
        self._native = native
        self._old = Members(map(_installed, records), native)
        self.moving: dict[Key, Candidate] = {}
        """What packages become."""
        self.blocked: dict[Key, Blocked] = dict(blocked or {})

    def anew(self) -> Fitting:
        """Returns one in which nothing moves yet and what is blocked here stays so."""
        return Fitting(list(self.records.values()), self._choice, self._native, self.blocked)

    def move_with_siblings(self, key: Key) -> bool:
        """Lets a package move, and the others of its source as far as they can; False where it cannot itself."""
        for each in self._choice.siblings(self.records[key].package):
            self._move((each.name, each.architecture))
        return key in self.moving

    def settle(self) -> None:
        """Goes on until nothing is in trouble that was not before; every step moves a package or blocks one."""
        while (trouble := next(self._troubles(), None)) is not None:
            if not self._remedy(trouble):
                self._give_up(trouble)

    def _move(self, key: Key) -> bool:
        if key in self.moving:
            return True
        if key in self.blocked:
            return False
        record = self.records[key]
        candidate = self._choice.best(record.package)
        if record.package.held:
            self.blocked[key] = Blocked(NotFixable.HELD, f"{key[0]} is on hold in the image.")
        elif candidate is None or not record.whole:
            self.blocked[key] = Blocked(NotFixable.NOT_IN_REPOSITORY, f"There is no newer version of {key[0]}.")
        else:
            self.moving[key] = candidate
            return True
        return False

    def _troubles(self) -> Iterator[_Trouble]:
        new = Members(map(self._member, self.records.values()), self._native)
        for member in new.all.values():
            old = self._old_of(member)
            before = set(old.relations(*_NEEDS))
            for wanted in member.relations(*_NEEDS):
                if any(new.satisfying(each, member) for each in wanted):
                    continue
                if wanted in before and not any(self._old.satisfying(each, old) for each in wanted):
                    continue  # the image has lived without it
                yield _Trouble(member, wanted)
            before = set(old.relations(*_AGAINST))
            for wanted in member.relations(*_AGAINST):
                for each in wanted:
                    met = new.against(each, member)
                    if wanted in before:
                        known = {other.key for other in self._old.against(each, old)}
                        met = [other for other in met if other.key not in known]
                    if met:
                        yield _Trouble(member, wanted, tuple(met))
            yield from self._out_of_step(member, new)

    def _out_of_step(self, member: Member, new: Members) -> Iterator[_Trouble]:
        """A package that is there for several architectures has one version for all (dpkg(1), multiarch)."""
        if self._key_of(member) in self.moving:
            others = [each for each in new.named(member.name) if each.version != member.version]
            if others:
                same = (Relation(member.name, "", "=", member.version),)
                yield _Trouble(member, same, tuple(others))

    def _remedy(self, trouble: _Trouble) -> bool:
        """Moves along a package by which the trouble ends."""
        for key in self._could_end(trouble):
            if key in self.moving or key in self.blocked:
                continue
            moved = self._choice.best(self.records[key].package)
            if moved is not None and self._ends(trouble, key, moved) and self._move(key):
                self.move_with_siblings(key)
                return True
        return False

    def _could_end(self, trouble: _Trouble) -> Iterator[Key]:
        if trouble.against:
            yield from (each.key for each in trouble.against)
        else:
            for each in trouble.wanted:
                yield from (member.key for member in self._old.named(each.name))
        yield self._key_of(trouble.of)

    def _ends(self, trouble: _Trouble, key: Key, candidate: Candidate) -> bool:
        moved = dict(self.moving)
        self.moving[key] = candidate
        try:
            return not any(
                each.wanted == trouble.wanted and self._key_of(each.of) == self._key_of(trouble.of)
                for each in self._troubles()
            )
        finally:
            self.moving = moved

    def _give_up(self, trouble: _Trouble) -> None:
        """Blocks what moves and caused it: the one whose field it is, or else those that it is about."""
        key = self._key_of(trouble.of)
        what = " | ".join(map(str, trouble.wanted))
        if key in self.moving:
            self._block(key, self._reason(trouble, what))
            return
        # Of one that stays where it is, something that moves took away what it needs, or came into what it breaks.
        about = [each.key for each in trouble.against] or [
            member.key for each in trouble.wanted for member in self._old.satisfying(each, trouble.of)
        ]
        guilty = [self._records_key(each) for each in about]
        reason = self._reason_to_stay(trouble, self.blocked.get(key), what)
        moving = [each for each in guilty if each in self.moving]
        # Without a guilty one nobody knows who moved into the trouble: nothing moves.
        for each in moving or list(self.moving):
            self._block(each, reason)

    def _reason_to_stay(self, trouble: _Trouble, stays: Blocked | None, what: str) -> Blocked:
        """Why something cannot move into trouble with a package that stays where it is."""
        name = f"{trouble.of.name} {trouble.of.version}"
        if trouble.against:
            return Blocked(NotFixable.NEEDS_REMOVAL, f"{name} of the image cannot be together with {what}.")
        if stays is not None:
            return Blocked(stays.why, f"{name} needs {what}, and stays as it is: {stays.message}")
        return Blocked(NotFixable.NEEDS_REMOVAL, f"{name} of the image needs {what}, and no newer one fits.")

    def _reason(self, trouble: _Trouble, what: str) -> Blocked:
        name = f"{trouble.of.name} {trouble.of.version}"
        if trouble.against:
            return Blocked(
                NotFixable.NEEDS_REMOVAL,
                f"{name} cannot be together with {trouble.against[0].name} {trouble.against[0].version}.",
            )
        for each in trouble.wanted:
            for member in self._old.named(each.name):
                stays = self.blocked.get(member.key)
                if stays is not None:
                    return Blocked(stays.why, f"{name} needs {each}, which stays as it is: {stays.message}")
        return Blocked(NotFixable.NEEDS_NEW_DEPENDENCY, f"{name} needs {what}, which the image does not have.")

    def _block(self, key: Key, why: Blocked) -> None:
        self.moving.pop(key, None)
        self.blocked[key] = why

    def _member(self, record: Record) -> Member:
        candidate = self.moving.get((record.package.name, record.package.architecture))
        if candidate is None:
            return _installed(record)
        return Member(
            name=candidate.name,
            architecture=candidate.architecture,
            version=candidate.version,
            fields=candidate.fields,
        )

    def _old_of(self, member: Member) -> Member:
        return self._old.all[self._key_of(member)]

    def _key_of(self, member: Member) -> Key:
        return self._records_key(member.key)

    def _records_key(self, key: Key) -> Key:
        """The key in the image: a package may go from one architecture to `all` and back."""
        if key in self.records:
            return key
        name = key[0]
        return next(each for each in self.records if each[0] == name)


def _installed(record: Record) -> Member:
    return Member(
        name=record.package.name,
        architecture=record.package.architecture,
        version=record.package.version,
        fields=record.stanza.fields,
    )
