"""How bad a record says it is: CVSS vectors (FIRST, v2.0 to v4.0) and the words of distributions and databases."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec
from cvss import CVSS2, CVSS3, CVSS4, CVSSError

from services.kernel.model.severity import Severity
from services.scanner.advisories.osv import Affected, Record, Score, Specific

_WORDS: Final = {
    "critical": Severity.CRITICAL,
    "high": Severity.HIGH,
    "important": Severity.HIGH,
    "medium": Severity.MEDIUM,
    "moderate": Severity.MEDIUM,
    "low": Severity.LOW,
    "minor": Severity.LOW,
    "negligible": Severity.LOW,
    "unimportant": Severity.LOW,
}
_RANKED: Final = tuple(Severity)
_MAX_VECTOR: Final = 512


class Judgement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one record, or all of them together, say about severity."""

    word: int = 0
    """Rank of the word; 0 where none was given."""
    cvss_version: int = 0
    """20, 30, 31 or 40; 0 where there is no CVSS."""
    cvss_score: float = 0.0
    """Base score of the newest version; the highest where several were given."""

    @property
    def score(self) -> float | None:
        """The base score, None where nobody gave one."""
        return self.cvss_score if self.cvss_version else None


def judge(record: Record, affected: Affected) -> Judgement:
    """Reads all that a record says about one package; what is said of the package beats what is said of all."""
    scores = affected.severity or record.severity or []
    word = max((_word(score.score) for score in scores if not score.type.startswith("CVSS")), default=0)
    word = word or _specific_word(affected.ecosystem_specific) or _specific_word(affected.database_specific)
    word = word or _specific_word(record.database_specific)
    version, points = max((_base_score(score) for score in scores), default=(0, 0.0))
    return Judgement(word, version, points)


def combine(judgements: Iterable[Judgement]) -> Judgement:
    """Several records about one thing: the worst word; the newest CVSS version, and its highest score."""
    word, cvss = 0, (0, 0.0)
    for judgement in judgements:
        word = max(word, judgement.word)
        cvss = max(cvss, (judgement.cvss_version, judgement.cvss_score))
    return Judgement(word, *cvss)


def decide(judgement: Judgement, *, system: bool) -> Severity:
    """A distribution's word comes first for its own packages, for others the CVSS score does."""
    by_word = _RANKED[judgement.word]
    by_score = _of_score(judgement)
    first, second = (by_word, by_score) if system else (by_score, by_word)
    return second if first is Severity.UNKNOWN else first


def _of_score(judgement: Judgement) -> Severity:
    """CVSS v3.1, section 5, "Qualitative Severity Rating Scale"; its "None" is our LOW, as nothing is below it."""
    if not judgement.cvss_version:
        return Severity.UNKNOWN
    for least, severity in ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM)):
        if judgement.cvss_score >= least:
            # CVSS v2 ends at High.
            return Severity.HIGH if judgement.cvss_version == 20 and severity is Severity.CRITICAL else severity
    return Severity.LOW


def _specific_word(specific: Specific | None) -> int:
    if specific is None:
        return 0
    return max(_word(specific.severity), _word(specific.urgency), _word(specific.ubuntu_priority))


def _word(text: object) -> int:
    # Debian marks a provisional urgency with asterisks.
    severity = _WORDS.get(text.strip(" *").lower()) if isinstance(text, str) else None
    return severity.rank if severity else 0


def _base_score(score: Score) -> tuple[int, float]:
    return _parse(score.score) if score.type.startswith("CVSS") else (0, 0.0)


@lru_cache(maxsize=8_192)
def _parse(vector: str) -> tuple[int, float]:
    """Version and base score; a vector that breaks the rules counts as none given."""
    if len(vector) > _MAX_VECTOR:
        return (0, 0.0)
    try:
        if vector.startswith("CVSS:4"):
            return (40, float(CVSS4(vector).base_score))
        if vector.startswith("CVSS:3"):
            return (31 if vector.startswith("CVSS:3.1") else 30, float(CVSS3(vector).base_score))
        return (20, float(CVSS2(vector).base_score))
    except CVSSError:
        return (0, 0.0)
