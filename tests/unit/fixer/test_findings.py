"""Which findings of a report a fix is asked for."""

from __future__ import annotations

import msgspec

from services.fixer.findings import wanted_of
from services.fixer.plan.outcome import NotFixable
from services.kernel.model.finding import FindingKind
from services.kernel.model.report import EngineInfo
from tests.builders.reports import OPENSSL, a_report, vulnerability

SYSTEM = vulnerability(OPENSSL, "CVE-2024-2", kind=FindingKind.SYSTEM_VULNERABILITY)


def test_with_none_named_every_vulnerability_of_the_system_is_asked_for() -> None:
    wanted = wanted_of(a_report(), ())
    assert [(ref.id, ref.package, ref.fixed_version) for ref in wanted.findings] == [
        ("CVE-2024-2", "libssl3", "9")
    ]
    assert wanted.refusals == ()


def test_what_is_named_and_of_no_package_of_the_system_is_refused() -> None:
    wanted = wanted_of(a_report(), {"CVE-2024-1", "EICAR", "CVE-2024-2"})
    assert [ref.id for ref in wanted.findings] == ["CVE-2024-2"]
    assert {each.finding.id for each in wanted.refusals} == {"CVE-2024-1", "EICAR"}
    assert {each.why for each in wanted.refusals} == {NotFixable.NOT_A_SYSTEM_PACKAGE}


def test_a_finding_that_is_told_twice_is_asked_for_once() -> None:
    assert len(wanted_of(a_report([SYSTEM, SYSTEM]), ()).findings) == 1


def test_what_trivy_alone_found_is_not_asked_for() -> None:
    both = msgspec.structs.replace(SYSTEM, engines=("SECURITY_CENTER", "TRIVY"))
    alone = msgspec.structs.replace(SYSTEM, id="CVE-2024-3", engines=("TRIVY",))
    assert [ref.id for ref in wanted_of(a_report([both, alone]), ()).findings] == ["CVE-2024-2"]
    by_trivy = msgspec.structs.replace(a_report([SYSTEM]), engine=EngineInfo(name="TRIVY", version="0.72.0"))
    assert wanted_of(by_trivy, ()).findings == ()
