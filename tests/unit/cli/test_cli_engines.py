"""What people see of a scan by two engines, and what other programs read of one by Trivy."""

from __future__ import annotations

import json

import msgspec
import pytest

from services.cli.report_table import print_report
from services.formats.cyclonedx import to_cyclonedx
from services.formats.sarif import to_sarif
from services.formats.spdx import to_spdx
from services.kernel.model.engine import Engine
from services.kernel.model.report import EngineInfo, Report
from services.kernel.model.severity import Severity
from services.scanner.api import State
from services.scanner.records import Outcome
from services.scanner.tasks.verdict import merge_engines
from tests.builders.reports import LODASH, OPENSSL, a_report, vulnerability

UNPLACED = msgspec.structs.replace(OPENSSL, path="", layer="")
ITS = msgspec.structs.replace(
    a_report(
        [vulnerability(UNPLACED, severity=Severity.LOW), vulnerability(LODASH, "CVE-2024-3")],
        packages=[UNPLACED, LODASH],
    ),
    engine=EngineInfo(name="TRIVY", version="0.72.0"),
)
OURS = a_report([vulnerability(OPENSSL)], packages=[OPENSSL])
"""Found by both in different severities, and one that only Trivy knows."""


def printed(capsys: pytest.CaptureFixture[str], report: Report) -> str:
    print_report(report, report.findings)
    return " ".join(capsys.readouterr().out.split())


def test_the_table_of_both_says_who_says_what_and_where_they_differ(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, merge_engines([OURS, ITS], {}))

    assert "SAID BY" in said
    assert "CVE-2024-1 libssl3 3.0.11-1 9 /var/lib/dpkg/status SECURITY_CENTER, TRIVY" in said
    assert "engine SECURITY_CENTER 0.1.0: 1 findings, coverage FULL engine TRIVY 0.72.0: 2 findings" in said
    assert "conflict CVE-2024-1 in libssl3, severity: SECURITY_CENTER says HIGH, TRIVY says LOW" in said


def test_an_engine_that_failed_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    failed = Outcome(state=State.FAILED, reason="TRIVY_MISSING", message="There is none.")

    said = printed(capsys, merge_engines([OURS], {Engine.TRIVY: failed}))

    assert "engine TRIVY: 0 findings, coverage NONE (TRIVY_MISSING)" in said
    assert "warning TRIVY: TRIVY could not scan the image (TRIVY_MISSING): There is none. [ENGINE_FAILED]" in said


def test_the_table_of_one_engine_names_it_and_nobody_else(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, ITS)

    assert "engine TRIVY 0.72.0" in said
    assert "SAID BY" not in said


def test_documents_say_whose_the_report_is() -> None:
    both = merge_engines([OURS, ITS], {})
    tools = []
    for report in (OURS, ITS, both):
        sarif, cyclonedx, spdx = to_sarif(report), to_cyclonedx(report), to_spdx(report)
        text = json.loads(msgspec.json.encode([sarif, cyclonedx, spdx]))
        driver = text[0]["runs"][0]["tool"]["driver"]
        [component] = text[1]["metadata"]["tools"]["components"]
        assert (driver["name"], driver["version"]) == (component["name"], component["version"])
        assert f"Tool: {driver['name']}-{driver['version']}" in text[2]["creationInfo"]["creators"]
        tools.append(f"{driver['name']} {driver['version']}")

    assert tools == ["Drydock 0.1.0", "Drydock (TRIVY) 0.72.0", "Drydock 0.1.0"]


def test_sarif_says_who_says_each_thing() -> None:
    found = json.loads(msgspec.json.encode(to_sarif(merge_engines([OURS, ITS], {}))))["runs"][0]["results"]

    details = {each["ruleId"]: each["properties"] for each in found}
    assert details["CVE-2024-1"]["engines"] == ["SECURITY_CENTER", "TRIVY"]
    assert details["CVE-2024-1"]["disagreements"] == {"severity": {"SECURITY_CENTER": "HIGH", "TRIVY": "LOW"}}
    assert details["CVE-2024-3"]["engines"] == ["TRIVY"]


def test_a_place_that_nobody_told_is_no_empty_one() -> None:
    text = msgspec.json.encode(to_spdx(ITS)).decode()

    assert "Found in the image, built from openssl" in text
    assert "Found in  " not in text
