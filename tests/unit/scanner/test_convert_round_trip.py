"""Whatever the scanner says or is told crosses the network unchanged, field by field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from drydock.scanner.v1 import gate_pb2, scan_pb2
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import digest_of
from services.kernel.model.finding import Finding, FindingKind, Package, SourcePackage
from services.kernel.model.severity import Severity
from services.scanner import convert, convert_gate, convert_runs, convert_sync
from services.scanner.api import (
    Comparison,
    FindingFilter,
    ImageQuery,
    ImageStanding,
    PlacedFinding,
    PlatformScan,
    ReasonCount,
    Removal,
    Run,
    SeenTag,
    State,
    Task,
    TaskFilter,
)
from services.scanner.convert_comparison import from_comparison, to_comparison
from services.scanner.gate.api import (
    Excused,
    Exemption,
    GateAnswer,
    GatePolicy,
    GateReason,
    GateVerdict,
)
from tests.builders.scanner import LOANS
from tests.builders.whole import whole

DIGESTS = st.binary().map(digest_of)
COUNTS = st.dictionaries(st.sampled_from(Severity), st.integers(0, 2**31 - 1))
PACKAGES = whole(Package, source=st.none() | whole(SourcePackage))
FINDINGS = whole(
    Finding,
    package=st.none() | PACKAGES,
    score=st.none() | st.floats(0, 10),
    line=st.integers(0, 2**31 - 1),
)


TASKS = whole(
    Task, digest=DIGESTS, findings=COUNTS, platforms=st.lists(whole(PlatformScan), max_size=3).map(tuple)
)


@given(TASKS)
def test_tasks(task: Task) -> None:
    assert convert.from_task(convert.to_task(task)) == task


@given(
    whole(
        RegistryAccess,
        address=st.sampled_from(["core:8080", "harbor.example.com", "[::1]:5000"]),
        password=st.text().map(SecretStr),
        token=st.text().map(SecretStr),
    )
)
def test_accesses_that_are_lent(access: RegistryAccess) -> None:
    assert convert.from_lent(convert.to_lent(access)) == access
    assert LOANS.open("a task", LOANS.seal("a task", access)) == access


@given(whole(Removal, tasks=st.integers(0, 2**31 - 1), reports=st.integers(0, 2**31 - 1)))
def test_removals(removal: Removal) -> None:
    assert convert_sync.from_removal(convert_sync.to_removal(removal)) == removal


@given(whole(SeenTag))
def test_tags_as_last_seen(tag: SeenTag) -> None:
    assert convert_sync.from_seen_tag(convert_sync.to_seen_tag(tag)) == tag


SMALL = st.integers(0, 2**31 - 1)
NUMBERS = (
    *("repositories", "tags", "images", "pending", "running", "retrying", "complete", "undecided", "failed"),
    *("unresolved", "vanished"),
)
REASONS = st.lists(whole(ReasonCount, count=SMALL), max_size=3).map(tuple)


@given(whole(Run, findings=COUNTS, failures=REASONS, **dict.fromkeys(NUMBERS, SMALL)))
def test_runs(run: Run) -> None:
    assert convert_runs.from_run(convert_runs.to_run(run)) == run


@given(whole(TaskFilter))
def test_filters_of_tasks(wanted: TaskFilter) -> None:
    request = convert_runs.to_list_tasks(wanted, page_size=7, page_token="t")
    assert (convert_runs.from_task_filter(request), request.page_size, request.page_token) == (wanted, 7, "t")


@given(whole(PlacedFinding, finding=FINDINGS))
def test_findings(placed: PlacedFinding) -> None:
    assert convert.from_finding(convert.to_finding(placed)) == placed


@given(whole(ImageQuery, digest=st.none() | DIGESTS), whole(FindingFilter))
def test_questions(image: ImageQuery, wanted: FindingFilter) -> None:
    request = convert.to_wanted(image, wanted)
    assert (convert.from_query(request.image), convert.from_wanted(request)) == (image, wanted)


@given(st.none() | st.sampled_from(State))
def test_states(state: State | None) -> None:
    assert convert.from_state(convert.to_state(state)) is state


@pytest.mark.parametrize("field", ["state", "coverage", "engine", "digest", "severity"])
def test_a_word_of_a_newer_release_is_a_clear_error(field: str) -> None:
    said = scan_pb2.Task(
        digest="sha256:" + "0" * 64, engine="TRIVY", state=scan_pb2.STATE_COMPLETE, coverage="FULL"
    )
    if field == "severity":
        said.findings["APOCALYPTIC"] = 1
    else:
        setattr(said, field, 99 if field == "state" else "NEW")
    with pytest.raises(ServiceError) as caught:
        convert.from_task(said)
    assert caught.value.reason == "NEWER_RELEASE"


GATE_REASONS = st.lists(whole(GateReason, count=SMALL), max_size=3).map(tuple)
PLACED = whole(PlacedFinding, finding=FINDINGS)
MOMENTS = st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@given(
    whole(
        GatePolicy,
        allowed=COUNTS,
        exemptions=st.lists(
            whole(Exemption, finding_id=WORDS, reason=WORDS, expires_at=st.none() | MOMENTS), max_size=2
        ).map(tuple),
        vex=st.lists(st.binary(), max_size=2).map(tuple),
        max_advisory_age=st.none() | st.integers(1, 10**8).map(lambda seconds: timedelta(seconds=seconds)),
    )
)
def test_policies(policy: GatePolicy) -> None:
    assert convert_gate.from_policy(convert_gate.to_policy(policy)) == policy


@given(
    whole(
        GateAnswer,
        digest=st.none() | DIGESTS,
        verdict=whole(
            GateVerdict,
            reasons=GATE_REASONS,
            notes=GATE_REASONS,
            counts=COUNTS,
            failing=st.lists(PLACED, max_size=2).map(tuple),
            excused=st.lists(whole(Excused, placed=PLACED), max_size=2).map(tuple),
        ),
    )
)
def test_verdicts(answer: GateAnswer) -> None:
    assert convert_gate.from_verdict(convert_gate.to_verdict(answer)) == answer


@given(whole(ImageStanding, digest=DIGESTS, task=st.none() | TASKS))
def test_standings(standing: ImageStanding) -> None:
    assert convert_gate.from_standing(convert_gate.to_standing(standing)) == standing


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (gate_pb2.GatePolicy(fail_on="AWFUL"), "INVALID_SEVERITY"),
        (gate_pb2.GatePolicy(allowed={"AWFUL": 1}), "INVALID_SEVERITY"),
        (gate_pb2.GatePolicy(allowed={"HIGH": -1}), "INVALID_LIMIT"),
        (gate_pb2.GatePolicy(kinds=["BUG"]), "INVALID_KIND"),
        (gate_pb2.GatePolicy(exemptions=[gate_pb2.Exemption(finding_id="CVE-1")]), "INVALID_EXEMPTION"),
        (gate_pb2.GatePolicy(exemptions=[gate_pb2.Exemption(reason="so")]), "INVALID_EXEMPTION"),
        (
            gate_pb2.GatePolicy(exemptions=[gate_pb2.Exemption(finding_id="CVE-1", reason="so")] * 5_001),
            "INVALID_EXEMPTION",
        ),
        (gate_pb2.GatePolicy(max_advisory_age={"seconds": -1}), "INVALID_AGE"),  # type: ignore[arg-type]  # protobuf takes it
    ],
)
def test_a_policy_that_cannot_be_is_refused(policy: gate_pb2.GatePolicy, reason: str) -> None:
    with pytest.raises(ServiceError) as caught:
        convert_gate.from_policy(policy)
    assert (caught.value.kind, caught.value.reason) == (Kind.INVALID_ARGUMENT, reason)


@given(
    whole(
        Comparison,
        found=st.dictionaries(st.sampled_from(FindingKind), COUNTS),
        new=st.dictionaries(st.sampled_from(FindingKind), COUNTS),
        examples=st.lists(FINDINGS, max_size=3).map(tuple),
    )
)
def test_comparisons(comparison: Comparison) -> None:
    assert from_comparison(to_comparison(comparison)) == comparison
