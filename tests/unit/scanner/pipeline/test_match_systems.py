"""What advisories of distributions say of their packages, each in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from services.kernel.model.finding import FixState, Package
from services.kernel.model.report import Coverage
from services.kernel.model.severity import Severity
from services.scanner.advisories.database import Database
from services.scanner.catalogers.interface import Distribution
from services.scanner.pipeline.endoflife import end_of
from services.scanner.pipeline.match import Matched, match
from tests.builders.advisories import NOW, Json, affected, before, compiled, debian, record, rpm

ALMA = "AlmaLinux:8"
RHEL = "Red Hat:enterprise_linux:9"
SLES = "SUSE:Linux Enterprise Server 15 SP5"
PRO = "Ubuntu:Pro:22.04:LTS"


def matched(database: Database, *packages: Package, distribution: Distribution | None = None) -> Matched:
    with database:
        return match(distribution, packages, database, unread=(), now=NOW, max_age=timedelta(days=7))


def found(result: Matched) -> list[tuple[str, str]]:
    return sorted((finding.id, finding.fixed_version) for finding in result.findings)


def alma(identifier: str, *entries: Json, cves: Sequence[str] = ("CVE-1-1",), **more: object) -> Json:
    return record(identifier, *entries, related=list(cves), **more)


def test_the_cves_of_an_almalinux_advisory_are_its_related_ones(tmp_path: Path) -> None:
    advisory = alma(
        "ALSA-2021:1",
        affected(ALMA, "openssl-libs", *before("1:1.1.1k-5.el8_5")),
        cves=("CVE-1-1", "CVE-1-2"),
        database_specific={"severity": "IMPORTANT"},
    )

    result = matched(compiled(tmp_path, advisory), rpm("openssl-libs", "1:1.1.1g-1.el8", ecosystem=ALMA))

    assert [(each.id, each.aliases, each.severity) for each in result.findings] == [
        ("CVE-1-1", ("ALSA-2021:1",), Severity.HIGH),
        ("CVE-1-2", ("ALSA-2021:1",), Severity.HIGH),
    ]


def test_an_almalinux_advisory_without_cves_is_a_finding_of_its_own(tmp_path: Path) -> None:
    advisory = alma("ALSA-2021:1", affected(ALMA, "x", *before("2-1")), cves=())

    assert found(matched(compiled(tmp_path, advisory), rpm("x", "1-1", ecosystem=ALMA))) == [
        ("ALSA-2021:1", "2-1")
    ]


@pytest.mark.parametrize("identifier", ["ALBA-2021:1", "ALEA-2021:1"])
def test_bug_fixes_of_almalinux_are_no_vulnerabilities(identifier: str, tmp_path: Path) -> None:
    entry = affected(ALMA, "x", *before("2-1"))
    database = compiled(
        tmp_path, alma(identifier, entry), alma("ALSA-2021:2", affected(ALMA, "y", *before("2-1")))
    )

    assert database.meta.left_out == {"no_vulnerability": 1}
    assert matched(database, rpm("x", "1-1", ecosystem=ALMA)).findings == ()


@pytest.mark.parametrize(
    ("cves", "expected"), [((), []), (("CVE-1-1",), [("CVE-1-1", "2-1")])], ids=["without", "with"]
)
def test_a_bug_fix_of_red_hat_counts_where_it_answers_cves(
    cves: tuple[str, ...], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    entry = affected(f"{RHEL}::baseos", "x", *before("2-1"))

    assert (
        found(
            matched(
                compiled(tmp_path, record("RHBA-2021:1", entry, upstream=list(cves))),
                rpm("x", "1-1", ecosystem=RHEL),
            )
        )
        == expected
    )


@pytest.mark.parametrize(
    ("ecosystem", "by_binary"),
    [(ALMA, True), (f"{RHEL}::baseos", True), ("Rocky Linux:8", False), ("Photon OS:5.0", False), (SLES, False)],
)
def test_records_name_binaries_or_sources_as_their_ecosystem_does(
    ecosystem: str, by_binary: bool, tmp_path: Path
) -> None:
    database = compiled(
        tmp_path,
        record("BINARY-1", affected(ecosystem, "openssl-libs", *before("2-1"))),
        record("SOURCE-1", affected(ecosystem, "openssl", *before("2-1"))),
    )
    package = rpm("openssl-libs", "1-1", ecosystem=ecosystem.removesuffix("::baseos"), source="openssl")

    assert found(matched(database, package)) == [("BINARY-1" if by_binary else "SOURCE-1", "2-1")]


@pytest.mark.parametrize(
    ("summary", "names", "module", "is_found"),
    [
        ("Moderate: nodejs:16 security update", ["npm"], "nodejs:16", True),
        ("Moderate: nodejs:16 security update", ["npm"], "nodejs:14", False),
        ("Moderate: nodejs:16 security update", ["npm"], "", False),
        ("Important: virt:rhel and virt-devel:rhel security update", ["npm"], "virt-devel:rhel", True),
        ("Important: virt:rhel and virt-devel:rhel security update", ["npm"], "virt:av", False),
        ("", ["npm", "nodejs"], "nodejs:16", True),
        ("", ["npm", "nodejs"], "nodejs:14", False),
        ("", ["npm", "nodejs"], "nodejs:1", False),
        ("", ["npm", "nodejs"], "other:16", False),
        ("", ["npm", "nodejs"], "nodejs:rhel8", True),
        ("", ["npm", "nodejs"], "", False),
        ("", ["npm"], "nodejs:14", True),
        ("", ["npm"], "", False),
    ],
)
def test_a_modular_fix_concerns_packages_of_its_stream_only(
    summary: str, names: list[str], module: str, is_found: bool, tmp_path: Path
) -> None:
    entries = [affected(ALMA, name, *before("1:16.20.2-3.module_el8.9.0+1+aa")) for name in names]
    package = rpm("npm", "1:8.1.0-1.el8", ecosystem=ALMA, module=module)

    result = matched(compiled(tmp_path, alma("ALSA-2021:1", *entries, summary=summary)), package)

    assert bool(result.findings) is is_found


@pytest.mark.parametrize(("module", "is_found"), [("", True), ("perl:5.24", False)])
def test_a_fix_of_no_module_concerns_no_modular_package(module: str, is_found: bool, tmp_path: Path) -> None:
    advisory = alma("ALSA-2021:1", affected(ALMA, "perl-libs", *before("4:5.26.3-420.el8")))

    package = rpm("perl-libs", "4:5.24.4-1.el8", ecosystem=ALMA, module=module)

    assert bool(matched(compiled(tmp_path, advisory), package).findings) is is_found


def test_a_package_whose_release_alone_tells_of_a_module_is_modular(tmp_path: Path) -> None:
    fixed = "1:16.20.2-3.module_el8.9.0+1+aa"
    database = compiled(
        tmp_path,
        alma("ALSA-2021:1", affected(ALMA, "nodejs", *before(fixed))),
        alma("ALSA-2021:2", affected(ALMA, "nodejs", *before("2:9-1.el8")), cves=("CVE-1-2",)),
    )
    package = rpm("nodejs", "1:16.1.0-1.module_el8.4.0+1+aa", ecosystem=ALMA)

    assert found(matched(database, package)) == [("CVE-1-1", fixed)]


@pytest.mark.parametrize(
    ("version", "stream", "expected"),
    [
        ("1:14.1.0-1.module_el8+1+aa", 14, [("CVE-1-1", "1:14.9.0-1.module_el8+1+aa")]),
        ("1:14.9.0-1.module_el8+1+aa", 14, []),
        ("1:16.1.0-1.module_el8+1+aa", 16, [("CVE-1-1", "1:16.9.0-1.module_el8+1+aa")]),
    ],
)
def test_each_stream_has_its_own_fix(
    version: str, stream: int, expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    advisories = [
        alma(f"ALSA-2021:{each}", affected(ALMA, "nodejs", *before(f"1:{each}.9.0-1.module_el8+1+aa")))
        for each in (14, 16)
    ]
    package = rpm("nodejs", version, ecosystem=ALMA, module=f"nodejs:{stream}")

    assert found(matched(compiled(tmp_path, *advisories), package)) == expected


def test_of_several_builds_of_a_modular_fix_the_lowest_is_enough(tmp_path: Path) -> None:
    low, high = "1:0.1.15-2.module_el8.4.0+2496+12421f43", "1:0.1.15-2.module_el8.5.0+119+9a9ec082"
    advisory = alma("ALSA-2021:1", affected(ALMA, "x", *before(high)), affected(ALMA, "x", *before(low)))

    assert found(matched(compiled(tmp_path, advisory), rpm("x", low, ecosystem=ALMA, module="x:1"))) == []


def test_all_parts_of_a_red_hat_release_count_and_others_do_not(tmp_path: Path) -> None:
    fixes = {
        f"{RHEL}::appstream": "CVE-1-1",
        f"{RHEL}::baseos": "CVE-1-2",
        "Red Hat:enterprise_linux:8::baseos": "CVE-1-3",
        "Red Hat:rhel_eus:9.2::baseos": "CVE-1-4",
        "Red Hat:openshift:4.12::el9": "CVE-1-5",
        "Red Hat:enterprise_linux:9.6": "CVE-1-6",
        "Red Hat:enterprise_linux:90::baseos": "CVE-1-7",
    }
    database = compiled(
        tmp_path,
        *(
            record(f"RHSA-2024:{number}", affected(ecosystem, "x", *before("0:2-1.el9")), upstream=[cve])
            for number, (ecosystem, cve) in enumerate(fixes.items())
        ),
    )

    result = matched(database, rpm("x", "1-1.el9", ecosystem=RHEL))

    assert [each.id for each in result.findings] == ["CVE-1-1", "CVE-1-2", "CVE-1-6"]
    assert result.coverage is Coverage.FULL
    assert result.findings[0].link == "https://access.redhat.com/security/cve/CVE-1-1"


def test_the_stream_that_is_kept_beside_a_minor_release_has_the_first_word(tmp_path: Path) -> None:
    main, kept = f"{RHEL}::baseos", "Red Hat:rhel_eus:9.2::baseos"
    database = compiled(
        tmp_path,
        record("RHSA-1", affected(main, "x", *before("3-9.el9_4")), upstream=["CVE-1-1"]),
        record("RHSA-2", affected(kept, "x", *before("3-5.el9_2.1")), upstream=["CVE-1-1"]),
        record("RHSA-3", affected(main, "x", *before("3-9.el9_4")), upstream=["CVE-1-2"]),
    )

    assert found(matched(database, rpm("x", "3-5.el9_2.1", ecosystem="Red Hat:rhel_eus:9.2"))) == [
        ("CVE-1-2", "3-9.el9_4")
    ]


@pytest.mark.parametrize(
    ("ecosystem", "expected"),
    [("Ubuntu:22.04:LTS", [("CVE-1-1", ""), ("CVE-1-3", "2")]), (PRO, [("CVE-1-2", "2+esm1"), ("CVE-1-3", "2")])],
)
def test_ubuntu_pro_has_the_first_word_where_it_is_on(
    ecosystem: str, expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    plain = "Ubuntu:22.04:LTS"
    database = compiled(
        tmp_path,
        record(
            "UBUNTU-CVE-1-1",
            affected(plain, "x", {"introduced": "0"}),
            affected(PRO, "x", *before("1+esm1")),
            upstream=["CVE-1-1"],
        ),
        record("UBUNTU-CVE-1-2", affected(PRO, "x", *before("2+esm1")), upstream=["CVE-1-2"]),
        record("UBUNTU-CVE-1-3", affected(plain, "x", *before("2")), upstream=["CVE-1-3"]),
    )
    package = Package(purl="", name="x", version="1+esm1", ecosystem=ecosystem, path="/p", layer="l")

    assert found(matched(database, package)) == expected


def test_the_modules_of_suse_s_server_count_with_its_service_pack(tmp_path: Path) -> None:
    fixes = {
        SLES: "CVE-1-1",
        "SUSE:Linux Enterprise Module for Basesystem 15 SP5": "CVE-1-2",
        f"{SLES}-LTSS": "CVE-1-3",
        "SUSE:Linux Enterprise Module for Basesystem 15 SP6": "CVE-1-4",
        "SUSE:Linux Enterprise Desktop 15 SP5": "CVE-1-5",
    }
    database = compiled(
        tmp_path,
        *(
            record(f"SUSE-SU-{cve}", affected(ecosystem, "x", *before("2-1")), related=[cve])
            for ecosystem, cve in fixes.items()
        ),
    )

    assert found(matched(database, rpm("x", "1-1", ecosystem=SLES))) == [
        (f"CVE-1-{number}", "2-1") for number in (1, 2, 3)
    ]


def test_a_release_of_red_hat_without_advisories_is_not_covered_by_another(tmp_path: Path) -> None:
    entry = affected("Red Hat:enterprise_linux:8::baseos", "x", *before("2-1"))
    result = matched(compiled(tmp_path, record("RHSA-1", entry)), rpm("x", "1-1", ecosystem=RHEL))

    assert (result.coverage, result.coverage_reason) == (Coverage.NONE, "NO_ADVISORIES")


def test_centos_is_judged_by_red_hat_s_advisories_and_says_so(tmp_path: Path) -> None:
    entry = affected("Red Hat:enterprise_linux:7::server", "x", *before("2-1"))
    database = compiled(tmp_path, record("RHSA-1", entry, upstream=["CVE-1-1"]))
    centos = Distribution(id="centos", version_id="7", pretty_name="CentOS Linux 7 (Core)")

    result = matched(database, rpm("x", "1-1", ecosystem="Red Hat:enterprise_linux:7"), distribution=centos)

    assert [each.code for each in result.warnings] == ["END_OF_LIFE", "BORROWED_ADVISORIES"]
    assert found(result) == [("CVE-1-1", "2-1")]
    assert result.coverage is Coverage.PARTIAL


@pytest.mark.parametrize(
    ("channel", "codes"),
    [
        ("rhel-9-for-x86_64-baseos-rpms", []),
        ("ubi-9-appstream-rpms", []),
        ("codeready-builder-for-rhel-9-x86_64-rpms", []),
        ("rhocp-4.12-for-rhel-9-x86_64-rpms", ["NO_ADVISORIES"]),
    ],
)
def test_content_sets_of_other_products_are_not_taken_for_judged(
    channel: str, codes: list[str], tmp_path: Path
) -> None:
    entry = affected(f"{RHEL}::baseos", "x", *before("2-1"))
    rhel = Distribution(id="rhel", version_id="9.4", channels=(channel,))

    result = matched(
        compiled(tmp_path, record("RHSA-1", entry)), rpm("x", "2-1", ecosystem=RHEL), distribution=rhel
    )

    assert [each.code for each in result.warnings] == codes


def test_the_end_of_a_release_is_told_and_lowers_the_coverage(tmp_path: Path) -> None:
    open_ended = affected("Debian:10", "x", {"introduced": "0"})
    fixed = affected("Debian:10", "y", *before("2"))
    database = compiled(tmp_path, record("CVE-1-1", open_ended), record("CVE-1-2", fixed))
    packages = debian("x", "1", release="10"), debian("y", "1", release="10")

    result = matched(database, *packages, distribution=Distribution(id="debian", version_id="10"))

    assert [(each.id, each.fix_state) for each in result.findings] == [
        ("CVE-1-1", FixState.END_OF_LIFE),
        ("CVE-1-2", FixState.FIXED),
    ]
    assert (result.coverage, result.coverage_reason) == (Coverage.PARTIAL, "END_OF_LIFE")
    assert "debian 10 ended on 2024-06-30" in result.warnings[0].message


@pytest.mark.parametrize(
    ("distribution", "end"),
    [
        (Distribution(id="debian", version_id="10"), date(2024, 6, 30)),
        (Distribution(id="alpine", version_id="3.18.4"), date(2025, 5, 9)),
        (Distribution(id="alpine", version_id="3.1"), date(2016, 11, 1)),
        (Distribution(id="rhel", version_id="7.9"), date(2024, 6, 30)),
        (Distribution(id="almalinux", version_id="9.4"), date(2032, 5, 31)),
        (Distribution(id="sles", version_id="15.5"), date(2024, 12, 31)),
        (Distribution(id="ubuntu", version_id="18.04"), date(2023, 5, 31)),
        (Distribution(id="ubuntu", version_id="18.04", channels=("esm-infra",)), date(2028, 4, 1)),
        (Distribution(id="centos", version_id="8", pretty_name="CentOS Linux 8"), date(2021, 12, 31)),
        (Distribution(id="centos", version_id="8", pretty_name="CentOS Stream 8"), date(2024, 5, 31)),
        (Distribution(id="amzn", version_id="2023.4.20240401"), date(2029, 6, 30)),
        (Distribution(id="mariner", version_id="2.0.20240301"), date(2025, 7, 31)),
        (Distribution(id="fedora", version_id="39"), date(2024, 11, 26)),
        (Distribution(id="wolfi", version_id="20230201"), None),
        (Distribution(id="debian", version_id=""), None),
        (Distribution(id="debian", version_id="1/2"), None),
        (Distribution(id="kali", version_id="2020.1"), None),
    ],
)
def test_when_releases_end(distribution: Distribution, end: date | None) -> None:
    assert end_of(distribution) == end
