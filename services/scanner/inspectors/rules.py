"""Rule packs: what the baseline rules are, as `docs/rule-packs.md` documents the format of their files."""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from services.kernel.model.finding import FindingKind
from services.kernel.model.severity import Severity
from services.scanner.inspectors.interface import RuleFacts

CORE_WITHIN: Final = 64
PACKS: Final = Path(__file__).parent / "packs"
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Place(enum.Enum):
    """Where a pattern is looked for."""

    FILE = "file"
    ENV = "env"
    HISTORY = "history"


class Samples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a rule has to find, and what it has to leave alone; a middle dot in a sample is taken out of it."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]
    path: str = ""
    """Of the samples; by default a name that the rule wants."""
    place: Place = Place.FILE


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A baseline rule: a pattern, or the name of a check that is written in Python."""

    id: str
    level: Severity
    title: str
    advice: str
    references: tuple[str, ...]
    samples: Samples
    pattern: str = ""
    """RE2 over bytes; its one group, if it has one, is the secret."""
    core: str = ""
    """RE2: the part of the pattern that YARA looks for, at most CORE_WITHIN bytes behind its beginning."""
    check: bool = False
    """Whether code of the inspectors knows when it holds."""
    places: tuple[Place, ...] = (Place.FILE, Place.ENV, Place.HISTORY)
    paths: tuple[str, ...] = ()
    """Globs; without any, every text file is searched."""
    not_paths: tuple[str, ...] = ()
    allow: str = ""
    """RE2: where it is found in what was matched, nothing is told."""
    entropy: float = 0.0
    """Bits for each character that the secret has at least."""
    weak: bool = False
    """Whether the pattern alone proves little: files that packages bring are left alone then."""
    setting: bool = False
    """Whether it is gone with its file: a secret is not."""

    @property
    def facts(self) -> RuleFacts:
        """What a finding tells of it."""
        return RuleFacts(
            id=self.id,
            kind=FindingKind.BASELINE_RISK,
            severity=self.level,
            title=self.title,
            advice=self.advice,
            link=self.references[0],
            lasting=not self.setting,
        )


class _Pack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: tuple[Rule, ...]


@cache
def baseline_rules() -> tuple[Rule, ...]:
    """Returns the rules that ship with Drydock; each id is there once."""
    rules = tuple(rule for file in sorted(PACKS.glob("*.toml")) for rule in _read(file))
    ids = [rule.id for rule in rules]
    if len(set(ids)) != len(ids) or not all(_ID.fullmatch(each) for each in ids):
        raise ValueError("the ids of rules are words with dashes, each there once")
    return rules


@cache
def packs_digest() -> str:
    """Returns the digest of the packs that ship with Drydock."""
    digest = hashlib.sha256()
    for file in sorted(PACKS.iterdir()):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _read(file: Path) -> Iterator[Rule]:
    for rule in msgspec.toml.decode(file.read_bytes(), type=_Pack).rule:
        if bool(rule.pattern) == rule.check or not rule.references:
            raise ValueError(f"{rule.id}: either a pattern or a check, and a reference")
        yield rule
