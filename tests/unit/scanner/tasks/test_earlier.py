"""What other engines found earlier counts until they have looked again."""

from __future__ import annotations

import msgspec

from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding
from services.kernel.model.report import EngineInfo, Report
from services.scanner.api import State
from services.scanner.records import Outcome
from services.scanner.tasks.earlier import with_earlier
from services.scanner.tasks.verdict import merge_engines
from tests.builders.reports import LODASH, OPENSSL, a_report, malware, vulnerability

AMD, ARM = "linux/amd64", "linux/arm64"
FAILED = Outcome(state=State.FAILED, reason="WORKER_DIED", message="It died.")


def of_ours(*findings: Finding) -> Report:
    return a_report(findings, packages=())


def of_trivy(*findings: Finding) -> Report:
    return msgspec.structs.replace(of_ours(*findings), engine=EngineInfo(name="TRIVY", version="0.72.0"))


def counted(newest: Report, *earlier: Report) -> list[str]:
    joined = with_earlier({AMD: newest}, [{AMD: each} for each in earlier])
    return sorted(finding.id for finding in joined[AMD].findings)


def test_what_the_newest_scan_says_alone_stays_as_it_is() -> None:
    newest = of_trivy(vulnerability(OPENSSL))

    assert with_earlier({AMD: newest}, [{AMD: of_ours()}]) == {AMD: newest}


def test_the_same_thing_counts_once_by_whichever_of_its_names() -> None:
    ours = vulnerability(OPENSSL, "GHSA-aaaa-bbbb-cccc", aliases=("CVE-2024-1",))

    assert counted(of_trivy(vulnerability(OPENSSL)), of_ours(ours, malware())) == ["CVE-2024-1", "EICAR"]


def test_both_engines_together_are_heard_for_each_of_them() -> None:
    both = merge_engines([of_ours(), of_trivy()], {})

    assert counted(both, of_trivy(vulnerability(OPENSSL)), of_ours(malware())) == []


def test_an_engine_that_failed_in_a_scan_by_both_has_not_been_heard() -> None:
    both = merge_engines([of_trivy()], {Engine.SECURITY_CENTER: FAILED})

    assert counted(both, of_trivy(vulnerability(OPENSSL)), of_ours(malware())) == ["EICAR"]


def test_of_an_older_scan_by_both_what_the_newer_engine_said_is_over() -> None:
    both = merge_engines([of_ours(malware()), of_trivy(vulnerability(LODASH))], {})

    assert counted(of_trivy(), both) == ["EICAR"]


def test_a_platform_that_only_an_older_scan_knows_counts() -> None:
    joined = with_earlier({AMD: of_trivy()}, [{AMD: of_ours(), ARM: of_ours(malware())}])

    assert [finding.id for finding in joined[ARM].findings] == ["EICAR"]
