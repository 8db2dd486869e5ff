from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.model.finding import FindingKind, FixState, Package
from services.kernel.model.report import Coverage, ReportWarning, sort_key
from services.kernel.model.severity import Severity
from services.scanner.advisories.database import Database
from services.scanner.catalogers.interface import Distribution
from services.scanner.pipeline.match import Matched, match
from tests.builders.advisories import NOW, Json, affected, before, compiled, cvss, debian, python, record

HIGH = cvss("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H")
DEBIAN = Distribution(id="debian", version_id="12")


def matched(
    database: Database,
    *packages: Package,
    age: timedelta = timedelta(),
    distribution: Distribution | None = None,
    unread: Sequence[ReportWarning] = (),
) -> Matched:
    with database:
        return match(distribution, packages, database, unread=unread, now=NOW + age, max_age=timedelta(days=7))


def found(result: Matched) -> list[tuple[str, str]]:
    return sorted((finding.id, finding.fixed_version) for finding in result.findings)


def test_a_package_below_the_fix_is_found_where_it_lies(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("GHSA-a", affected("PyPI", "flask", *before("1.0")), aliases=["CVE-1-2"]))
    package = python("Flask", "0.12")
    (finding,) = matched(database, package).findings
    assert (finding.id, finding.aliases, finding.fixed_version) == ("CVE-1-2", ("GHSA-a",), "1.0")
    assert (finding.path, finding.layer, finding.package) == (package.path, package.layer, package)
    assert finding.kind is FindingKind.APPLICATION_VULNERABILITY
    assert finding.title == "CVE-1-2 in Flask"
    assert finding.link.endswith("/CVE-1-2")


@pytest.mark.parametrize("version", ["1.0", "1.0.post1", "2!0"])
def test_a_fixed_version_is_clean_and_fully_covered(tmp_path: Path, version: str) -> None:
    database = compiled(tmp_path, record("CVE-1-2", affected("PyPI", "flask", *before("1.0"))))
    result = matched(database, python("flask", version))
    assert (result.findings, result.coverage, result.coverage_reason, result.warnings) == (
        (),
        Coverage.FULL,
        "",
        (),
    )


def test_each_upstream_id_of_an_advisory_is_a_finding_of_its_own(tmp_path: Path) -> None:
    entry = affected("Debian:12", "curl", *before("8-1"))
    database = compiled(tmp_path, record("DSA-1-1", entry, upstream=["CVE-2023-1", "CVE-2023-2"]))
    result = matched(database, debian("curl", "7-1"))
    assert [(each.id, each.aliases) for each in result.findings] == [
        ("CVE-2023-1", ("DSA-1-1",)),
        ("CVE-2023-2", ("DSA-1-1",)),
    ]
    assert {each.kind for each in result.findings} == {FindingKind.SYSTEM_VULNERABILITY}


def test_a_shared_upstream_merges_records_and_a_shared_advisory_does_not(tmp_path: Path) -> None:
    entry = affected("Debian:12", "curl", *before("8-1"))
    database = compiled(
        tmp_path,
        record("DSA-1-1", entry, upstream=["CVE-2023-1", "CVE-2023-2"]),
        record("DEBIAN-CVE-2023-1", entry, upstream=["CVE-2023-1"], severity=HIGH),
    )
    first, second = matched(database, debian("curl", "7-1")).findings
    assert (first.id, first.severity, first.score) == ("CVE-2023-2", Severity.UNKNOWN, None)
    assert (second.id, second.aliases) == ("CVE-2023-1", ("DEBIAN-CVE-2023-1", "DSA-1-1"))
    assert (second.severity, second.score) == (Severity.HIGH, 7.5)


