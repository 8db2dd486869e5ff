"""What became of findings: never called fixed when nobody vouches for it."""

from __future__ import annotations

import msgspec

from services.fixer.order import Verdict
from services.fixer.outcomes import left, planned
from services.fixer.plan.outcome import NotFixable, Refusal
from services.fixer.proof.verdicts import judge
from services.kernel.model.finding import FindingKind
from services.kernel.model.report import Coverage
from tests.builders.fixes import ref, upgrade
from tests.builders.reports import OPENSSL, PARTIAL, a_report, vulnerability

OLD = vulnerability(OPENSSL, "CVE-2024-2", kind=FindingKind.SYSTEM_VULNERABILITY)
NEWER = msgspec.structs.replace(OPENSSL, version="9-1")
PLAN = planned([upgrade(ref())], [])


def test_a_plan_names_every_finding_once_with_what_is_to_become_of_it() -> None:
    refused = Refusal(
        finding=ref("CVE-2024-1", fixed=""), why=NotFixable.NO_FIXED_VERSION, message="There is none."
    )
    outcomes = planned([upgrade(ref(), ref("CVE-2024-3"))], [refused])
    assert [(each.finding.id, each.verdict) for each in outcomes] == [
        ("CVE-2024-1", Verdict.NOT_FIXABLE),
        ("CVE-2024-2", Verdict.FIXED),
        ("CVE-2024-3", Verdict.FIXED),
    ]
    assert outcomes[1].message == "libssl3 goes from 3.0.11-1 to 9-1."


def test_what_the_later_scan_does_not_find_is_fixed() -> None:
    judged = judge(PLAN, a_report([OLD]), a_report([]))
    assert [each.verdict for each in judged.outcomes] == [Verdict.FIXED]
    assert judged.new == 0


def test_what_the_later_scan_finds_in_the_newer_version_is_still_present() -> None:
    judged = judge(PLAN, a_report([OLD]), a_report([msgspec.structs.replace(OLD, package=NEWER)]))
    assert [each.verdict for each in judged.outcomes] == [Verdict.STILL_PRESENT]
    assert judged.new == 0


def test_nothing_is_called_fixed_by_a_scan_that_could_judge_less() -> None:
    doubted = a_report([], coverage=Coverage.PARTIAL, warnings=(PARTIAL,))
    assert [each.verdict for each in judge(PLAN, a_report([OLD]), doubted).outcomes] == [Verdict.STILL_PRESENT]
    assert [each.verdict for each in judge(PLAN, doubted, doubted).outcomes] == [Verdict.FIXED]


def test_a_scan_that_could_not_judge_something_else_is_doubted_as_well() -> None:
    other = msgspec.structs.replace(PARTIAL, code="RECORD_BROKEN", path="/var/lib/dpkg/status")
    before = a_report([OLD], coverage=Coverage.PARTIAL, warnings=(PARTIAL,))
    after = a_report([], coverage=Coverage.PARTIAL, warnings=(other,))
    assert [each.verdict for each in judge(PLAN, before, after).outcomes] == [Verdict.STILL_PRESENT]


def test_a_scan_that_has_not_seen_the_package_proves_nothing() -> None:
    judged = judge(PLAN, a_report([OLD]), a_report([], packages=()))
    assert [each.verdict for each in judged.outcomes] == [Verdict.STILL_PRESENT]


def test_a_finding_is_known_by_its_other_ids() -> None:
    """Advisories change between two scans: what had the advisory's own id gets a CVE id, or another one."""
    under_another = vulnerability(NEWER, "CVE-2025-7", aliases=("CVE-2024-2",))
    with_alias = msgspec.structs.replace(OLD, aliases=("DSA-1",))
    by_alias, by_both = (
        vulnerability(NEWER, "DSA-1", aliases=()),
        vulnerability(NEWER, "CVE-9", aliases=("DSA-1",)),
    )
    for before, after, verdict in (
        (OLD, under_another, Verdict.STILL_PRESENT),
        (with_alias, by_alias, Verdict.STILL_PRESENT),
        (with_alias, by_both, Verdict.FIXED),  # one advisory, two things
    ):
        assert [each.verdict for each in judge(PLAN, a_report([before]), a_report([after])).outcomes] == [verdict]


def test_a_finding_that_the_fix_brought_is_counted() -> None:
    brought = vulnerability(NEWER, "CVE-2025-1", kind=FindingKind.SYSTEM_VULNERABILITY)
    assert judge(PLAN, a_report([OLD]), a_report([brought])).new == 1


def test_a_platform_that_is_left_keeps_its_findings() -> None:
    assert [(each.verdict, each.why) for each in left([ref()], "It is of Windows.")] == [
        (Verdict.NOT_FIXABLE, NotFixable.PLATFORM_NOT_FIXED)
    ]
