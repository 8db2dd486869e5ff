"""The forms that other programs read, by their own schemas and readers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import jsonschema
import msgspec
import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spdx_tools.spdx.model.document import Document
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from services.cli.show import Format, show
from services.formats.cyclonedx import to_cyclonedx
from services.formats.sarif import to_sarif
from services.formats.spdx import to_spdx
from services.kernel.model.finding import Finding, Package
from services.kernel.model.report import Coverage, Report, ReportWarning
from services.kernel.model.severity import Severity
from tests.builders.reports import (
    FINDINGS,
    LODASH,
    LOG4J,
    OPENSSL,
    PACKAGES,
    PARTIAL,
    a_report,
    baseline,
    malware,
    vulnerability,
)

SCHEMAS = Path(__file__).parents[2] / "fixtures" / "schemas"
DOCUMENTS = (Format.SARIF, Format.CYCLONEDX, Format.SPDX)
INCOMPLETE = [(Coverage.PARTIAL, (PARTIAL,)), (Coverage.NONE, (PARTIAL,))]


@cache
def sarif_schema() -> Any:
    schema = json.loads((SCHEMAS / "sarif-2.1.0.json").read_text())
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


@cache
def cyclonedx_schema() -> JsonStrictValidator:
    return JsonStrictValidator(SchemaVersion.V1_6)


def plain(document: object) -> Any:
    return json.loads(msgspec.json.encode(document))


def sarif(report: Report) -> Any:
    """The one run, checked by the schema of SARIF."""
    document = plain(to_sarif(report))
    sarif_schema().validate(document)
    return document["runs"][0]


def cyclonedx(report: Report) -> Any:
    """The document, checked by the schema of CycloneDX and read by its library."""
    document = plain(to_cyclonedx(report))
    fault = cyclonedx_schema().validate_str(json.dumps(document))
    assert fault is None, fault
    cast(Any, Bom).from_json(document)
    return document


def spdx(report: Report) -> Any:
    """The document, checked by the rules of SPDX."""
    document = plain(to_spdx(report))
    read_spdx(document)
    return document


def read_spdx(document: Any) -> Document:
    read: Document = cast(Any, JsonLikeDictParser)().parse(document)
    assert not validate_full_spdx_document(read, "SPDX-2.3")
    return read


@pytest.mark.parametrize("coverage", list(Coverage))
@pytest.mark.parametrize("reference", ["oci:folder:1.0", "team/app@sha256:" + "a" * 64, "localhost/app:1"])
def test_documents_meet_the_schemas_of_their_formats(coverage: Coverage, reference: str) -> None:
    warnings = () if coverage is Coverage.FULL else (PARTIAL,)
    for report in (
        a_report(coverage=coverage, warnings=warnings, reference=reference),
        a_report((), packages=(), coverage=coverage, warnings=warnings, reference=reference),
    ):
        sarif(report)
        cyclonedx(report)
        spdx(report)


WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=WORDS, words=WORDS)
def test_no_words_of_an_image_or_an_advisory_break_a_document(path: str, words: str) -> None:
    package = msgspec.structs.replace(LODASH, path=f"/{path}", version=words)
    findings = (vulnerability(package, title=words), msgspec.structs.replace(baseline(f"/{path}"), match=words))
    warning = ReportWarning(code="FILE_NOT_READ", message=words, path=path)
    report = a_report(findings, packages=(package,), coverage=Coverage.PARTIAL, warnings=(warning,))
    sarif(report)
    cyclonedx(report)
    spdx(report)


@pytest.mark.parametrize("form", DOCUMENTS)
def test_the_same_report_gives_the_same_bytes(form: Format, capsys: pytest.CaptureFixture[str]) -> None:
    show(form, a_report())
    first = capsys.readouterr().out
    show(form, a_report())
    assert capsys.readouterr().out == first


def test_another_report_is_another_document() -> None:
    one, other = a_report(), a_report(scanned_at="2026-03-02T00:00:00Z")
    assert cyclonedx(one)["serialNumber"] != cyclonedx(other)["serialNumber"]
    assert spdx(one)["documentNamespace"] != spdx(other)["documentNamespace"]
    assert spdx(one)["documentNamespace"] != cyclonedx(one)["serialNumber"]


@pytest.mark.parametrize(
    ("scanned_at", "told"),
    [("2026-03-01T10:11:12.345678Z", "2026-03-01T10:11:12Z"), ("", "2026-02-28T23:00:00Z")],
)
def test_a_document_is_as_old_as_the_scan_or_as_what_it_was_judged_by(scanned_at: str, told: str) -> None:
    report = a_report(scanned_at=scanned_at)
    assert sarif(report)["invocations"][0]["endTimeUtc"] == told
    assert cyclonedx(report)["metadata"]["timestamp"] == told
    assert spdx(report)["creationInfo"]["created"] == told


# What is lacking


@pytest.mark.parametrize(("coverage", "warnings"), INCOMPLETE)
def test_sarif_says_that_results_may_be_missing(coverage: Coverage, warnings: tuple[ReportWarning, ...]) -> None:
    run = sarif(a_report(coverage=coverage, warnings=warnings))
    (invocation,) = run["invocations"]
    (notification,) = invocation["toolExecutionNotifications"]
    failed = coverage is Coverage.NONE
    assert invocation["executionSuccessful"] is not failed
    assert (notification["descriptor"]["id"], notification["level"]) == (
        "FILE_NOT_READ",
        "error" if failed else "warning",
    )
    assert "(FILE_NOT_READ)" in run["properties"]["shortfall"]


@pytest.mark.parametrize(("coverage", "warnings"), INCOMPLETE)
def test_cyclonedx_says_that_it_is_incomplete(coverage: Coverage, warnings: tuple[ReportWarning, ...]) -> None:
    document = cyclonedx(a_report(coverage=coverage, warnings=warnings))
    assert document["compositions"] == [{"aggregate": "incomplete", "assemblies": ["image"]}]
    facts = {fact["name"]: fact["value"] for fact in document["metadata"]["properties"]}
    assert (facts["drydock:coverage"], facts["drydock:coverage-reason"]) == (coverage.value, "FILE_NOT_READ")
    assert facts["drydock:warning:FILE_NOT_READ"] == "A file could not be read. (/a [b])"


@pytest.mark.parametrize(("coverage", "warnings"), INCOMPLETE)
def test_spdx_says_that_it_is_incomplete(coverage: Coverage, warnings: tuple[ReportWarning, ...]) -> None:
    document = spdx(a_report(coverage=coverage, warnings=warnings))
    assert "(FILE_NOT_READ)" in document["comment"]
    (annotation,) = document["annotations"]
    assert annotation["comment"] == "FILE_NOT_READ: A file could not be read. (/a [b])"


def test_a_full_report_lacks_nothing() -> None:
    report = a_report()
    invocation = sarif(report)["invocations"][0]
    assert (invocation["executionSuccessful"], invocation["toolExecutionNotifications"]) == (True, [])
    assert "compositions" not in cyclonedx(report)
    assert spdx(report)["comment"] == "Judged by advisories 20260301-1: 7 findings."


# SARIF


def test_each_id_is_one_rule_that_its_results_point_at() -> None:
    run = sarif(a_report())
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules) == 5
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [each.id for each in FINDINGS]
    assert [result["ruleId"] for result in run["results"]] == [each.id for each in FINDINGS]


def test_what_code_scanning_asks_for_is_never_empty() -> None:
    run = sarif(a_report())
    for rule in run["tool"]["driver"]["rules"]:
        for words in (rule["shortDescription"], rule["fullDescription"], rule["help"]):
            assert 0 < len(words["text"]) <= 1024
    for result in run["results"]:
        (location,) = result["locations"]
        assert result["message"]["text"]
        assert location["physicalLocation"]["artifactLocation"]["uri"]
        assert set(location["physicalLocation"]["region"]) == {"startLine", "startColumn", "endLine", "endColumn"}
        assert result["partialFingerprints"]["primaryLocationLineHash"]


@pytest.mark.parametrize(
    ("severity", "score", "number", "level"),
    [
        (Severity.CRITICAL, 9.8, "9.8", "error"),
        (Severity.HIGH, 7.5, "7.5", "error"),
        (Severity.MEDIUM, None, "5.5", "warning"),
        (Severity.LOW, 9.8, "3.9", "note"),  # the distribution's word
        (Severity.CRITICAL, 5.0, "9.0", "error"),
        (Severity.LOW, 0.0, "0.1", "note"),  # 0.0 would be none at all
        (Severity.UNKNOWN, None, None, "note"),
    ],
)
def test_code_scanning_shows_the_severity_that_drydock_gives(
    severity: Severity, score: float | None, number: str | None, level: str
) -> None:
    run = sarif(a_report((vulnerability(LODASH, severity=severity, score=score),)))
    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["properties"].get("security-severity") == number
    assert (rule["defaultConfiguration"]["level"], run["results"][0]["level"]) == (level, level)


def test_a_rule_is_told_of_by_its_worst_finding() -> None:
    findings = (
        vulnerability(LODASH, severity=Severity.LOW, score=2.0),
        vulnerability(LOG4J, severity=Severity.CRITICAL, score=10.0),
    )
    run = sarif(a_report(findings))
    assert run["tool"]["driver"]["rules"][0]["properties"]["security-severity"] == "10.0"
    assert [result["level"] for result in run["results"]] == ["note", "error"]


def test_paths_are_relative_references_of_the_image() -> None:
    places = {
        result["properties"]["path"]: result["locations"][0]["physicalLocation"]
        for result in sarif(a_report())["results"]
    }
    encoded = places["/srv/app [x]/ünï/package-lock.json"]["artifactLocation"]
    assert encoded == {"uri": "srv/app%20%5Bx%5D/%C3%BCn%C3%AF/package-lock.json", "uriBaseId": "IMAGE"}
    assert places["config:/config/Env/2"]["artifactLocation"]["uri"] == "config%3A/config/Env/2"
    assert places["/root/.aws/credentials"]["region"]["startLine"] == 3


def fingerprints(*findings: Finding) -> list[str]:
    run = sarif(a_report(findings, packages=()))
    return [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]


def test_an_alert_stays_the_same_when_version_and_layer_change() -> None:
    newer = msgspec.structs.replace(LODASH, version="4.17.21", layer=OPENSSL.layer)
    assert fingerprints(vulnerability(LODASH)) == fingerprints(vulnerability(newer))


def test_two_alerts_are_never_taken_for_one() -> None:
    other = msgspec.structs.replace(LODASH, version="3.0.0")
    moved = msgspec.structs.replace(LODASH, path="/elsewhere")
    found = (vulnerability(LODASH), vulnerability(other), vulnerability(moved), vulnerability(LODASH, "CVE-1-2"))
    assert len(set(fingerprints(*found, baseline(), malware()))) == 6


def test_words_from_outside_make_no_links_and_no_placeholders() -> None:
    run = sarif(a_report((vulnerability(LODASH, title="See [this](1) and {0}"),)))
    assert run["results"][0]["message"]["text"] == (
        "CVE-2024-1 in @acme/lodash 4.17.20: See \\[this\\](1) and {{0}}. Fixed in 9."
    )


def test_the_categories_of_code_scanning_part_images_and_platforms_but_no_tags() -> None:
    ids = [sarif(a_report(reference=name))["automationDetails"]["id"] for name in ("a.b:5/x/y:1", "a.b:5/x/y:2")]
    assert {each.rpartition("/")[0] for each in ids} == {"drydock/a.b:5/x/y/linux/amd64"}


def test_what_a_later_layer_deletes_is_said_to_be_there_still() -> None:
    (result,) = sarif(a_report((malware(),)))["results"]
    assert result["message"]["text"] == (
        "The test file of virus scanners: EICAR. A later layer deletes the file, but the image still has it."
    )
    assert (result["properties"]["sha256"], result["properties"]["deleted"]) == ("d" * 64, True)


# CycloneDX


def test_the_image_is_what_the_bill_is_of() -> None:
    component = cyclonedx(a_report())["metadata"]["component"]
    assert (component["type"], component["name"]) == ("container", "registry.example:5000/team/app:1.0")
    assert component["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert component["purl"] == (
        f"pkg:oci/app@sha256:{'a' * 64}?arch=amd64&repository_url=registry.example:5000/team/app&tag=1.0"
    )
    assert "purl" not in cyclonedx(a_report(reference="oci:folder:1.0"))["metadata"]["component"]


def test_components_say_where_they_are_and_are_named_as_their_ecosystem_does() -> None:
    by_purl = {each.get("purl"): each for each in cyclonedx(a_report())["components"]}
    lodash, log4j, openssl = (by_purl[package.purl] for package in PACKAGES)
    assert (lodash["group"], lodash["name"]) == ("@acme", "lodash")
    assert (log4j["group"], log4j["name"]) == ("org.apache.logging.log4j", "log4j-core")
    assert ("group" in openssl, openssl["name"]) == (False, "libssl3")
    facts = {fact["name"]: fact["value"] for fact in openssl["properties"]}
    assert facts["drydock:path"] == "/var/lib/dpkg/status"
    assert facts["drydock:layer"] == OPENSSL.layer
    assert facts["drydock:source"] == "openssl 3.0.11-1"


def test_the_distribution_is_a_component_where_there_is_one() -> None:
    def systems(*packages: Package) -> Iterator[tuple[str, str]]:
        for each in cyclonedx(a_report((), packages=packages))["components"]:
            if each["type"] == "operating-system":
                yield (each["name"], each["version"])

    assert list(systems(LODASH, OPENSSL)) == [("debian", "12")]
    assert list(systems(LODASH)) == []


def test_one_vulnerability_names_all_that_it_affects() -> None:
    document = cyclonedx(a_report())
    (known,) = (each for each in document["vulnerabilities"] if each["id"] == "CVE-2024-1")
    purls = {each["bom-ref"]: each.get("purl") for each in document["components"]}
    assert [purls[each["ref"]] for each in known["affects"]] == [LODASH.purl, LOG4J.purl]
    assert known["affects"][0]["versions"] == [
        {"version": "4.17.20", "status": "affected"},
        {"version": "9", "status": "unaffected"},
    ]
    assert known["ratings"] == [{"score": 7.5, "severity": "high", "method": "other"}]
    assert known["source"]["name"] == "NVD"
    assert [each["id"] for each in known["references"]] == ["GHSA-aaaa-bbbb-cccc"]


def test_a_distributions_word_and_the_score_are_ratings_of_their_own() -> None:
    document = cyclonedx(a_report((vulnerability(OPENSSL, severity=Severity.LOW, score=9.8),)))
    assert document["vulnerabilities"][0]["ratings"] == [
        {"severity": "low", "method": "other"},
        {"score": 9.8, "severity": "critical", "method": "other"},
    ]


def test_what_no_package_has_the_image_has() -> None:
    known = {each["id"]: each for each in cyclonedx(a_report())["vulnerabilities"]}
    risk, sample = known["AWS_ACCESS_KEY"], known["EICAR"]
    assert risk["affects"] == sample["affects"] == [{"ref": "image"}]
    assert (risk["source"]["name"], risk["recommendation"]) == ("Drydock", "Revoke the key.")
    assert [each["value"] for each in risk["properties"] if each["name"] == "drydock:found"] == [
        "AKIA**** at config:/config/Env/2",
        f"AKIA**** at /root/.aws/credentials of layer {LODASH.layer}",
    ]


def test_references_of_a_bill_lead_to_something() -> None:
    twice = (OPENSSL, OPENSSL, msgspec.structs.replace(OPENSSL, source=None))
    document = cyclonedx(a_report((vulnerability(OPENSSL),), packages=twice))
    refs = [each["bom-ref"] for each in document["components"]]
    assert len(refs) == len(set(refs)) == 3  # two packages and their distribution
    assert {each["ref"] for known in document["vulnerabilities"] for each in known["affects"]} <= set(refs)
    (dependencies,) = document["dependencies"]
    assert set(dependencies["dependsOn"]) < set(refs)


# SPDX


def test_the_image_contains_every_package() -> None:
    document = spdx(a_report())
    by_name = {each["name"]: each["SPDXID"] for each in document["packages"]}
    related = {
        (each["spdxElementId"], each["relationshipType"], each["relatedSpdxElement"])
        for each in document["relationships"]
    }
    assert ("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image") in related
    for package in PACKAGES:
        assert ("SPDXRef-Image", "CONTAINS", by_name[package.name]) in related
    assert ("SPDXRef-Image", "CONTAINS", by_name["debian"]) in related
    assert document["packages"][0]["checksums"] == [{"algorithm": "SHA256", "checksumValue": "a" * 64}]


def test_packages_carry_their_url_and_their_advisories() -> None:
    read = read_spdx(spdx(a_report()))
    (lodash,) = (package for package in read.packages if package.name == "@acme/lodash")
    assert [(each.reference_type, each.locator) for each in lodash.external_references] == [
        ("purl", LODASH.purl),
        ("advisory", "https://nvd.nist.gov/vuln/detail/CVE-2024-1"),
    ]
    assert "CVE-2024-1, HIGH" in str(lodash.external_references[1].comment)


def test_what_no_package_has_and_what_has_no_page_is_an_annotation() -> None:
    unlinked = msgspec.structs.replace(vulnerability(LOG4J), link="")
    document = spdx(a_report((unlinked, baseline(), malware())))
    told = {
        each["name"]: [note["comment"] for note in each.get("annotations", ())] for each in document["packages"]
    }
    assert len(told[LOG4J.name]) == 1
    risk, sample = told["registry.example:5000/team/app:1.0"]
    assert risk == "BASELINE_RISK AWS_ACCESS_KEY, HIGH at config:/config/Env/2: An access key of AWS: AKIA****."
    assert ", deleted by a later layer" in sample


def test_a_package_that_is_listed_twice_is_one() -> None:
    document = spdx(a_report((), packages=(LODASH, LODASH)))
    assert len(document["packages"]) == 2
