"""OpenVEX: a statement excuses the vulnerability that it names, in what it names, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import ServiceError
from services.kernel.model.finding import Finding
from services.scanner.gate.vex import MOST_BYTES, MOST_DOCUMENTS, Statements, VexImage, read_documents
from tests.builders.reports import LODASH, OPENSSL, malware, vulnerability

HEX = "a" * 64
IMAGE = VexImage(digests=frozenset({f"sha256:{HEX}"}), repository="team/app")
OCI = f"pkg:oci/app@sha256%3A{HEX}?repository_url=registry.example/team/app"


def a_statement(**changes: object) -> dict[str, object]:
    return {
        "vulnerability": {"name": "CVE-2024-1"},
        "products": [{"@id": LODASH.purl}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
        **changes,
    }


def a_document(*statements: Mapping[str, object], **changes: object) -> bytes:
    document = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://example.org/vex-1",
        "author": "Team App",
        "timestamp": "2026-01-01T00:00:00Z",
        "version": 1,
        "statements": statements,
        **changes,
    }
    return json.dumps(document).encode()


def excuse(*documents: bytes, finding: Finding | None = None) -> str:
    return Statements(documents, IMAGE).excuse(finding or vulnerability(LODASH))


def test_a_statement_says_who_excuses_what_and_why() -> None:
    assert excuse(a_document(a_statement())) == (
        "Team App says not_affected: vulnerable_code_not_in_execute_path (https://example.org/vex-1)"
    )


@pytest.mark.parametrize(
    ("changes", "excused"),
    [
        ({"status": "not_affected"}, True),
        ({"status": "fixed"}, True),
        ({"status": "affected", "action_statement": "update"}, False),
        ({"status": "under_investigation"}, False),
        ({"justification": None, "impact_statement": "It is not reachable."}, True),
        ({"vulnerability": {"name": "GHSA-aaaa-bbbb-cccc"}}, True),
        ({"vulnerability": {"name": "OSV-1", "aliases": ["cve-2024-1"]}}, True),
        ({"vulnerability": {"name": "CVE-2024-10"}}, False),
        ({"products": []}, False),
        ({"products": [{"@id": "pkg:npm/%40acme/lodash"}]}, True),
        ({"products": [{"@id": "pkg:npm/%40acme/lodash@4.17.20?foo=bar"}]}, True),
        ({"products": [{"@id": "urn:x", "identifiers": {"purl": LODASH.purl}}]}, True),
        ({"products": [{"@id": "pkg:npm/%40acme/lodash@4.17.21"}]}, False),
        ({"products": [{"@id": "pkg:npm/lodash@4.17.20"}]}, False),
        ({"products": [{"@id": "https://example.org/lodash"}]}, False),
        # the image
        ({"products": [{"@id": OCI}]}, True),
        ({"products": [{"@id": "urn:x", "hashes": {"sha-256": HEX}}]}, True),
        ({"products": [{"@id": "pkg:oci/app"}]}, True),
        ({"products": [{"@id": "pkg:oci/app?repository_url=registry.example/team/app"}]}, True),
        ({"products": [{"@id": "pkg:oci/app?repository_url=registry.example/others/app"}]}, False),
        ({"products": [{"@id": OCI.replace("a" * 64, "b" * 64)}]}, False),
        ({"products": [{"@id": "urn:x", "hashes": {"sha-256": "b" * 64}}]}, False),
        ({"products": [{"@id": OCI, "subcomponents": [{"@id": LODASH.purl}]}]}, True),
        ({"products": [{"@id": OCI, "subcomponents": [{"@id": OPENSSL.purl}]}]}, False),
        ({"products": [{"@id": OCI, "subcomponents": [{"@id": "https://example.org/x"}]}]}, False),
        # what is in another product is no matter of ours
        ({"products": [{"@id": LODASH.purl, "subcomponents": [{"@id": LODASH.purl}]}]}, False),
    ],
)
def test_a_statement_holds_for_its_vulnerability_in_its_product(changes: dict[str, object], excused: bool) -> None:
    statement = {key: value for key, value in a_statement(**changes).items() if value is not None}
    assert bool(excuse(a_document(statement))) is excused


def test_an_architecture_that_both_name_must_be_the_same() -> None:
    finding = vulnerability(OPENSSL)
    name = "pkg:deb/debian/libssl3@3.0.11-1"
    assert excuse(a_document(a_statement(products=[{"@id": f"{name}?distro=debian-12.5"}])), finding=finding)
    assert not excuse(a_document(a_statement(products=[{"@id": f"{name}?arch=arm64"}])), finding=finding)


def test_the_youngest_statement_counts_wherever_it_stands() -> None:
    early = a_document(a_statement(), timestamp="2026-01-01T00:00:00Z")
    late = a_document(a_statement(status="under_investigation"), timestamp="2026-02-01T00:00:00+01:00")
    own = a_document(a_statement(timestamp="2026-03-01T00:00:00Z"), timestamp="2025-01-01T00:00:00Z")
    assert not excuse(early, late)
    assert not excuse(late, early)
    assert excuse(early, late, own)


def test_of_statements_of_one_moment_the_one_counts_that_excuses_nothing() -> None:
    assert not excuse(a_document(a_statement(), a_statement(status="affected")))
    assert not excuse(a_document(a_statement(status="affected"), a_statement()))


def test_malware_is_never_excused() -> None:
    statement = a_statement(vulnerability={"name": "EICAR"}, products=[{"@id": OCI}])
    assert not excuse(a_document(statement), finding=malware())


def test_statements_that_fitted_nothing_are_counted() -> None:
    other = a_statement(vulnerability={"name": "CVE-1"})
    statements = Statements([a_document(a_statement(), other), a_document(other)], IMAGE)
    statements.excuse(vulnerability(LODASH))
    assert (statements.unused, statements.total) == (2, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        a_document(a_statement(), **{"@context": "https://openvex.dev/ns"}),
        a_document(a_statement(status="harmless")),
        a_document(a_statement(justification="because")),
        a_document({key: value for key, value in a_statement().items() if key != "justification"}),
        a_document(a_statement(vulnerability="CVE-2024-1")),
        a_document(a_statement(), timestamp="yesterday"),
        a_document(a_statement(products=[{"@id": "pkg:npm/" + "x" * 4000}])),
    ],
)
def test_what_is_no_openvex_is_refused(content: bytes) -> None:
    with pytest.raises(ServiceError, match="VEX document 1 is no OpenVEX") as caught:
        read_documents([content])
    assert caught.value.reason == "INVALID_VEX"


@pytest.mark.parametrize(
    "documents",
    [
        [a_document()] * (MOST_DOCUMENTS + 1),
        [b" " * (MOST_BYTES + 1)],
        [a_document(a_statement(products=[{"@id": "a"}] * 60_000))],
        [a_document(*[{"vulnerability": {"name": "a"}, "status": "fixed"}] * 20_001)],
    ],
)
def test_more_than_can_be_held_is_refused(documents: list[bytes]) -> None:
    with pytest.raises(ServiceError) as caught:
        read_documents(documents)
    assert caught.value.reason == "VEX_TOO_LARGE"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.binary(max_size=200)
    | JSON.map(lambda each: json.dumps(each).encode())
    | JSON.map(lambda each: a_document(a_statement(products=each)))
)
def test_hostile_documents_are_refused_or_read_and_never_break(content: bytes) -> None:
    try:
        Statements([content], IMAGE).excuse(vulnerability(LODASH))
    except ServiceError as error:
        assert error.reason == "INVALID_VEX"
