"""What Trivy reports becomes a report of ours: nothing is made up, and nothing of it is trusted."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.kernel.model.finding import VULNERABILITIES, Finding, FindingKind, FixState
from services.kernel.model.report import Coverage, EngineInfo, Layer, Report
from services.kernel.model.severity import Severity
from services.kernel.reasons import Reason, ScanFailure
from services.scanner.reports import unpack_report
from services.scanner.trivy.case import TrivyCase
from services.scanner.trivy.database import TrivyDatabase
from services.scanner.trivy.report import report_of
from tests.builders.advisories import NOW, Json
from tests.builders.trivy import language, package, report, system, vulnerability

SCHEMA = json.loads((Path(__file__).parents[4] / "docs" / "report.schema.json").read_text())
BASE, TOP = (Layer(digest="sha256:" + each * 64, diff_id="sha256:" + each * 63 + "0", size=1) for each in "bc")
DATABASE = TrivyDatabase(version="2026-03-01T00:00:00Z", built_at=NOW)
BASH = package("bash", "5.2.15", Release="2", Arch="amd64", Layer={"DiffID": BASE.diff_id})
FLASK = package(
    "Flask",
    "0.12.2",
    purl="pkg:pypi/flask@0.12.2",
    FilePath="usr/lib/x/METADATA",
    Layer={"Digest": TOP.digest},
)


def case_of(folder: Path, document: Json | bytes) -> TrivyCase:
    path = folder / "report.json"
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    return TrivyCase(
        reference="registry.example/app:1",
        digest="sha256:" + "a" * 64,
        platform="linux/amd64",
        layers=(BASE, TOP),
        output=path,
        output_bytes=1 << 20,
        said="",
        kinds=frozenset(FindingKind),
        engine=EngineInfo(name="TRIVY", version="0.72.0"),
        database=DATABASE,
        now=NOW,
        max_age=timedelta(days=7),
    )


def reported(folder: Path, document: Json | bytes, **more: Any) -> Report:
    found = unpack_report(report_of(dataclasses.replace(case_of(folder, document), **more)).report)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(msgspec.json.encode(found)))
    return found


def codes(found: Report) -> list[str]:
    return [warning.code for warning in found.warnings]


def test_packages_of_system_and_languages_are_told_apart(tmp_path: Path) -> None:
    document = report(
        system(BASH, vulnerabilities=(vulnerability("CVE-2026-1", BASH, Severity="HIGH"),)),
        language("python-pkg", FLASK, vulnerabilities=(vulnerability("CVE-2026-2", FLASK, PkgPath="usr/lib/x"),)),
    )

    found = reported(tmp_path, document)

    assert [(each.name, each.version, each.ecosystem) for each in found.inventory.packages] == [
        ("bash", "5.2.15-2", "Debian:12"),
        ("Flask", "0.12.2", "PyPI"),
    ]
    kinds = {each.id: each.kind for each in found.findings}
    assert kinds == {
        "CVE-2026-1": FindingKind.SYSTEM_VULNERABILITY,
        "CVE-2026-2": FindingKind.APPLICATION_VULNERABILITY,
    }
    assert found.summary.by_kind == {"SYSTEM_VULNERABILITY": 1, "APPLICATION_VULNERABILITY": 1}
    assert found.summary.coverage is Coverage.FULL
    assert (found.engine.name, found.advisories.version) == ("TRIVY", "2026-03-01T00:00:00Z")


def test_place_and_layer_are_told_only_where_trivy_tells_them(tmp_path: Path) -> None:
    elsewhere = package("curl", "8", Layer={"Digest": "sha256:" + "f" * 64})
    lock = package("serde", "1.0", uid="serde", purl="pkg:cargo/serde@1.0")
    jar = package("g:a", "1", uid="jar", purl="pkg:maven/g/a@1", FilePath="srv/app.jar/lib/x.war/y.jar")
    document = report(
        system(BASH, elsewhere),
        language("cargo", lock, target="srv/Cargo.lock"),
        language("jar", jar, target="Java"),
        language("python-pkg", FLASK),
    )

    places = {each.name: (each.path, each.layer) for each in reported(tmp_path, document).inventory.packages}

    assert places == {
        "bash": ("", BASE.digest),
        "curl": ("", ""),
        "serde": ("/srv/Cargo.lock", ""),
        "g:a": ("/srv/app.jar:lib/x.war:y.jar", ""),
        "Flask": ("/usr/lib/x/METADATA", TOP.digest),
    }


def test_state_severity_score_and_aliases_are_those_of_trivy(tmp_path: Path) -> None:
    said = (
        vulnerability(
            "CVE-2026-1",
            BASH,
            VendorIDs=["DSA-1", "CVE-2026-1"],
            Severity="CRITICAL",
            SeveritySource="debian",
            CVSS={"nvd": {"V3Score": 9.8}, "debian": {"V3Score": 7.1}},
            FixedVersion="5.3",
            Status="fixed",
            Title="It overflows",
            PrimaryURL="https://avd.aquasec.com/nvd/cve-2026-1",
        ),
        vulnerability("CVE-2026-2", BASH, Status="end_of_life", CVSS={"redhat": {"V2Score": 5.0}}),
        vulnerability("CVE-2026-3", BASH, Status="will_not_fix", Severity="SEVERE", PrimaryURL="javascript:x"),
    )

    found = {each.id: each for each in reported(tmp_path, report(system(BASH, vulnerabilities=said))).findings}

    one, two, three = (found[f"CVE-2026-{number}"] for number in (1, 2, 3))
    assert (one.severity, one.score, one.aliases) == (Severity.CRITICAL, 7.1, ("DSA-1",))
    assert (one.fixed_version, one.fix_state, one.title) == ("5.3", FixState.FIXED, "It overflows")
    assert one.link == "https://avd.aquasec.com/nvd/cve-2026-1"
    assert (two.score, two.fix_state, two.fixed_version) == (5.0, FixState.END_OF_LIFE, "")
    assert (three.severity, three.score, three.fix_state) == (Severity.UNKNOWN, None, FixState.AFFECTED)
    assert (three.title, three.link) == ("CVE-2026-3 in bash", "")


@pytest.mark.parametrize(
    ("said", "least"), [("3.1.13, 0.9, 1.0", "1.0"), ("0.12.1", "0.12.1"), ("", ""), ("0.1, 0.2", "0.1")]
)
def test_of_the_fixes_of_all_branches_the_next_one_is_named(tmp_path: Path, said: str, least: str) -> None:
    document = report(language("pip", FLASK, vulnerabilities=(vulnerability("CVE-1", FLASK, FixedVersion=said),)))

    [finding] = reported(tmp_path, document).findings

    assert finding.fixed_version == least


def test_an_rpm_has_its_epoch_and_its_module(tmp_path: Path) -> None:
    nodejs = package(
        "nodejs", "16.1", Release="3.el8", Epoch=1, Modularitylabel="nodejs:16:80:x", SrcName="nodejs"
    )
    document = report(system(nodejs, family="alma"), family="alma", release="8.9")

    [found] = reported(tmp_path, document).inventory.packages

    assert (found.version, found.module, found.ecosystem) == ("1:16.1-3.el8", "nodejs:16", "AlmaLinux:8")


def test_a_package_that_only_a_vulnerability_names_is_listed_too(tmp_path: Path) -> None:
    other = package("curl", "8.0", uid="nowhere")

    found = reported(tmp_path, report(system(BASH, vulnerabilities=(vulnerability("CVE-2026-1", other),))))

    assert [each.package for each in found.findings if each.package not in found.inventory.packages] == []
    assert {each.name for each in found.inventory.packages} == {"bash", "curl"}


def test_only_kinds_that_are_looked_for_are_found(tmp_path: Path) -> None:
    document = report(
        system(BASH, vulnerabilities=(vulnerability("CVE-2026-1", BASH),)),
        language("pip", FLASK, vulnerabilities=(vulnerability("CVE-2026-2", FLASK),)),
        {"Target": "x", "Class": "secret", "Secrets": [{"RuleID": "aws"}]},
    )

    found = reported(tmp_path, document, kinds=frozenset({FindingKind.APPLICATION_VULNERABILITY}))

    assert [each.id for each in found.findings] == ["CVE-2026-2"]
    assert found.summary.by_kind == {"APPLICATION_VULNERABILITY": 1}


def warned(message: str, level: str = "WARN") -> str:
    return f"2026-03-01T00:00:00Z\t{level}\t{message}\n"


@pytest.mark.parametrize(
    ("document", "more", "code", "coverage"),
    [
        (report(family=""), {}, "NO_PACKAGES", Coverage.NONE),
        (report(language("pip", FLASK), family=""), {}, "SYSTEM_NOT_RECOGNISED", Coverage.PARTIAL),
        (report(system(BASH), family="none"), {}, "SYSTEM_NOT_RECOGNISED", Coverage.PARTIAL),
        (report(language("pip", FLASK)), {}, "NO_PACKAGES", Coverage.PARTIAL),
        (
            report(system(BASH), Metadata={"OS": {"Family": "debian", "Name": "8", "EOSL": True}}),
            {},
            "END_OF_LIFE",
            Coverage.PARTIAL,
        ),
        (
            report(system(BASH)),
            {"database": dataclasses.replace(DATABASE, built_at=NOW - timedelta(days=8))},
            "STALE_ADVISORIES",
            Coverage.PARTIAL,
        ),
        (
            report(system(BASH)),
            {"database": dataclasses.replace(DATABASE, sample=True)},
            "SAMPLE_ADVISORIES",
            Coverage.PARTIAL,
        ),
        (
            report(system(BASH)),
            {"database": dataclasses.replace(DATABASE, ecosystems=frozenset({"PyPI"}))},
            "NO_ADVISORIES",
            Coverage.NONE,
        ),
        (
            report(system(BASH)),
            {"said": warned("This OS version is not on the EOL list")},
            "NO_ADVISORIES",
            "PARTIAL",
        ),
        (report(system(BASH)), {"said": warned("Something new")}, "TRIVY_WARNED", "PARTIAL"),
        (report(system(BASH)), {"said": warned("Version matching error")}, "VERSION_NOT_COMPARABLE", "PARTIAL"),
        (report(system(BASH)), {"said": warned("[pip] Parse failed", "ERROR")}, "TRIVY_WARNED", "PARTIAL"),
    ],
)
def test_what_was_not_judged_lowers_the_coverage(
    tmp_path: Path, document: Json, more: dict[str, Any], code: str, coverage: Coverage | str
) -> None:
    found = reported(tmp_path, document, **more)

    assert found.summary.coverage_reason == codes(found)[0] == code
    assert found.summary.coverage is Coverage(coverage)


def test_harmless_words_of_trivys_leave_it_full(tmp_path: Path) -> None:
    said = warned("Using severities from other vendors for some vulnerabilities.") + warned("Detected OS", "INFO")

    assert reported(tmp_path, report(system(BASH)), said=said).summary.coverage is Coverage.FULL


def test_the_database_of_a_server_is_the_one_that_counts(tmp_path: Path) -> None:
    server = {"Version": "0.72.0", "VulnerabilityDB": {"Version": 2, "UpdatedAt": "2026-01-01T00:00:00Z"}}

    found = reported(tmp_path, report(system(BASH), Trivy={"Version": "0.72.0", "Server": server}))

    assert found.advisories.version == "2026-01-01T00:00:00Z"
    assert codes(found) == ["STALE_ADVISORIES"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", Reason.TRIVY_OUTPUT_INVALID),
        (b"{", Reason.TRIVY_OUTPUT_INVALID),
        (b"\xff\xfe", Reason.TRIVY_OUTPUT_INVALID),
        (b"[" * 100_000, Reason.TRIVY_OUTPUT_INVALID),
        (b'{"SchemaVersion":3,"ArtifactType":"container_image"}', Reason.TRIVY_OUTPUT_INVALID),
        (b'{"SchemaVersion":2,"ArtifactType":"filesystem"}', Reason.TRIVY_OUTPUT_INVALID),
        (b'{"SchemaVersion":2,"ArtifactType":"container_image","Results":7}', Reason.TRIVY_OUTPUT_INVALID),
        (b" " * (2 << 20), Reason.TRIVY_OUTPUT_TOO_LARGE),
    ],
)
def test_what_is_no_report_is_no_verdict(tmp_path: Path, content: bytes, why: Reason) -> None:
    with pytest.raises(ScanFailure) as caught:
        report_of(case_of(tmp_path, content))

    assert caught.value.why is why


def test_no_report_at_all_is_no_verdict(tmp_path: Path) -> None:
    case = dataclasses.replace(case_of(tmp_path, b""), output=tmp_path / "missing.json")

    with pytest.raises(ScanFailure) as caught:
        report_of(case)

    assert caught.value.why is Reason.TRIVY_OUTPUT_INVALID


TEXT = st.text(max_size=30) | st.sampled_from(["", "\x1b[2J", "x" * 5000, "1.0, 2.0", "sha256:" + "b" * 64])
HOSTILE = st.fixed_dictionaries(
    {"Name": TEXT, "Version": TEXT, "Identifier": st.fixed_dictionaries({"UID": TEXT, "PURL": TEXT})},
    optional={"FilePath": TEXT, "Arch": TEXT, "SrcName": TEXT, "Modularitylabel": TEXT},
)
FLAWS = st.fixed_dictionaries(
    {"VulnerabilityID": TEXT},
    optional={
        "PkgName": TEXT,
        "InstalledVersion": TEXT,
        "FixedVersion": TEXT,
        "Severity": TEXT,
        "Title": TEXT,
        "VendorIDs": st.lists(TEXT, max_size=4),
        "CVSS": st.dictionaries(TEXT, st.fixed_dictionaries({"V3Score": st.floats(-1e9, 1e9)}), max_size=2),
        "Layer": st.fixed_dictionaries({"Digest": TEXT}),
    },
)


@example(
    packages=[
        {"Name": name, "Version": "1", "Identifier": {"UID": name, "PURL": ""}} for name in (" ", "/", "/ /")
    ],
    flaws=[],
    where=("pip", ""),
    family="debian",
)
@given(
    packages=st.lists(HOSTILE, max_size=3),
    flaws=st.lists(FLAWS, max_size=3),
    where=st.tuples(st.sampled_from(["pip", "npm", "jar", "gobinary", "composer", "what"]), TEXT),
    family=st.sampled_from(["debian", "redhat", "suse linux enterprise server", "", "none", "\x1b"]),
)
def test_whatever_is_in_it_the_report_keeps_to_its_schema(
    tmp_path_factory: pytest.TempPathFactory,
    packages: list[Json],
    flaws: list[Json],
    where: tuple[str, str],
    family: str,
) -> None:
    kind, target = where
    document = report(
        system(*packages, vulnerabilities=tuple(flaws)),
        language(kind, *packages, target=target, vulnerabilities=tuple(flaws)),
        family=family,
    )

    found = reported(tmp_path_factory.mktemp("hostile"), document, kinds=VULNERABILITIES)

    shown = [text for each in found.findings for text in _texts(each)]
    assert all(text.isprintable() and len(text) < 6_000 for text in shown)


def _texts(finding: Finding) -> tuple[str, ...]:
    of = finding.package
    assert of is not None
    named = (of.name, of.version, of.purl, of.path)
    return (finding.id, finding.title, finding.fixed_version, finding.path, *named, *finding.aliases)


@pytest.mark.parametrize(
    ("families", "facts_at"),
    [
        ({}, NOW),
        ({"Debian": NOW - timedelta(days=3), "PyPI": NOW - timedelta(days=5)}, NOW - timedelta(days=5)),
        ({"Debian": NOW - timedelta(days=3), "npm": NOW - timedelta(days=5)}, NOW - timedelta(days=3)),
        ({"npm": NOW - timedelta(days=5)}, NOW - timedelta(days=5)),
        ({"Debian": None, "PyPI": NOW}, None),
    ],
)
def test_its_facts_are_as_old_as_those_of_the_oldest_family_that_the_image_has(
    tmp_path: Path, families: dict[str, datetime | None], facts_at: datetime | None
) -> None:
    document = report(system(BASH), language("python-pkg", FLASK))
    found = reported(tmp_path, document, database=dataclasses.replace(DATABASE, families=families))
    assert found.advisories.facts_at == (facts_at.isoformat().replace("+00:00", "Z") if facts_at else "")