def test_a_distributions_page_about_a_cve_is_that_cve(tmp_path: Path) -> None:
    entry = affected("Debian:12", "curl", *before("8-1"))
    database = compiled(tmp_path, record("USN-1-1", entry, upstream=["UBUNTU-CVE-2023-1", "CVE-2023-1"]))
    (finding,) = matched(database, debian("curl", "7-1")).findings
    assert (finding.id, finding.aliases) == ("CVE-2023-1", ("UBUNTU-CVE-2023-1", "USN-1-1"))


def test_records_that_alias_each_other_are_one_finding(tmp_path: Path) -> None:
    database = compiled(
        tmp_path,
        record("PYSEC-1", affected("PyPI", "x", *before("2")), aliases=["GHSA-b"]),
        record("GHSA-b", affected("PyPI", "x", *before("2")), aliases=["CVE-2020-9"], summary="A short line"),
        record("GHSA-other", affected("PyPI", "x", *before("2")), related=["CVE-2020-9"]),
    )
    result = matched(database, python("x", "1"))
    assert [(each.id, each.aliases, each.title) for each in result.findings] == [
        ("CVE-2020-9", ("GHSA-b", "PYSEC-1"), "A short line"),
        ("GHSA-other", (), "GHSA-other in x"),
    ]


def test_when_records_disagree_the_version_is_affected_and_the_fix_is_the_one_all_agree_on(tmp_path: Path) -> None:
    database = compiled(
        tmp_path,
        record("DSA-1-1", affected("Debian:12", "x", *before("2-1")), upstream=["CVE-1-1"]),
        record("DSA-1-2", affected("Debian:12", "x", *before("3-1")), upstream=["CVE-1-1"]),
    )
    result = matched(database, debian("x", "1-1"), debian("x", "2-1"), debian("x", "3-1"))
    assert [(each.key.version, each.fixed_version) for each in result.findings] == [
        ("1-1", "3-1"),
        ("2-1", "3-1"),
    ]


def test_a_fix_that_only_one_record_knows_is_told(tmp_path: Path) -> None:
    database = compiled(
        tmp_path,
        record("GHSA-1", affected("PyPI", "x", *before("2")), aliases=["CVE-1-1"]),
        record("PYSEC-1", affected("PyPI", "x", {"introduced": "0"}), aliases=["CVE-1-1"]),
    )
    (finding,) = matched(database, python("x", "1")).findings
    assert (finding.fixed_version, finding.fix_state) == ("2", FixState.FIXED)


def test_the_fix_is_the_one_of_the_installed_branch(tmp_path: Path) -> None:
    events = (*before("2.2.24", "2.2"), *before("3.1.12", "3.0"), *before("3.2.4", "3.2"))
    database = compiled(tmp_path, record("CVE-1-1", affected("PyPI", "django", *events)))
    result = matched(database, *(python("Django", version) for version in ("2.2.1", "3.0", "3.2", "2.3", "3.2.4")))
    assert sorted((each.key.version, each.fixed_version) for each in result.findings) == [
        ("2.2.1", "2.2.24"),
        ("3.0", "3.1.12"),
        ("3.2", "3.2.4"),
    ]


def test_without_a_fix_the_finding_says_affected(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("CVE-1-1", affected("Debian:12", "x", {"introduced": "0"})))
    (finding,) = matched(database, debian("x", "1")).findings
    assert (finding.fixed_version, finding.fix_state) == ("", FixState.AFFECTED)


def test_listed_versions_count_beside_ranges(tmp_path: Path) -> None:
    entry = affected("PyPI", "x", *before("1.0"), versions=["0.9", "1.5.0", "junk"])
    database = compiled(tmp_path, record("CVE-1-1", entry))
    result = matched(database, python("x", "1.5"), python("x", "1.6"), python("x", "junk"))
    assert sorted(each.key.version for each in result.findings) == ["1.5", "junk"]


def test_binaries_are_judged_by_their_source(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("CVE-1-1", affected("Debian:12", "openssl", *before("3.0.10-1"))))
    old = debian("libssl3", "9:9", source="openssl", source_version="3.0.9-1")
    new = debian("openssl", "1", source="other", source_version="1")
    assert [each.key.package for each in matched(database, old, new).findings] == ["libssl3"]


