"""What Harbor is shown of a report."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from services.gateway.harbor.reports import to_sbom_report, to_vulnerability_report
from services.gateway.settings import GatewaySettings
from services.kernel.model.finding import Finding
from services.kernel.model.report import Coverage, Report, ReportWarning
from services.kernel.model.severity import Severity
from tests.builders.reports import LODASH, LOG4J, OPENSSL, PARTIAL, TOP, a_report, baseline, malware, vulnerability
from tests.fakes.scanner import DIGEST, a_task
from tests.harbor import conforms
from tests.unit.cli.test_cli_formats import cyclonedx_schema, read_spdx

HERE, THERE = (msgspec.structs.replace(LODASH, path=f"/{place}/package.json") for place in ("here", "there"))


def shown(report: Report) -> Any:
    document = json.loads(msgspec.json.encode(to_vulnerability_report(a_task(), report)))
    return conforms("HarborVulnerabilityReport", document)


def items(*findings: Finding) -> list[Any]:
    found: list[Any] = shown(a_report(findings))["vulnerabilities"]
    return found


def test_a_whole_report_keeps_to_the_schema() -> None:
    document = shown(a_report())
    assert document["generated_at"] == "2026-03-01T10:11:12.345678Z"
    assert document["artifact"] == {"repository": "team/app", "digest": DIGEST}
    assert document["severity"] == "Critical"
    assert {item["vendor_attributes"]["kind"] for item in document["vulnerabilities"]} == {
        "SYSTEM_VULNERABILITY",
        "APPLICATION_VULNERABILITY",
        "MALICIOUS_SAMPLE",
    }


def test_a_repository_without_a_namespace_has_none() -> None:
    document = to_vulnerability_report(a_task(namespace="_"), a_report())
    assert document["artifact"] == {"repository": "app", "digest": DIGEST}


def test_a_vulnerability_says_where_it_is_and_what_mends_it() -> None:
    [item] = items(vulnerability(LOG4J, "CVE-2021-44228", severity=Severity.CRITICAL, score=10.0, fixed="2.15.0"))
    attributes = item.pop("vendor_attributes")
    assert item == {
        "id": "CVE-2021-44228",
        "package": "org.apache.logging.log4j:log4j-core",
        "version": "2.14.1",
        "fix_version": "2.15.0",
        "severity": "Critical",
        "description": "It overflows",
        "links": ["https://nvd.nist.gov/vuln/detail/CVE-2021-44228"],
        "preferred_cvss": {"score_v3": 10.0},
    }
    assert attributes["places"] == [{"path": LOG4J.path, "layer": TOP}]
    assert attributes["purl"] == LOG4J.purl
    assert attributes["aliases"] == ["GHSA-aaaa-bbbb-cccc"]


def test_what_harbor_keeps_as_one_is_one_with_all_its_places() -> None:
    low = vulnerability(HERE, severity=Severity.LOW, score=None, fixed="")
    high = vulnerability(THERE, severity=Severity.HIGH)
    [item] = items(low, high)
    assert (item["severity"], item["fix_version"]) == ("High", "9")
    assert [place["path"] for place in item["vendor_attributes"]["places"]] == [HERE.path, THERE.path]
    keys = [(each["id"], each["package"], each["version"]) for each in shown(a_report())["vulnerabilities"]]
    assert len(keys) == len(set(keys))


def test_malware_is_shown_and_a_baseline_risk_is_not() -> None:
    [item] = items(baseline(), malware())
    assert (item["id"], item["package"], item["severity"]) == ("EICAR", "/tmp/eicar.zip!eicar.com", "Critical")
    assert item["version"] == "d" * 64
    assert item["vendor_attributes"]["deleted"] is True


def test_an_image_that_could_not_be_judged_in_full_never_looks_clean() -> None:
    stale = ReportWarning(code="STALE_ADVISORIES", message="They are old.")
    document = shown(a_report((), coverage=Coverage.PARTIAL, warnings=(PARTIAL, PARTIAL, stale)))
    assert document["severity"] == "Unknown"
    unread, old = document["vulnerabilities"]
    assert (unread["id"], unread["severity"]) == ("DRYDOCK-FILE_NOT_READ", "Unknown")
    assert "A file could not be read. (/a [b])" in unread["description"]
    assert unread["description"].endswith("And 1 more of these.")
    assert (old["id"], old["vendor_attributes"]["kind"]) == ("DRYDOCK-STALE_ADVISORIES", "NOTICE")


def test_a_part_that_was_not_judged_is_shown_though_no_warning_says_so() -> None:
    [item] = shown(a_report((), coverage=Coverage.PARTIAL))["vulnerabilities"]
    assert (item["id"], item["vendor_attributes"]["coverage"]) == ("DRYDOCK-NOT_JUDGED_IN_FULL", "PARTIAL")
    report = a_report(())
    sample = msgspec.structs.replace(report, advisories=msgspec.structs.replace(report.advisories, sample=True))
    [item] = shown(sample)["vulnerabilities"]
    assert item["id"] == "DRYDOCK-SAMPLE_ADVISORIES"


def test_an_image_without_findings_that_was_judged_in_full_is_clean() -> None:
    document = shown(a_report(()))
    assert (document["vulnerabilities"], document["severity"]) == ([], "Unknown")


def test_each_severity_has_its_word() -> None:
    found = items(*(vulnerability(OPENSSL, f"CVE-{each.value}", severity=each) for each in Severity))
    assert {item["severity"] for item in found} == {"Unknown", "Low", "Medium", "High", "Critical"}


@pytest.mark.parametrize("form", ["application/spdx+json", "application/vnd.cyclonedx+json"])
def test_an_sbom_is_a_document_of_its_own_format(form: str) -> None:
    document = json.loads(msgspec.json.encode(to_sbom_report(a_task(), a_report(), form)))
    conforms("HarborSbomReport", document)
    assert document["media_type"] == form
    if form == "application/spdx+json":
        read_spdx(document["sbom"])
    else:
        assert cyclonedx_schema().validate_str(json.dumps(document["sbom"])) is None


@pytest.mark.parametrize(
    "listed",
    [
        "harbor.example.com=lab",
        "https://harbor.example.com",
        "=lab",
        "ftp://x=lab",
        "https://x/y=lab",
        "https://u@x=y",
    ],
)
def test_a_list_of_registries_that_is_none_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    monkeypatch.setenv("DRYDOCK_GATEWAY_HARBOR_REGISTRIES", listed)
    with pytest.raises(ValueError, match="harbor_registries"):
        GatewaySettings()


def test_a_list_of_registries_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRYDOCK_GATEWAY_HARBOR_REGISTRIES", "https://a.example=one, http://core:8080=two")
    assert GatewaySettings().harbor_registries == {"https://a.example": "one", "http://core:8080": "two"}
