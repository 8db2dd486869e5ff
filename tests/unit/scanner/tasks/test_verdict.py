"""What several engines say of one image becomes one report, and nothing that either says is lost."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.model.engine import Engine
from services.kernel.model.finding import Disagreement, Finding, Package
from services.kernel.model.report import Coverage, EngineInfo, Report, ReportWarning
from services.kernel.model.severity import Severity
from services.scanner.api import State
from services.scanner.records import Outcome
from services.scanner.tasks.verdict import merge_engines
from tests.builders.reports import LOG4J, OPENSSL, PARTIAL, a_report, baseline, vulnerability

SCHEMA = json.loads((Path(__file__).parents[4] / "docs" / "report.schema.json").read_text())
BOTH = ("SECURITY_CENTER", "TRIVY")
UNPLACED = msgspec.structs.replace(OPENSSL, path="", layer="")
FAILED = Outcome(state=State.FAILED, reason="LAYER_TOO_LARGE", message="It is too large.")


def of_trivy(
    *findings: Finding, packages: tuple[Package, ...] = (), coverage: Coverage = Coverage.FULL, **more: object
) -> Report:
    report = a_report(findings, packages=packages, coverage=coverage, **more)  # type: ignore[arg-type]
    return msgspec.structs.replace(report, engine=EngineInfo(name="TRIVY", version="0.72.0"))


def merged(ours: list[Finding], its: list[Finding]) -> tuple[Finding, ...]:
    return merge_engines([a_report(ours, packages=()), of_trivy(*its)], {}).findings


def test_the_same_thing_is_told_once_with_who_says_so() -> None:
    [found] = merged([vulnerability(OPENSSL)], [vulnerability(UNPLACED)])

    assert (found.engines, found.disagreements) == (BOTH, ())
    assert (found.path, found.layer, found.package) == (OPENSSL.path, OPENSSL.layer, OPENSSL)


def test_what_one_engine_alone_says_stays_and_says_whose_it_is() -> None:
    found = merged(
        [vulnerability(OPENSSL, "CVE-2024-1", aliases=()), baseline()],
        [vulnerability(LOG4J, "CVE-2024-1", aliases=()), vulnerability(UNPLACED, "CVE-2024-2", aliases=())],
    )

    assert {(each.id, each.package and each.package.name, each.path): each.engines for each in found} == {
        ("CVE-2024-1", OPENSSL.name, OPENSSL.path): ("SECURITY_CENTER",),
        ("CVE-2024-1", LOG4J.name, LOG4J.path): ("TRIVY",),
        ("CVE-2024-2", OPENSSL.name, ""): ("TRIVY",),
        ("AWS_ACCESS_KEY", None, "config:/config/Env/2"): ("SECURITY_CENTER",),
    }


@pytest.mark.parametrize(
    ("ours", "its", "joined"),
    [
        (("CVE-2024-1", ("GHSA-x",)), ("GHSA-x", ()), True),
        (("CVE-2024-1", ()), ("GHSA-x", ("CVE-2024-1",)), True),
        (("PYSEC-1", ("GHSA-x",)), ("OSV-1", ("GHSA-x",)), True),
        (("CVE-2024-1", ("GHSA-x",)), ("CVE-2024-2", ("GHSA-x",)), False),
        (("CVE-2024-1", ()), ("GHSA-x", ()), False),
    ],
)
def test_an_alias_is_the_same_thing_but_two_cves_never_are(
    ours: tuple[str, tuple[str, ...]], its: tuple[str, tuple[str, ...]], *, joined: bool
) -> None:
    first, second = (vulnerability(LOG4J, name, aliases=aliases) for name, aliases in (ours, its))
    found = merged([first], [second])

    assert [each.engines for each in found] == ([BOTH] if joined else [("SECURITY_CENTER",), ("TRIVY",)])
    assert {name for each in found for name in (each.id, *each.aliases)} == {ours[0], its[0], *ours[1], *its[1]}


def test_the_same_id_goes_before_an_alias() -> None:
    """Two CVEs share an advisory: each is joined with itself, whatever comes first."""
    ours = [vulnerability(LOG4J, f"CVE-2024-{number}", aliases=("GHSA-x",)) for number in (1, 2)]
    its = [vulnerability(LOG4J, name, aliases=("GHSA-x",)) for name in ("GHSA-y", "CVE-2024-2", "CVE-2024-1")]

    found = {each.id: each for each in merged(ours, its)}

    assert set(found) == {"CVE-2024-1", "CVE-2024-2"}
    assert all(each.engines == BOTH for each in found.values())


def test_conflicts_are_shown_and_the_worse_severity_counts() -> None:
    ours = vulnerability(LOG4J, severity=Severity.LOW, score=3.1, fixed="2.17.1")
    its = vulnerability(LOG4J, severity=Severity.CRITICAL, score=10.0, fixed="2.15.0")

    [found] = merged([ours], [its])

    assert (found.severity, found.score, found.fixed_version) == (Severity.CRITICAL, 10.0, "2.17.1")
    assert found.disagreements == (
        Disagreement(about="severity", said={"SECURITY_CENTER": "LOW", "TRIVY": "CRITICAL"}),
        Disagreement(about="fixed_version", said={"SECURITY_CENTER": "2.17.1", "TRIVY": "2.15.0"}),
    )


def test_not_to_know_is_no_conflict_of_severity_but_of_the_fix() -> None:
    ours = vulnerability(LOG4J, severity=Severity.UNKNOWN, score=None, fixed="")
    its = vulnerability(LOG4J, severity=Severity.HIGH, score=7.5, fixed="9")

    [found] = merged([ours], [its])

    assert (found.severity, found.score, found.fixed_version) == (Severity.HIGH, 7.5, "9")
    assert [(each.about, each.said) for each in found.disagreements] == [
        ("fixed_version", {"SECURITY_CENTER": "", "TRIVY": "9"})
    ]


def test_two_versions_of_one_package_in_one_place_contradict_each_other() -> None:
    other = msgspec.structs.replace(LOG4J, version="2.14.0")

    found = merged([vulnerability(LOG4J)], [vulnerability(other)])

    said = {"SECURITY_CENTER": "2.14.1", "TRIVY": "2.14.0"}
    assert [(each.package and each.package.version, each.engines) for each in found] == [
        ("2.14.0", ("TRIVY",)),
        ("2.14.1", ("SECURITY_CENTER",)),
    ]
    assert all(each.disagreements == (Disagreement(about="version", said=said),) for each in found)


def test_spellings_of_a_version_are_no_conflict() -> None:
    ours = msgspec.structs.replace(LOG4J, name="golang.org/x/net", version="0.1.0", ecosystem="Go")
    its = msgspec.structs.replace(ours, version="v0.1.0")

    [found] = merged([vulnerability(ours)], [vulnerability(its)])

    assert (found.engines, found.disagreements) == (BOTH, ())


def test_a_place_that_one_does_not_tell_is_all_places_of_the_other() -> None:
    places = [msgspec.structs.replace(OPENSSL, path=f"/var/lib/dpkg/status.d/{name}") for name in "ab"]

    found = merged([vulnerability(each) for each in places], [vulnerability(UNPLACED)])

    assert [(each.path, each.engines) for each in found] == [(each.path, BOTH) for each in places]


def test_packages_are_told_once() -> None:
    ours = a_report([], packages=[OPENSSL, LOG4J])
    its = of_trivy(packages=(UNPLACED, LOG4J, msgspec.structs.replace(LOG4J, path="/other.jar")))

    found = merge_engines([ours, its], {}).inventory.packages

    assert [each.path for each in found] == ["/other.jar", LOG4J.path, OPENSSL.path]


def test_a_finding_speaks_of_a_package_that_is_listed() -> None:
    """Documents lead from a finding to its package; and a place that one engine knows, the other one gets."""
    ours = a_report([], packages=[OPENSSL])
    its = of_trivy(vulnerability(UNPLACED), vulnerability(LOG4J), packages=(UNPLACED, LOG4J))

    report = merge_engines([ours, its], {})

    assert {each.package for each in report.findings} == set(report.inventory.packages) == {OPENSSL, LOG4J}
    assert [(each.path, each.engines) for each in report.findings if each.package == OPENSSL] == [
        (OPENSSL.path, ("TRIVY",))
    ]


def test_the_whole_report_keeps_to_its_schema_and_counts_what_it_has() -> None:
    report = merge_engines([a_report(), of_trivy(vulnerability(LOG4J), vulnerability(UNPLACED, "CVE-2024-7"))], {})

    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(msgspec.json.encode(report)))
    assert report.summary.findings == len(report.findings) == sum(report.summary.by_severity.values()) == 8
    assert (report.engine.name, report.engine.version) == ("ALL", "SECURITY_CENTER 0.1.0; TRIVY 0.72.0")
    assert [(each.name, each.findings) for each in report.engines] == [("SECURITY_CENTER", 7), ("TRIVY", 2)]


@pytest.mark.parametrize(
    ("ours", "its", "merged_"),
    [
        (Coverage.FULL, Coverage.FULL, Coverage.FULL),
        (Coverage.FULL, Coverage.PARTIAL, Coverage.PARTIAL),
        (Coverage.FULL, Coverage.NONE, Coverage.PARTIAL),
        (Coverage.NONE, Coverage.NONE, Coverage.NONE),
    ],
)
def test_the_coverage_is_full_only_where_both_are(ours: Coverage, its: Coverage, merged_: Coverage) -> None:
    def told(coverage: Coverage) -> tuple[ReportWarning, ...]:
        return () if coverage is Coverage.FULL else (PARTIAL,)

    report = merge_engines(
        [
            a_report([], packages=(), coverage=ours, warnings=told(ours)),
            of_trivy(coverage=its, warnings=told(its)),
        ],
        {},
    )

    assert report.summary.coverage is merged_
    assert report.summary.coverage_reason == ("" if merged_ is Coverage.FULL else "FILE_NOT_READ")
    assert {each.engine for each in report.warnings} <= set(BOTH)


def test_an_engine_that_failed_is_told_and_lowers_the_coverage() -> None:
    report = merge_engines([a_report([vulnerability(LOG4J)])], {Engine.TRIVY: FAILED})

    assert (report.summary.coverage, report.summary.coverage_reason) == (Coverage.PARTIAL, "ENGINE_FAILED")
    assert "TRIVY could not scan the image (LAYER_TOO_LARGE)" in report.warnings[0].message
    assert [(each.name, each.coverage_reason) for each in report.engines][1] == ("TRIVY", "LAYER_TOO_LARGE")
    assert [each.engines for each in report.findings] == [("SECURITY_CENTER",)]
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(msgspec.json.encode(report)))


FINDINGS = st.lists(
    st.builds(
        lambda package, name, aliases, severity: vulnerability(package, name, aliases=aliases, severity=severity),
        st.sampled_from([OPENSSL, UNPLACED, LOG4J, msgspec.structs.replace(LOG4J, version="3")]),
        st.sampled_from(["CVE-1", "CVE-2", "GHSA-a", "GHSA-b"]),
        st.lists(st.sampled_from(["CVE-1", "CVE-2", "GHSA-a", "GHSA-b"]), max_size=2).map(tuple),
        st.sampled_from(Severity),
    ),
    max_size=6,
    unique_by=lambda finding: finding.key,
)


@given(ours=FINDINGS, its=FINDINGS)
def test_nothing_is_lost_nothing_is_twice_and_nothing_gets_milder(ours: list[Finding], its: list[Finding]) -> None:
    found = merged(ours, its)

    assert len({each.key for each in found}) == len(found)
    for engine, findings in zip(BOTH, (ours, its), strict=True):
        for finding in findings:
            assert any(_covers(each, finding, engine) for each in found)


def _covers(one: Finding, finding: Finding, engine: str) -> bool:
    return (
        engine in one.engines
        and finding.id in (one.id, *one.aliases)
        and one.severity.rank >= finding.severity.rank
        and one.package is not None
        and finding.package is not None
        and (one.package.name, one.package.version) == (finding.package.name, finding.package.version)
    )
