import pytest

from services.kernel.model.severity import Severity
from services.scanner.advisories.osv import Affected, Record, Score, Specific
from services.scanner.advisories.severity import Judgement, combine, decide, judge

V2 = Score(type="CVSS_V2", score="AV:N/AC:L/Au:N/C:C/I:C/A:C")
V31 = Score(type="CVSS_V3", score="CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
V40_LOW = Score(type="CVSS_V4", score="CVSS:4.0/AV:L/AC:H/AT:P/PR:H/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N")


def judged(*scores: Score, word: object = None, own: list[Score] | None = None) -> Judgement:
    record = Record(id="X-1", severity=list(scores))
    return judge(record, Affected(severity=own, ecosystem_specific=Specific(severity=word)))


def test_the_newest_cvss_version_decides_not_the_highest_score() -> None:
    assert decide(judged(V2, V31, V40_LOW), system=False) is Severity.LOW


def test_a_distributions_word_comes_first_for_its_own_packages_only() -> None:
    judgement = judged(V31, word="low")
    assert decide(judgement, system=True) is Severity.LOW
    assert decide(judgement, system=False) is Severity.CRITICAL
    assert judgement.score == 9.8


def test_the_word_serves_where_there_is_no_score() -> None:
    assert decide(judged(word="moderate"), system=False) is Severity.MEDIUM


def test_cvss_2_ends_at_high() -> None:
    assert decide(judged(V2), system=False) is Severity.HIGH


def test_what_is_said_of_the_package_beats_what_is_said_of_all() -> None:
    assert decide(judged(V31, own=[V40_LOW]), system=False) is Severity.LOW


def test_a_score_of_a_distributions_own_type_is_a_word() -> None:
    assert decide(judged(Score(type="Ubuntu", score="high")), system=True) is Severity.HIGH


@pytest.mark.parametrize("vector", ["", "CVSS:3.1/AV:X", "CVSS:9", "9.8", "x" * 10_000])
def test_a_malformed_vector_counts_as_none(vector: str) -> None:
    judgement = judged(Score(type="CVSS_V3", score=vector))
    assert (decide(judgement, system=False), judgement.score) == (Severity.UNKNOWN, None)


@pytest.mark.parametrize("word", ["not yet assigned", 7, ["high"], {"level": "high"}, None])
def test_what_is_no_word_of_severity_says_nothing(word: object) -> None:
    assert decide(judged(word=word), system=True) is Severity.UNKNOWN


def test_several_records_give_the_worst_word_and_the_newest_score() -> None:
    combined = combine([judged(V2, word="low"), judged(V31, word="medium"), judged()])
    assert (combined.word, combined.cvss_version, combined.cvss_score) == (Severity.MEDIUM.rank, 31, 9.8)
