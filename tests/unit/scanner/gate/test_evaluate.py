"""A policy held against reports: FAIL beyond a limit, UNDECIDED for what nobody can tell, else PASS."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.report import Coverage, Report
from services.kernel.model.severity import Severity
from services.scanner.api import PlacedFinding
from services.scanner.gate.api import Decision, Exemption, GatePolicy, GateVerdict
from services.scanner.gate.evaluate import Evidence, evaluate
from tests.builders.reports import LODASH, LOG4J, OPENSSL, PARTIAL, a_report, baseline, malware, vulnerability

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def the_verdict(policy: GatePolicy, *reports: Report, now: datetime = NOW) -> GateVerdict:
    found = {finding.key: finding for report in reports for finding in report.findings}
    evidence = Evidence(
        reports=reports,
        findings=tuple(PlacedFinding(finding=each, platforms=("linux/amd64",)) for each in found.values()),
        digest=reports[0].image.digest,
        repository="team/app",
    )
    return evaluate(policy, evidence, now=now, age_limit=WEEK)


def codes(verdict: GateVerdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


def failing(verdict: GateVerdict) -> list[str]:
    return [placed.finding.id for placed in verdict.failing]


def found(*severities: Severity, fixed: str = "9") -> list[Finding]:
    return [
        vulnerability(OPENSSL, f"CVE-2024-{number}", severity=severity, aliases=(), fixed=fixed)
        for number, severity in enumerate(severities)
    ]


def test_an_image_with_nothing_in_it_passes_and_says_why() -> None:
    verdict = the_verdict(GatePolicy(), a_report([]))
    assert verdict.decision is Decision.PASS
    assert codes(verdict) == ["WITHIN_LIMITS"]
    assert set(verdict.counts.values()) == {0}


@pytest.mark.parametrize(
    ("fail_on", "severity", "decision"),
    [
        (Severity.HIGH, Severity.CRITICAL, Decision.FAIL),
        (Severity.HIGH, Severity.HIGH, Decision.FAIL),
        (Severity.HIGH, Severity.MEDIUM, Decision.PASS),
        (Severity.CRITICAL, Severity.HIGH, Decision.PASS),
        (Severity.LOW, Severity.LOW, Decision.FAIL),
        (Severity.CRITICAL, Severity.UNKNOWN, Decision.FAIL),
    ],
)
def test_findings_so_severe_or_worse_fail_and_so_do_those_of_unknown_severity(
    fail_on: Severity, severity: Severity, decision: Decision
) -> None:
    verdict = the_verdict(GatePolicy(fail_on=fail_on), a_report(found(severity)))
    assert verdict.decision is decision
    assert failing(verdict) == (["CVE-2024-0"] if decision is Decision.FAIL else [])


def test_unknown_severity_passes_only_where_it_is_ignored() -> None:
    verdict = the_verdict(GatePolicy(ignore_unknown=True), a_report(found(Severity.UNKNOWN)))
    assert verdict.decision is Decision.PASS
    assert verdict.counts[Severity.UNKNOWN] == 1


def test_each_severity_has_its_own_limit() -> None:
    policy = GatePolicy(allowed={Severity.HIGH: 1, Severity.LOW: 0, Severity.UNKNOWN: 1})
    within = the_verdict(policy, a_report(found(Severity.HIGH, Severity.MEDIUM, Severity.UNKNOWN)))
    assert within.decision is Decision.PASS
    beyond = the_verdict(policy, a_report(found(Severity.HIGH, Severity.HIGH, Severity.LOW)))
    assert [(each.code, each.detail, each.count) for each in beyond.reasons] == [
        ("TOO_MANY_FINDINGS", "HIGH", 2),
        ("TOO_MANY_FINDINGS", "LOW", 1),
    ]
    assert failing(beyond) == ["CVE-2024-0", "CVE-2024-1", "CVE-2024-2"]


def test_where_only_what_can_be_mended_counts_malware_and_secrets_count_all_the_same() -> None:
    policy = GatePolicy(fixable_only=True)
    assert the_verdict(policy, a_report(found(Severity.HIGH, fixed=""))).decision is Decision.PASS
    assert the_verdict(policy, a_report(found(Severity.HIGH))).decision is Decision.FAIL
    assert the_verdict(policy, a_report([malware()])).decision is Decision.FAIL
    assert the_verdict(policy, a_report([baseline()])).decision is Decision.FAIL


def test_only_the_named_kinds_count() -> None:
    report = a_report([malware(), *found(Severity.CRITICAL)])
    verdict = the_verdict(GatePolicy(kinds=frozenset({FindingKind.MALICIOUS_SAMPLE})), report)
    assert failing(verdict) == ["EICAR"]
    nothing = the_verdict(GatePolicy(kinds=frozenset({FindingKind.BASELINE_RISK})), report)
    assert nothing.decision is Decision.PASS


def test_a_kind_that_nobody_looked_for_is_undecided() -> None:
    report = a_report([])
    blind = {FindingKind.SYSTEM_VULNERABILITY.value: 0, FindingKind.APPLICATION_VULNERABILITY.value: 0}
    report = msgspec.structs.replace(report, summary=msgspec.structs.replace(report.summary, by_kind=blind))
    assert the_verdict(GatePolicy(), report).decision is Decision.PASS
    verdict = the_verdict(GatePolicy(kinds=frozenset({FindingKind.MALICIOUS_SAMPLE})), report)
    assert (verdict.decision, codes(verdict)) == (Decision.UNDECIDED, ["KIND_NOT_SOUGHT"])


# what nobody can tell


def test_a_report_that_is_not_whole_is_undecided_and_says_what_is_missing() -> None:
    verdict = the_verdict(GatePolicy(), a_report([], coverage=Coverage.PARTIAL, warnings=(PARTIAL, PARTIAL)))
    assert verdict.decision is Decision.UNDECIDED
    assert [(each.code, each.message, each.count) for each in verdict.reasons] == [
        ("FILE_NOT_READ", "A file could not be read.", 2)
    ]


def test_coverage_that_is_lowered_without_a_warning_is_undecided_too() -> None:
    verdict = the_verdict(GatePolicy(), a_report([], coverage=Coverage.NONE))
    assert (verdict.decision, codes(verdict)) == (Decision.UNDECIDED, ["NOT_JUDGED_IN_FULL"])


def test_a_failing_finding_fails_however_little_else_is_known() -> None:
    report = a_report(found(Severity.HIGH), coverage=Coverage.PARTIAL, warnings=(PARTIAL,))
    verdict = the_verdict(GatePolicy(), report)
    assert (verdict.decision, codes(verdict)) == (Decision.FAIL, ["TOO_MANY_FINDINGS", "FILE_NOT_READ"])


def test_a_sample_of_advisories_is_undecided() -> None:
    report = a_report([])
    report = msgspec.structs.replace(report, advisories=msgspec.structs.replace(report.advisories, sample=True))
    verdict = the_verdict(GatePolicy(), report)
    assert (verdict.decision, codes(verdict)) == (Decision.UNDECIDED, ["SAMPLE_ADVISORIES"])


@pytest.mark.parametrize(
    ("limit", "age", "decision"),
    [
        (None, WEEK - timedelta(hours=1), Decision.PASS),
        (None, WEEK + timedelta(hours=1), Decision.UNDECIDED),
        (timedelta(hours=6), timedelta(hours=7), Decision.UNDECIDED),
        (timedelta(days=30), timedelta(days=29), Decision.PASS),
    ],
)
def test_advisories_may_be_so_old_and_no_older(
    limit: timedelta | None, age: timedelta, decision: Decision
) -> None:
    report = a_report([])
    built_at = datetime.fromisoformat(report.advisories.built_at)
    verdict = the_verdict(GatePolicy(max_advisory_age=limit), report, now=built_at + age)
    assert verdict.decision is decision
    assert codes(verdict) == (["WITHIN_LIMITS"] if decision is Decision.PASS else ["ADVISORIES_TOO_OLD"])


def test_facts_of_last_year_are_old_though_they_were_imported_today() -> None:
    report = a_report([])
    told = msgspec.structs.replace(report.advisories, facts_at="2025-03-01T00:00:00Z")
    verdict = the_verdict(GatePolicy(), msgspec.structs.replace(report, advisories=told))
    assert (verdict.decision, codes(verdict)) == (Decision.UNDECIDED, ["ADVISORIES_TOO_OLD"])
    assert "2025-03-01" in verdict.reasons[0].message


def test_an_age_of_nothing_means_what_it_says() -> None:
    verdict = the_verdict(GatePolicy(max_advisory_age=timedelta(0)), a_report([]))
    assert (verdict.decision, codes(verdict)) == (Decision.UNDECIDED, ["ADVISORIES_TOO_OLD"])


@pytest.mark.parametrize("built_at", ["", "yesterday", "2026-02-28T23:00:00"])
def test_advisories_of_unknown_age_are_undecided(built_at: str) -> None:
    report = a_report([])
    report = msgspec.structs.replace(
        report, advisories=msgspec.structs.replace(report.advisories, built_at=built_at)
    )
    verdict = the_verdict(GatePolicy(), report)
    assert (verdict.decision, codes(verdict)) == (Decision.UNDECIDED, ["ADVISORIES_OF_UNKNOWN_AGE"])


def test_younger_advisories_that_it_was_not_judged_by_are_noted_and_no_doubt() -> None:
    report = a_report([])
    report = msgspec.structs.replace(report, advisories=msgspec.structs.replace(report.advisories, newer="a2"))
    verdict = the_verdict(GatePolicy(), report)
    assert verdict.decision is Decision.PASS
    assert [(note.code, note.detail) for note in verdict.notes] == [("NEWER_ADVISORIES", "a2")]


def test_one_platform_that_cannot_be_judged_makes_the_image_undecided() -> None:
    good, bad = a_report([]), a_report([], coverage=Coverage.PARTIAL, warnings=(PARTIAL,))
    bad = msgspec.structs.replace(bad, image=msgspec.structs.replace(bad.image, platform="linux/arm64"))
    verdict = the_verdict(GatePolicy(), good, bad)
    assert verdict.decision is Decision.UNDECIDED
    assert [each.message for each in verdict.reasons] == ["linux/arm64: A file could not be read."]


# exemptions


def an_exemption(finding_id: str = "CVE-2024-1", **others: object) -> Exemption:
    return dataclasses.replace(Exemption(finding_id=finding_id, reason="not reachable"), **others)  # type: ignore[arg-type]  # fields of it


@pytest.mark.parametrize(
    ("exemption", "decision"),
    [
        (an_exemption(), Decision.PASS),
        (an_exemption("ghsa-aaaa-bbbb-cccc"), Decision.PASS),
        (an_exemption("CVE-2024-2"), Decision.FAIL),
        (an_exemption(package="@acme/lodash"), Decision.PASS),
        (an_exemption(package="pkg:npm/%40acme/lodash"), Decision.PASS),
        (an_exemption(package="pkg:npm/%40acme/lodash@4.17.20"), Decision.PASS),
        (an_exemption(package="pkg:npm/%40acme/lodash@4.17.21"), Decision.FAIL),
        (an_exemption(package="log4j"), Decision.FAIL),
        (an_exemption(expires_at=NOW + timedelta(seconds=1)), Decision.PASS),
        (an_exemption(expires_at=NOW), Decision.FAIL),
    ],
)
def test_an_exemption_holds_for_its_finding_and_package_until_it_is_over(
    exemption: Exemption, decision: Decision
) -> None:
    verdict = the_verdict(GatePolicy(exemptions=(exemption,)), a_report([vulnerability(LODASH)]))
    assert verdict.decision is decision
    if decision is Decision.PASS:
        assert [(each.source, each.reason) for each in verdict.excused] == [("EXEMPTION", "not reachable")]
        assert verdict.notes == ()
    else:
        [note] = verdict.notes
        assert note.code == ("EXEMPTION_EXPIRED" if exemption.expires_at else "EXEMPTION_UNUSED")


def test_an_exemption_of_one_package_leaves_the_same_finding_in_another() -> None:
    report = a_report([vulnerability(LODASH), vulnerability(LOG4J)])
    verdict = the_verdict(GatePolicy(exemptions=(an_exemption(package="@acme/lodash"),)), report)
    assert [placed.finding.package for placed in verdict.failing] == [LOG4J]


SEVERITIES: Sequence[Severity] = tuple(Severity)


@given(
    severities=st.lists(st.sampled_from(SEVERITIES), max_size=8),
    policy=st.builds(
        GatePolicy,
        fail_on=st.sampled_from(SEVERITIES),
        ignore_unknown=st.booleans(),
        fixable_only=st.booleans(),
        allowed=st.just({}),
        kinds=st.just(frozenset()),
        exemptions=st.just(()),
        vex=st.just(()),
        max_advisory_age=st.none(),
    ),
    whole=st.booleans(),
    age=st.floats(0, 14),
)
def test_pass_is_never_said_by_accident(
    severities: list[Severity], policy: GatePolicy, whole: bool, age: float
) -> None:
    report = a_report(
        found(*severities),
        coverage=Coverage.FULL if whole else Coverage.PARTIAL,
        warnings=() if whole else (PARTIAL,),
    )
    now = datetime.fromisoformat(report.advisories.built_at) + timedelta(days=age)
    verdict = the_verdict(policy, report, now=now)
    bad = [
        each
        for each in severities
        if (each is Severity.UNKNOWN and not policy.ignore_unknown)
        or (each is not Severity.UNKNOWN and each.rank >= policy.fail_on.rank)
    ]
    sure = whole and age <= 7
    assert verdict.decision is (Decision.FAIL if bad else Decision.PASS if sure else Decision.UNDECIDED)
    assert len(verdict.failing) == len(bad)
    assert verdict.reasons
