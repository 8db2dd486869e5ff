"""The verdict of a run, how it is told, and the figures that the next run is held against."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.quality.compare import Difference, Figures
from tests.quality.corpus.image import CorpusImage
from tests.quality.judged import Judged, Right, Side

PAGE = Path(__file__).parents[2] / "docs" / "quality.md"
FIGURES = Path(__file__).with_name("recorded.json")
_GENERATED = re.compile(r"(<!-- begin: make quality -->\n).*(<!-- end: make quality -->\n)", re.DOTALL)
_TITLES = {"syft": "Inventories, by Syft", "trivy": "Findings, by Trivy on the same advisories"}
_SHOWN = 40
"""Differences that nobody has judged, of each judge; more of them are counted."""

Recorded = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Precision and recall for each type, for each judge."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All that a run found."""

    figures: Mapping[str, Mapping[str, Figures]]
    """For each judge and type of package."""
    differences: Mapping[str, list[Difference]]
    idle: tuple[Judged, ...]
    """Judgements that speak of nothing any more."""
    images: tuple[CorpusImage, ...]
    not_run: tuple[str, ...]
    fallen: tuple[str, ...]
    """Figures below the recorded ones."""

    @property
    def unjudged(self) -> list[tuple[str, Difference]]:
        """What only one of two says, and nobody has said who is right."""
        return [
            (judge, each) for judge, found in self.differences.items() for each in found if each.judged is None
        ]

    @property
    def status(self) -> int:
        """The exit status."""
        if self.unjudged or self.fallen or self.idle:
            return 1
        return 3 if self.not_run else 0

    def text(self) -> str:
        """Tells it to a person."""
        return "\n".join([*_tables(self), "", *_complaints(self)])


def read() -> Recorded:
    """Returns the recorded figures; empty when none were."""
    found: Recorded = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    return found


def fallen(figures: Mapping[str, Mapping[str, Figures]], recorded: Recorded) -> Iterator[str]:
    """Tells each figure that is lower than it was, of what was run."""
    for judge, by_type in recorded.items():
        for kind, before in by_type.items():
            now = figures.get(judge, {}).get(kind)
            for word in ("precision", "recall") if now else ():
                value = getattr(now, word)
                if value < before[word]:
                    yield f"{_TITLES[judge]}: the {word} of {kind} fell from {before[word]:.4f} to {value:.4f}"


def write(verdict: Verdict) -> None:
    """Makes the figures of a whole run the ones that are promised, in the page and for the next run."""
    figures = {
        judge: {kind: {"precision": each.precision, "recall": each.recall} for kind, each in by_type.items()}
        for judge, by_type in verdict.figures.items()
    }
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    lines = [f"{datetime.now(UTC):%Y-%m-%d}.", "", *_corpus(verdict), *_tables(verdict), *_judgements(verdict)]
    content = "\n".join(lines)
    PAGE.write_text(_GENERATED.sub(lambda found: f"{found[1]}{content}\n{found[2]}", PAGE.read_text()))


def _corpus(verdict: Verdict) -> Iterator[str]:
    yield from ("### The corpus", "", "| image | of what |", "|---|---|")
    yield from (f"| {image.name} | {image.origin} |" for image in verdict.images)


def _tables(verdict: Verdict) -> Iterator[str]:
    for judge, by_type in verdict.figures.items():
        yield from ("", f"### {_TITLES[judge]}", "")
        yield "| type | both say | only Drydock | only the judge | precision | recall |"
        yield "|---|---|---|---|---|---|"
        for kind, each in by_type.items():
            yield (
                f"| {kind} | {each.agreed:,} | {each.only_ours:,} | {each.only_theirs:,} "
                f"| {each.precision:.4f} | {each.recall:.4f} |"
            )


def _judgements(verdict: Verdict) -> Iterator[str]:
    """The differences, each with its judgement: this is what a reader wants to know."""
    counted = Counter(
        each.judged for found in verdict.differences.values() for each in found if each.judged is not None
    )
    yield from ("", "### Where they differ, and who is right", "")
    yield from ("| judge | who says it | of what | times | right | why |", "|---|---|---|---|---|---|")
    for judged, times in counted.items():
        who = "Drydock alone" if judged.said_by is Side.OURS else f"{judged.judge.title()} alone"
        right = {Right.DRYDOCK: "Drydock", Right.JUDGE: judged.judge.title(), Right.BOTH: "both"}[judged.right]
        yield f"| {judged.judge.title()} | {who} | {_of_what(judged)} | {times} | {right} | {judged.why} |"


def _of_what(judged: Judged) -> str:
    parts = (judged.image, judged.type, judged.name, judged.version, judged.what)
    return " ".join(f"`{part or '-'}`" for part in parts if part != "*") or "all"


def _complaints(verdict: Verdict) -> Iterator[str]:
    for judge in verdict.differences:
        open_ones = [each for of, each in verdict.unjudged if of == judge]
        for each in open_ones[:_SHOWN]:
            who = "only Drydock" if each.side is Side.OURS else f"only {judge.title()}"
            yield f"unjudged, {who} says: {each.fact}"
        if len(open_ones) > _SHOWN:
            yield f"… and {len(open_ones) - _SHOWN} more that only one of Drydock and {judge.title()} says"
    yield from verdict.fallen
    for judged in verdict.idle:
        yield f"a judgement of {judged.judge} speaks of nothing any more: {_of_what(judged)}: {judged.why}"
    if verdict.not_run:
        yield "Not run here:"
        yield from (f"  - {line}" for line in verdict.not_run)
    if verdict.status == 1:
        yield "A difference wants a judgement in tests/quality/judged.toml, or a mend."
