"""Debian's database: every package whose programs may be there, and a word about what cannot be read."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.model.finding import SourcePackage
from services.scanner.catalogers.interface import Evidence, FoundPackage, PackageFormat
from services.scanner.catalogers.records import MAX_RECORDS
from services.scanner.catalogers.systems.dpkg import DpkgCataloger
from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN

STATUS = "var/lib/dpkg/status"
PART = "var/lib/dpkg/status.d/libssl3"
RECORD = b"""Package: libssl3
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Source: openssl (3.0.11-1)
Version: 1:3.0.11-1+b2
Description: toolkit
 Version: of the description
 .
 Package: no package
"""


def read(content: bytes, path: str = STATUS) -> Evidence:
    return DpkgCataloger().read(path, content)


def test_record_is_read_with_epoch_architecture_and_source() -> None:
    assert read(RECORD).packages == (
        FoundPackage(
            format=PackageFormat.DEB,
            name="libssl3",
            version="1:3.0.11-1+b2",
            arch="amd64",
            source=SourcePackage(name="openssl", version="3.0.11-1"),
        ),
    )


def test_database_with_more_packages_than_can_be_installed_is_cut_and_told() -> None:
    content = b"".join(
        b"Package: p%d\nStatus: install ok installed\nVersion: 1\n\n" % each for each in range(MAX_RECORDS + 2)
    )

    evidence = read(content)

    assert len(evidence.packages) == MAX_RECORDS
    [warning] = evidence.warnings
    assert warning.message == f"The database in /{STATUS} tells of more than {MAX_RECORDS} packages."


def test_record_of_a_million_fields_takes_no_memory_for_each() -> None:
    content = RECORD.removesuffix(b"\n") + b"\nSource: x" * 200_000

    tracemalloc.start()
    try:
        evidence = read(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(evidence.packages) == 1
    assert peak < 2 * len(content)


def test_maintainer_is_the_vendor() -> None:
    (package,) = read(RECORD + b"Maintainer: Docker <support@docker.com>\n").packages

    assert package.vendor == "Docker <support@docker.com>"


def test_source_without_version_has_the_binary_s() -> None:
    (package,) = read(RECORD.replace(b"openssl (3.0.11-1)", b"openssl")).packages

    assert package.source == SourcePackage(name="openssl", version="1:3.0.11-1+b2")


@pytest.mark.parametrize(
    "status",
    [
        "install ok installed",
        "hold ok installed",
        "deinstall ok installed",
        "install reinstreq half-installed",
        "install ok unpacked",
        "install ok half-configured",
        "install ok triggers-awaited",
        "install ok triggers-pending",
    ],
)
def test_package_with_programs_on_disk_counts(status: str) -> None:
    evidence = read(RECORD.replace(b"install ok installed", status.encode()))

    assert len(evidence.packages) == 1
    assert evidence.warnings == ()


@pytest.mark.parametrize("status", ["deinstall ok config-files", "purge ok not-installed"])
def test_removed_package_does_not_count(status: str) -> None:
    evidence = read(RECORD.replace(b"install ok installed", status.encode()).replace(b"Version: 1", b"Was: 1"))

    assert evidence.packages == ()
    assert evidence.warnings == ()


def test_part_needs_no_status() -> None:
    evidence = read(b"Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\n", PART)

    assert [(package.name, package.version) for package in evidence.packages] == [("tzdata", "2024a-0+deb12u1")]
    assert evidence.warnings == ()


def test_unknown_status_is_told_and_speaks_for_the_package() -> None:
    evidence = read(RECORD.replace(b"install ok installed", b"install ok melted"))

    assert len(evidence.packages) == 1
    assert [warning.code for warning in evidence.warnings] == [PACKAGE_RECORD_BROKEN]


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (b"Status: install ok installed\nVersion: 1\n", "Record 2"),
        (b"Package: x\nStatus: install ok installed\n", "The record of x"),
        (b"Package: x\nStatus: install ok installed\nVersion: \xff\xfe\n", "The record of x"),
        (b"Package: x y\nStatus: install ok installed\nVersion: 1\n", "The record of x y"),
        (b"Package: ../x\nStatus: install ok installed\nVersion: 1\n", "The record of ../x"),
        (b"\x00\x00\x00\n", "Record 2"),
    ],
)
def test_broken_record_is_told_and_its_neighbours_are_read(broken: bytes, named: str) -> None:
    evidence = read(RECORD + b"\n" + broken + b"\n" + RECORD.replace(b"libssl3", b"other"))

    assert [package.name for package in evidence.packages] == ["libssl3", "other"]
    (warning, *_) = evidence.warnings
    assert warning.code == PACKAGE_RECORD_BROKEN
    assert warning.path == f"/{STATUS}"
    assert warning.message.startswith(f"{named} in /{STATUS} has ")


def test_a_thousand_broken_records_make_few_warnings() -> None:
    evidence = read(b"Package: x\nStatus: install ok installed\n\n" * 1000)

    assert len(evidence.warnings) == 21
    assert evidence.warnings[-1].message == f"980 more records in /{STATUS} are broken."


def test_empty_lines_may_hold_blanks_and_carriage_returns() -> None:
    windows = (RECORD + b"\n \t\n\n" + RECORD.replace(b"libssl3", b"other")).replace(b"\n", b"\r\n")

    assert [package.name for package in read(windows).packages] == ["libssl3", "other"]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (STATUS, True),
        (PART, True),
        (f"{PART}.md5sums", False),
        ("var/lib/dpkg/status-old", False),
        ("var/lib/dpkg/status.d", False),
        ("var/lib/dpkg/status.d/a/b", False),
        ("opt/var/lib/dpkg/status", False),
    ],
)
def test_wants_the_database_and_nothing_beside_it(path: str, wanted: bool) -> None:
    assert DpkgCataloger().wants(path) is wanted


@given(st.integers(0, len(RECORD)))
def test_truncated_anywhere_it_gives_the_package_or_a_warning(length: int) -> None:
    evidence = read(RECORD[:length])

    assert evidence.packages or evidence.warnings or not RECORD[:length].strip()


@given(st.binary(max_size=300) | st.lists(st.sampled_from(RECORD.split(b" "))).map(b" ".join))
def test_any_bytes_give_evidence(content: bytes) -> None:
    for path in (STATUS, PART):
        assert isinstance(read(content, path), Evidence)
