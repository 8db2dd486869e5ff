"""What an inspection says: a rule was seen to hold somewhere."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from services.kernel.model.finding import FindingKind
from services.kernel.model.severity import Severity


class RuleFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a finding tells of its rule."""

    id: str
    kind: FindingKind
    severity: Severity
    title: str
    advice: str = ""
    link: str = ""
    lasting: bool = True
    """Whether it counts even if a later layer takes the file away: a secret is told by then, a setting is gone."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule, and where it was seen to hold. Whatever secret it saw is masked in it."""

    rule: RuleFacts
    path: str
    """Of the file in the image, without a leading slash; a member of an archive follows after `!`."""
    match: str = ""
    line: int = 0
    sha256: str = ""
    md5: str = ""


class Cut(NamedTuple):
    """Says that a rule did not look at the rest of a file, and why."""

    why: str


class Seen(NamedTuple):
    """What a rule about one file found in it."""

    rule: str
    """Id of the rule."""
    match: str
    line: int = 0