def test_python_names_are_compared_normalised(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("CVE-1-1", affected("PyPI", "Zope.Interface_X", *before("2"))))
    assert found(matched(database, python("zope-interface.x", "1"))) == [("CVE-1-1", "2")]


def test_releases_of_a_distribution_are_kept_apart(tmp_path: Path) -> None:
    database = compiled(
        tmp_path,
        record("CVE-1-1", affected("Debian:11", "x", *before("9")), affected("Debian:12", "x", *before("1"))),
    )
    assert matched(database, debian("x", "5")).findings == ()


def test_withdrawn_records_and_commits_claim_nothing(tmp_path: Path) -> None:
    git = {
        "package": {"ecosystem": "PyPI", "name": "x"},
        "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}],
    }
    everything = affected("PyPI", "x", {"introduced": "0"})
    database = compiled(
        tmp_path,
        record("CVE-1-1", everything, withdrawn="2026-01-02T00:00:00Z"),
        record("CVE-1-2", git),
        record("CVE-1-3", affected("PyPI", "y", *before("1"))),
    )
    assert database.meta.left_out == {"no_versions": 1, "withdrawn": 1}
    assert database.withdrawn() == {"CVE-1-1"}
    assert all(known.name for known in database.packages())
    assert matched(database, python("x", "1")).findings == ()


