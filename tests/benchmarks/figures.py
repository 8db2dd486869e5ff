"""What a benchmark yields: the rounds of one run, whose ratios mean something even on a busy machine."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Coroutine, Sequence


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One quantity, once for each round."""

    what: str
    rounds: tuple[float, ...]
    unit: str = ""
    """Empty for ratios."""
    bar: str = ""
    """What was promised, such as `>= 0.5`; empty where nothing was."""

    @property
    def median(self) -> float:
        """The round in the middle."""
        return statistics.median(self.rounds)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one benchmark found out."""

    question: str
    """A sentence that says exactly what was measured."""
    figures: tuple[Figure, ...]


Measure = Callable[[], Coroutine[object, object, Result]]


def ratio(what: str, numerators: Figure, denominators: Figure, *, bar: str = "") -> Figure:
    """Divides round by round: both were measured right after each other, under the same load."""
    pairs = zip(numerators.rounds, denominators.rounds, strict=True)
    return Figure(what=what, rounds=tuple(above / below for above, below in pairs), bar=bar)


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns the smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]
