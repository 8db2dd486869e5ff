"""Holds what Drydock says against what a judge says, ecosystem by ecosystem."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence

from tests.quality.facts import Fact
from tests.quality.judged import Judged, Right, Side


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that only one of the two says."""

    side: Side
    fact: Fact
    judged: Judged | None
    """None while nobody has said who is right."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How well Drydock does on one ecosystem, by one judge."""

    agreed: int
    only_ours: int
    only_theirs: int
    wrong: int
    """Of what only we say, what is not so, or what nobody has judged."""
    missed: int
    """Of what only the judge says, what is so, or what nobody has judged."""

    @property
    def precision(self) -> float:
        """Of what Drydock says, the part that is so."""
        true = self.agreed + self.only_ours - self.wrong
        return true / (true + self.wrong) if true + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """Of what is so, the part that Drydock says."""
        true = self.agreed + self.only_ours - self.wrong
        return true / (true + self.missed) if true + self.missed else 1.0


def differences(
    judge: str, ours: Iterable[Fact], theirs: Iterable[Fact], judgements: Sequence[Judged]
) -> list[Difference]:
    """Returns what only one of the two says, each with the first judgement that speaks of it."""
    mine, others = set(ours), set(theirs)
    found = [(Side.OURS, fact) for fact in mine - others] + [(Side.THEIRS, fact) for fact in others - mine]
    return [
        Difference(
            side=side,
            fact=fact,
            judged=next((each for each in judgements if each.speaks_of(judge, side, fact)), None),
        )
        for side, fact in sorted(found)
    ]


def figures(ours: Iterable[Fact], theirs: Iterable[Fact], found: Sequence[Difference]) -> dict[str, Figures]:
    """Counts for each type of package."""
    mine, others = set(ours), set(theirs)
    by_type: dict[str, list[Difference]] = defaultdict(list)
    for difference in found:
        by_type[difference.fact.type].append(difference)
    counted = {}
    for kind in sorted({fact.type for fact in mine | others}):
        of_kind = by_type[kind]
        counted[kind] = Figures(
            agreed=sum(fact.type == kind for fact in mine & others),
            only_ours=sum(each.side is Side.OURS for each in of_kind),
            only_theirs=sum(each.side is Side.THEIRS for each in of_kind),
            wrong=sum(each.side is Side.OURS and not _stands_with(each, Right.DRYDOCK) for each in of_kind),
            missed=sum(each.side is Side.THEIRS and not _stands_with(each, Right.DRYDOCK) for each in of_kind),
        )
    return counted


def _stands_with(difference: Difference, right: Right) -> bool:
    """What is said in two ways by both is nobody's fault."""
    return difference.judged is not None and difference.judged.right in (right, Right.BOTH)
