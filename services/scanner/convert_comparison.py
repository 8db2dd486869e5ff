"""What a comparison says, between protobuf and our own values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from drydock.scanner.v1 import scanner_inner_service_pb2 as pb
from services.kernel.model.finding import FindingKind
from services.kernel.model.severity import Severity
from services.kernel.rpc.answers import answer_of
from services.scanner.api import Comparison, PlacedFinding
from services.scanner.convert import from_finding, to_finding

Counts = Mapping[FindingKind, Mapping[Severity, int]]


def to_comparison(comparison: Comparison) -> pb.CompareTaskResponse:
    """Writes a comparison."""
    return pb.CompareTaskResponse(
        task_id=comparison.task_id,
        earlier_task_id=comparison.earlier_task_id,
        doubt=comparison.doubt,
        found=_to_counts(comparison.found),
        new=_to_counts(comparison.new),
        examples=[to_finding(PlacedFinding(finding=each, platforms=())) for each in comparison.examples],
    )


@answer_of("scanner")
def from_comparison(said: pb.CompareTaskResponse) -> Comparison:
    """Reads a comparison.

    Raises:
        ServiceError: NEWER_RELEASE for a kind or severity that this release does not know.
    """
    return Comparison(
        task_id=said.task_id,
        earlier_task_id=said.earlier_task_id,
        doubt=said.doubt,
        found=_from_counts(said.found),
        new=_from_counts(said.new),
        examples=tuple(from_finding(each).finding for each in said.examples),
    )


def _to_counts(counts: Counts) -> list[pb.KindCounts]:
    return [
        pb.KindCounts(kind=kind.value, by_severity={severity.value: count for severity, count in of_kind.items()})
        for kind, of_kind in counts.items()
    ]


def _from_counts(said: Iterable[pb.KindCounts]) -> Counts:
    return {
        FindingKind(each.kind): {Severity(word): count for word, count in each.by_severity.items()}
        for each in said
    }
