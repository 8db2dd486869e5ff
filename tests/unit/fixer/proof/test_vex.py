"""The OpenVEX document of a fixed image, and the attestation of what is left in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec

from services.fixer.order import FindingOutcome, Verdict
from services.fixer.plan.outcome import NotFixable
from services.fixer.proof.vex import to_openvex
from services.formats.in_toto import to_vulns_attestation
from services.kernel.model.report import Coverage
from services.scanner.gate.vex import read_documents
from tests.builders.fixes import FIXED_DIGEST, platform_plan, ref
from tests.builders.reports import OPENSSL, PARTIAL, a_report

MOMENT = datetime(2026, 3, 1, 10, 11, 12, tzinfo=UTC)
FIXED = FindingOutcome(finding=ref(), verdict=Verdict.FIXED, message="libssl3 goes from 1 to 9-1.")
STAYS = FindingOutcome(
    finding=ref("CVE-2024-1"), verdict=Verdict.NOT_FIXABLE, why=NotFixable.NO_FIXED_VERSION, message="None is out."
)
AFTER = a_report(packages=[msgspec.structs.replace(OPENSSL, version="9-1", purl="pkg:deb/debian/libssl3@9-1")])


def document(*outcomes: FindingOutcome) -> bytes:
    return to_openvex(
        platform_plan(outcomes), AFTER, repository="registry.example:5000/team/app", tag="1.0_fixd", moment=MOMENT
    )


def test_each_finding_is_a_statement_on_the_fixed_image_and_its_package() -> None:
    said = json.loads(document(FIXED, STAYS))
    assert [(each["vulnerability"]["name"], each["status"]) for each in said["statements"]] == [
        ("CVE-2024-2", "fixed"),
        ("CVE-2024-1", "affected"),
    ]
    product = said["statements"][0]["products"][0]
    assert f"app@{FIXED_DIGEST}" in product["@id"]
    assert "tag=1.0_fixd" in product["@id"]
    assert product["subcomponents"] == [{"@id": "pkg:deb/debian/libssl3@9-1"}]
    assert said["statements"][1]["action_statement"] == "None is out."


def test_what_is_mended_in_one_file_of_two_is_not_called_fixed() -> None:
    stays = FindingOutcome(finding=ref(), verdict=Verdict.NOT_FIXABLE, why=NotFixable.HELD, message="It is held.")
    for outcomes in ((FIXED, stays), (stays, FIXED)):
        assert [each["status"] for each in json.loads(document(*outcomes))["statements"]] == ["affected"]


def test_the_same_fix_gives_the_same_bytes() -> None:
    assert document(FIXED, STAYS) == document(FIXED, STAYS)
    assert json.loads(document(FIXED))["@id"] != json.loads(document(STAYS))["@id"]


def test_our_own_gate_reads_it() -> None:
    assert read_documents([document(FIXED, STAYS)])


def test_the_attestation_lists_what_is_left_for_the_digest() -> None:
    said = to_vulns_attestation(a_report(), name="registry.example:5000/team/app:1.0")
    assert said["subject"] == [{"name": "registry.example:5000/team/app:1.0", "digest": {"sha256": "a" * 64}}]
    predicate = msgspec.convert(said["predicate"], dict[str, object])
    result = msgspec.convert(predicate["scanner"], dict[str, object])["result"]
    assert isinstance(result, list)
    assert [each["id"] for each in result] == ["CVE-2024-9", "CVE-2024-2", "CVE-2024-1", "CVE-2024-1"]


def test_an_attestation_without_results_is_never_falsely_clean() -> None:
    report = a_report([], coverage=Coverage.PARTIAL, warnings=(PARTIAL,))
    assert PARTIAL.code in json.dumps(to_vulns_attestation(report, name="x"))
    assert '"result": []' in json.dumps(to_vulns_attestation(a_report([]), name="x"))
