"""What is known of differences between Drydock and its judges: who is right, and why (`judged.toml`)."""

from __future__ import annotations

import enum
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from tests.quality.facts import Fact

PAGE = Path(__file__).with_name("judged.toml")


class Side(enum.StrEnum):
    """Who alone says it."""

    OURS = "drydock"
    THEIRS = "judge"


class Right(enum.StrEnum):
    """Who is right."""

    DRYDOCK = "drydock"
    JUDGE = "judge"
    BOTH = "both"
    """One thing in two words: the other side says it, too, in another way."""


class Judged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One judgement. Its patterns are those of file names, and all must fit."""

    judge: str
    """`syft` for packages, `trivy` for findings."""
    said_by: Side
    right: Right
    why: str
    image: str = "*"
    type: str = "*"
    name: str = "*"
    version: str = "*"
    what: str = "*"

    def speaks_of(self, judge: str, side: Side, fact: Fact) -> bool:
        """Tells whether it is about this difference."""
        return (
            (self.judge, self.said_by) == (judge, side)
            and fnmatchcase(fact.image, self.image)
            and fnmatchcase(fact.type, self.type)
            and fnmatchcase(fact.name, self.name)
            and fnmatchcase(fact.version, self.version)
            and fnmatchcase(fact.what, self.what)
        )


class _Page(msgspec.Struct, forbid_unknown_fields=True):
    difference: list[Judged] = []


def read_judgements(page: Path = PAGE) -> tuple[Judged, ...]:
    """Returns the judgements in their order: the first that fits a difference counts."""
    return tuple(msgspec.convert(tomllib.loads(page.read_text()), type=_Page).difference)