@pytest.mark.parametrize(
    ("told", "version"),
    [
        ({"versions": ["1.0", "1.1"]}, "1.1"),
        ({"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}]}, "7"),
    ],
)
def test_a_package_that_is_malicious_itself_is_a_malicious_sample(
    tmp_path: Path, told: Json, version: str
) -> None:
    entry = {"package": {"ecosystem": "PyPI", "name": "reqeusts"}, **told}
    database = compiled(tmp_path, record("MAL-2026-1", entry))
    package = python("reqeusts", version)
    (finding,) = matched(database, package).findings
    assert (finding.kind, finding.id) == (FindingKind.MALICIOUS_SAMPLE, "MAL-2026-1")
    assert (finding.severity, finding.score) == (Severity.CRITICAL, None)
    assert (finding.package, finding.path, finding.layer) == (package, package.path, package.layer)
    assert (finding.fixed_version, finding.fix_state) == ("", FixState.AFFECTED)
    assert finding.link == "https://osv.dev/vulnerability/MAL-2026-1"


def test_a_malicious_version_is_one_finding_whatever_else_it_is_called(tmp_path: Path) -> None:
    database = compiled(
        tmp_path,
        record("MAL-2026-1", affected("npm", "ua", versions=["0.7.29"]), aliases=["GHSA-a"]),
        record("GHSA-a", affected("npm", "ua", {"introduced": "0.7.29"}, {"fixed": "0.7.30"}), severity=HIGH),
        record("CVE-2022-1", affected("npm", "ua", *before("0.7.30")), severity=HIGH),
    )
    package = Package(purl="pkg:npm/ua@1", name="ua", version="0.7.29", ecosystem="npm", path="/p", layer="")
    flaw, sample = matched(database, package).findings
    assert (flaw.id, flaw.kind, flaw.severity) == (
        "CVE-2022-1",
        FindingKind.APPLICATION_VULNERABILITY,
        Severity.HIGH,
    )
    assert (sample.id, sample.aliases) == ("GHSA-a", ("MAL-2026-1",))
    assert (sample.kind, sample.severity) == (FindingKind.MALICIOUS_SAMPLE, Severity.CRITICAL)
    assert sample.fixed_version == "0.7.30"


@pytest.mark.parametrize(
    ("word", "aliases", "is_told"),
    [
        ("unmaintained", [], False),
        ("notice", ["GHSA-a"], False),
        ("unmaintained", ["CVE-2020-1"], True),  # somebody called it a vulnerability
        ("unsound", [], True),
        (None, [], True),
    ],
)
def test_that_a_crate_is_no_longer_maintained_is_no_vulnerability(
    tmp_path: Path, word: str | None, aliases: list[str], is_told: bool
) -> None:
    entry = {**affected("crates.io", "x", {"introduced": "0.0.0-0"}), "database_specific": {"informational": word}}
    database = compiled(tmp_path, record("RUSTSEC-2020-1", entry, aliases=aliases))
    package = Package(purl="pkg:cargo/x@1", name="x", version="1.0.0", ecosystem="crates.io", path="/p", layer="")
    assert bool(matched(database, package).findings) is is_told
    assert database.meta.left_out == ({} if is_told else {"informational": 1})


@pytest.mark.parametrize(
    ("ecosystem", "identifier", "link"),
    [
        ("Debian:12", "CVE-2024-1", "https://security-tracker.debian.org/tracker/CVE-2024-1"),
        ("Ubuntu:24.04:LTS", "CVE-2024-1", "https://ubuntu.com/security/CVE-2024-1"),
        ("Alpine:v3.20", "CVE-2024-1", "https://security.alpinelinux.org/vuln/CVE-2024-1"),
        ("Red Hat:enterprise_linux:9", "CVE-2024-1", "https://access.redhat.com/security/cve/CVE-2024-1"),
        ("SUSE:Linux Enterprise Server 15 SP5", "CVE-2024-1", "https://www.suse.com/security/cve/CVE-2024-1.html"),
        ("npm", "CVE-2024-1", "https://nvd.nist.gov/vuln/detail/CVE-2024-1"),
        ("npm", "GHSA-a", "https://github.com/advisories/GHSA-a"),
        ("crates.io", "RUSTSEC-2024-1", "https://rustsec.org/advisories/RUSTSEC-2024-1.html"),
        ("Go", "GO-2024-1", "https://pkg.go.dev/vuln/GO-2024-1"),
        ("PyPI", "PYSEC-2024-1", "https://osv.dev/vulnerability/PYSEC-2024-1"),
    ],
)
def test_a_link_leads_to_whoever_keeps_the_id(tmp_path: Path, ecosystem: str, identifier: str, link: str) -> None:
    database = compiled(tmp_path, record(identifier, affected(ecosystem, "x", {"introduced": "0"})))
    package = Package(purl="pkg:x/x@1", name="x", version="1.0.0", ecosystem=ecosystem, path="/p", layer="")
    assert [finding.link for finding in matched(database, package).findings] == [link]


def test_the_newest_edition_of_a_record_speaks(tmp_path: Path) -> None:
    older = record("CVE-1-1", affected("PyPI", "x", {"introduced": "0"}), modified="2025-01-01T00:00:00Z")
    newer = record("CVE-1-1", affected("PyPI", "x", *before("2")), modified="2026-01-01T00:00:00Z")
    assert matched(compiled(tmp_path, newer, older), python("x", "3")).findings == ()


def test_the_same_package_at_one_path_is_found_once(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("CVE-1-1", affected("PyPI", "x", *before("2"))))
    twice, elsewhere = python("x", "1"), python("x", "1", path="/opt/x/METADATA")
    assert [each.path for each in matched(database, twice, twice, elsewhere).findings] == sorted(
        [twice.path, elsewhere.path]
    )


def test_an_image_without_packages_is_not_clean(tmp_path: Path) -> None:
    result = matched(compiled(tmp_path, record("CVE-1-1", affected("PyPI", "x", *before("2")))))
    assert (result.coverage, result.coverage_reason) == (Coverage.NONE, "NO_PACKAGES")


def test_a_release_without_advisories_is_named_and_nothing_is_judged(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("CVE-1-1", affected("Debian:12", "x", *before("2"))))
    result = matched(database, debian("x", "1", release="99"))
    assert (result.coverage, result.coverage_reason) == (Coverage.NONE, "NO_ADVISORIES")
    assert "Debian:99" in result.warnings[0].message


def test_a_record_without_a_release_counts_for_all_and_covers_none(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("CVE-1-1", affected("Debian", "x", *before("2"))))
    result = matched(database, debian("x", "1"))
    assert found(result) == [("CVE-1-1", "2")]
    assert (result.coverage, result.coverage_reason) == (Coverage.NONE, "NO_ADVISORIES")


def test_one_ecosystem_without_advisories_makes_the_coverage_partial(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("CVE-1-1", affected("Debian:12", "x", *before("2"))))
    result = matched(database, debian("x", "2"), python("y", "1"))
    assert (result.coverage, result.coverage_reason) == (Coverage.PARTIAL, "NO_ADVISORIES")


def test_packages_of_a_distribution_unknown_to_osv_are_told(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("CVE-1-1", affected("Debian:12", "x", *before("2"))))
    unknown = Package(purl="", name="x", version="1", ecosystem="", path="/p", layer="l")
    result = matched(database, unknown, distribution=DEBIAN)
    assert [warning.code for warning in result.warnings] == ["NO_ADVISORIES"]
    assert result.coverage is Coverage.NONE
    assert "debian 12" in result.warnings[0].message


def test_the_sample_never_covers_fully(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("CVE-1-1", affected("PyPI", "x", *before("2"))), built_at=None)
    result = matched(database, python("x", "3"))
    assert (result.coverage, result.coverage_reason) == (Coverage.PARTIAL, "SAMPLE_ADVISORIES")


def aged(folder: Path, *modified: str) -> Database:
    entry = affected("PyPI", "x", *before("2"))
    return compiled(
        folder, *(record(f"CVE-1-{number}", entry, modified=each) for number, each in enumerate(modified))
    )


@pytest.mark.parametrize(("days", "coverage"), [(7, Coverage.FULL), (8, Coverage.PARTIAL)])
def test_old_advisories_lower_the_coverage(tmp_path: Path, days: int, coverage: Coverage) -> None:
    result = matched(aged(tmp_path, NOW.isoformat()), python("x", "3"), age=timedelta(days=days))
    assert result.coverage is coverage
    assert [warning.code for warning in result.warnings] == ["STALE_ADVISORIES"] * (coverage is Coverage.PARTIAL)


@pytest.mark.parametrize(
    ("modified", "codes"),
    [
        (("2025-03-01T00:00:00Z", "2024-01-01T00:00:00Z"), ["STALE_ADVISORIES"]),
        (("2025-03-01T00:00:00Z", "2027-07-09T00:00:00Z"), ["STALE_ADVISORIES"]),
        (("2025-03-01T00:00:00Z", "2026-02-27T00:00:00.123456789Z"), []),
        (("2025-03-01T00:00:00Z", "2026-03-01T01:00:00+02:00"), []),
        (("", "yesterday"), ["STALE_ADVISORIES"]),
    ],
)
def test_advisories_are_as_old_as_their_youngest_fact_however_lately_imported(
    tmp_path: Path, modified: tuple[str, str], codes: list[str]
) -> None:
    result = matched(aged(tmp_path, *modified), python("x", "3"))
    assert [warning.code for warning in result.warnings] == codes


def of_two_families(tmp_path: Path, *, of_debian: str, of_python: str) -> Database:
    return compiled(
        tmp_path,
        record("CVE-1-1", affected("Debian:12", "x", *before("2")), modified=of_debian),
        record("CVE-1-2", affected("PyPI", "x", *before("2")), modified=of_python),
    )


OLD, YOUNG, UNKNOWN = "2025-09-10T00:00:00Z", "2026-02-28T00:00:00Z", ""


@pytest.mark.parametrize(
    ("packages", "told"),
    [
        ([debian("x", "3")], []),
        ([debian("x", "3"), python("x", "3")], ["PyPI (of 2025-09-10, 172 days old)"]),
        ([python("x", "3")], ["PyPI (of 2025-09-10, 172 days old)"]),
    ],
)
def test_a_young_family_hides_no_old_one_and_an_unused_one_does_not_matter(
    tmp_path: Path, packages: list[Package], told: list[str]
) -> None:
    result = matched(of_two_families(tmp_path, of_debian=YOUNG, of_python=OLD), *packages)
    assert [warning.message for warning in result.warnings] == [
        f"Advisories are too old for a verdict: {family}. Run `drydock advisories update`." for family in told
    ]
    assert result.coverage_reason == ("STALE_ADVISORIES" if told else "")


def test_one_warning_names_every_family_that_is_old_or_of_an_age_that_nobody_knows(tmp_path: Path) -> None:
    database = of_two_families(tmp_path, of_debian=UNKNOWN, of_python=OLD)
    (warning,) = matched(database, debian("x", "3"), python("x", "3")).warnings
    assert "Debian (nobody knows how old), PyPI (of 2025-09-10, 172 days old)" in warning.message


def test_what_claims_nothing_makes_no_family_young(tmp_path: Path) -> None:
    entry = affected("PyPI", "x", *before("2"))
    database = compiled(
        tmp_path, record("CVE-1-1", entry, modified=OLD), record("CVE-1-2", entry, withdrawn=YOUNG, modified=YOUNG)
    )
    assert matched(database, python("x", "3")).coverage_reason == "STALE_ADVISORIES"


RHEL = Distribution(id="rhel", version_id="9.4")


@pytest.mark.parametrize("distribution", [RHEL, DEBIAN])
def test_a_system_whose_packages_were_not_read_is_told(tmp_path: Path, distribution: Distribution) -> None:
    result = matched(aged(tmp_path, NOW.isoformat()), python("x", "3"), distribution=distribution)
    assert (result.coverage, result.coverage_reason) == (Coverage.PARTIAL, "NO_ADVISORIES")
    (warning,) = result.warnings
    named = f"{distribution.id} {distribution.version_id}"
    assert warning.message.startswith(f"The packages of the distribution {named} were not read:")


def test_a_system_without_readable_packages_and_nothing_else_is_not_judged(tmp_path: Path) -> None:
    result = matched(aged(tmp_path, NOW.isoformat()), distribution=RHEL)
    assert (result.coverage, [warning.code for warning in result.warnings]) == (
        Coverage.NONE,
        ["NO_PACKAGES", "NO_ADVISORIES"],
    )


@pytest.mark.parametrize(
    "code", ["FILE_TOO_LARGE", "FILE_NOT_READ", "PACKAGE_RECORD_BROKEN", "TAR_PATH_ESCAPES", "OF_TOMORROW"]
)
def test_what_could_not_be_read_lowers_the_coverage(tmp_path: Path, code: str) -> None:
    warning = ReportWarning(code=code, message="Unread.", path="/var/lib/dpkg/status")
    result = matched(aged(tmp_path, NOW.isoformat()), python("x", "3"), unread=[warning])
    assert (result.coverage, result.coverage_reason) == (Coverage.PARTIAL, code)
    assert result.warnings == (warning,)


NOT_READ = ReportWarning(code="ECOSYSTEM_NOT_READ", message="Packages of npm were seen and not read.")


def test_an_ecosystem_that_was_not_read_lowers_the_coverage_and_is_told_first(tmp_path: Path) -> None:
    other = ReportWarning(code="FILE_NOT_READ", message="Unread.")
    result = matched(aged(tmp_path, NOW.isoformat()), python("x", "3"), unread=[other, NOT_READ])
    assert (result.coverage, result.coverage_reason) == (Coverage.PARTIAL, "ECOSYSTEM_NOT_READ")
    assert result.warnings == (NOT_READ, other)


def test_an_image_with_nothing_but_an_ecosystem_that_was_not_read_is_not_judged(tmp_path: Path) -> None:
    result = matched(aged(tmp_path, NOW.isoformat()), unread=[NOT_READ])
    assert (result.coverage, result.coverage_reason) == (Coverage.NONE, "ECOSYSTEM_NOT_READ")
    assert result.warnings == (NOT_READ,)


def test_what_could_not_be_judged_is_told_before_what_could_not_be_read(tmp_path: Path) -> None:
    warning = ReportWarning(code="FILE_NOT_READ", message="Unread.")
    result = matched(aged(tmp_path, NOW.isoformat()), debian("x", "1", release="99"), unread=[warning])
    assert (result.coverage, result.coverage_reason) == (Coverage.NONE, "NO_ADVISORIES")
    assert [each.code for each in result.warnings] == ["NO_ADVISORIES", "FILE_NOT_READ"]


def test_a_version_that_cannot_be_compared_is_told_and_not_taken_for_harmless(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("CVE-1-1", affected("PyPI", "x", *before("2"))))
    package = python("x", "not-a-version")
    result = matched(database, package)
    assert found(result) == [("CVE-1-1", "2")]
    assert (result.coverage, result.coverage_reason) == (Coverage.PARTIAL, "VERSION_NOT_COMPARABLE")
    assert result.warnings[0].path == package.path


def test_findings_are_sorted_by_the_reports_order(tmp_path: Path) -> None:
    records = [
        record(f"CVE-2020-{number}", affected("PyPI", "x", *before("2")), severity=severity)
        for number, severity in (
            (1, HIGH),
            (2, []),
            (3, HIGH),
            (4, cvss("CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N")),
        )
    ]
    findings = matched(compiled(tmp_path, *records), python("x", "1")).findings
    assert [each.id[-1] for each in findings] == ["2", "4", "1", "3"]
    assert list(findings) == sorted(findings, key=sort_key)


SPANS = st.tuples(st.integers(0, 20), st.integers(1, 22), st.sampled_from(["fixed", "last_affected"]))


@given(
    spans=st.lists(st.lists(SPANS, min_size=1, max_size=3), min_size=1, max_size=5),
    installed=st.integers(0, 23),
    order=st.randoms(),
)
def test_the_verdict_is_that_of_reading_every_record(
    tmp_path_factory: pytest.TempPathFactory,
    spans: list[list[tuple[int, int, str]]],
    installed: int,
    order: Random,
) -> None:
    def entry(span: tuple[int, int, str]) -> Json:
        return affected("Debian:12", "x", {"introduced": str(span[0])}, {span[2]: str(span[1])})

    def covers(span: tuple[int, int, str]) -> bool:
        start, end, kind = span
        # What ends before it starts opens again at its start.
        if end < start:
            return installed >= start
        return start <= installed < end + (kind == "last_affected")

    records = [record(f"CVE-2020-{n}", *(entry(span) for span in each)) for n, each in enumerate(spans)]
    order.shuffle(records)
    result = matched(compiled(tmp_path_factory.mktemp("db"), *records), debian("x", str(installed)))
    expected = {f"CVE-2020-{n}" for n, each in enumerate(spans) if any(covers(span) for span in each)}
    assert {each.id for each in result.findings} == expected


def test_a_package_without_a_version_is_not_judged_but_told_if_advisories_speak_of_it(tmp_path: Path) -> None:
    database = compiled(tmp_path, record("CVE-1-2", affected("PyPI", "flask", *before("1.0"))))
    result = matched(database, python("flask", ""), python("jinja2", ""))
    assert (result.findings, result.coverage) == ((), Coverage.PARTIAL)
    assert [(each.code, each.path) for each in result.warnings] == [("VERSION_UNKNOWN", python("flask", "").path)]
    assert "Advisories speak of flask" in result.warnings[0].message
