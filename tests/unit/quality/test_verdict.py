"""What `make quality` makes of differences: judged ones are nobody's fault, others fail it, and so does a fall."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.quality import record
from tests.quality.compare import Difference, Figures, differences, figures
from tests.quality.facts import Fact, fact_of
from tests.quality.judged import Judged, Right, Side, read_judgements
from tests.quality.record import Verdict

BOTH = Fact(image="web", type="deb", name="bash", version="5", what="/var/lib/dpkg/status")
OURS = dataclasses.replace(BOTH, name="ours")
THEIRS = dataclasses.replace(BOTH, name="theirs")


def a_judgement(side: Side, right: Right, *, name: str = "*", judge: str = "syft") -> Judged:
    return Judged(judge=judge, said_by=side, right=right, why="looked at", name=name)


def counted(*judgements: Judged) -> Figures:
    found = differences("syft", {BOTH, OURS}, {BOTH, THEIRS}, judgements)
    return figures({BOTH, OURS}, {BOTH, THEIRS}, found)["deb"]


def a_verdict(found: list[Difference], *, not_run: tuple[str, ...] = (), fallen: tuple[str, ...] = ()) -> Verdict:
    return Verdict(
        figures={"syft": figures({BOTH, OURS}, {BOTH, THEIRS}, found)},
        differences={"syft": found},
        idle=(),
        images=(),
        not_run=not_run,
        fallen=fallen,
    )


def test_what_nobody_has_judged_counts_against_us() -> None:
    assert (counted().precision, counted().recall) == (0.5, 0.5)


def test_what_is_judged_for_us_counts_for_us_and_what_is_judged_for_the_judge_against_us() -> None:
    for_us = counted(a_judgement(Side.OURS, Right.DRYDOCK), a_judgement(Side.THEIRS, Right.DRYDOCK))
    against_us = counted(a_judgement(Side.OURS, Right.JUDGE), a_judgement(Side.THEIRS, Right.JUDGE))
    assert (for_us.precision, for_us.recall) == (1.0, 1.0)
    assert (against_us.precision, against_us.recall) == (0.5, 0.5)


def test_one_thing_in_two_words_is_nobodys_fault() -> None:
    both = counted(a_judgement(Side.OURS, Right.BOTH), a_judgement(Side.THEIRS, Right.BOTH))
    assert (both.precision, both.recall) == (1.0, 1.0)


def test_the_first_judgement_that_fits_counts_and_no_other_judges() -> None:
    judgements = (
        a_judgement(Side.OURS, Right.JUDGE, judge="trivy"),
        a_judgement(Side.OURS, Right.BOTH, name="our*"),
        a_judgement(Side.OURS, Right.JUDGE),
    )
    (ours, theirs) = differences("syft", {OURS}, {THEIRS}, judgements)
    assert (ours.judged, theirs.judged) == (judgements[1], None)


def test_only_a_whole_run_with_every_difference_judged_is_well() -> None:
    judged = differences(
        "syft", {OURS}, {THEIRS}, [a_judgement(Side.OURS, Right.JUDGE), a_judgement(Side.THEIRS, Right.JUDGE)]
    )
    assert a_verdict(judged).status == 0
    assert a_verdict(judged, not_run=("findings: no Go",)).status == 3
    assert a_verdict(judged, fallen=("the recall of deb fell",), not_run=("findings: no Go",)).status == 1
    unjudged = a_verdict(differences("syft", {OURS}, {THEIRS}, ()))
    assert unjudged.status == 1
    assert f"unjudged, only Drydock says: {OURS}" in unjudged.text()


def test_a_figure_below_the_recorded_one_is_told_and_one_that_was_not_run_is_not() -> None:
    before = {"syft": {"deb": {"precision": 0.4, "recall": 0.9}, "apk": {"precision": 1.0, "recall": 1.0}}}
    (line,) = record.fallen({"syft": {"deb": counted()}}, before)
    assert "recall of deb fell from 0.9000 to 0.5000" in line


@pytest.mark.parametrize(
    ("purl", "version", "name"),
    [
        ("pkg:pypi/Old_Tool@1", "1", "old-tool"),
        ("pkg:npm/%40scope/x@1", "1", "@scope/x"),
        ("pkg:golang/golang.org/x/net@v1", "v1", "golang.org/x/net"),
        ("pkg:deb/debian/bash@1", "1", "bash"),
        ("pkg:rpm/almalinux/bash@1", "0:1", "bash"),
    ],
)
def test_names_and_versions_of_two_programs_meet_in_one_spelling(purl: str, version: str, name: str) -> None:
    fact = fact_of("web", purl, version, "/x")
    assert (fact.name, fact.version) == (name, "1")


def test_every_judgement_of_ours_says_why() -> None:
    assert all(len(each.why) >= 20 for each in read_judgements())


def test_a_judgement_with_a_word_that_means_nothing_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "judged.toml"
    page.write_text('[[difference]]\njudge = "syft"\nsaid_by = "judge"\nright = "judge"\nwhy = "x"\nnmae = "y"\n')
    with pytest.raises(Exception, match="nmae"):
        read_judgements(page)
