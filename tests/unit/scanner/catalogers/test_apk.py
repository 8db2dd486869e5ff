"""Alpine's database: every record with a name and a version."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.model.finding import SourcePackage
from services.scanner.catalogers.interface import Evidence, FoundPackage, PackageFormat
from services.scanner.catalogers.records import MAX_RECORDS
from services.scanner.catalogers.systems.apk import ApkCataloger
from services.scanner.catalogers.systems.ownership import MAX_OWNED
from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN

PATH = "lib/apk/db/installed"
RECORD = b"""C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=
P:libcrypto3
V:3.1.4-r5
A:x86_64
S:1709050
I:4206592
T:Crypto library from openssl
U:https://www.openssl.org/
L:Apache-2.0
o:openssl
m:Someone <someone@example.org>
t:1706280893
c:b784a22cad0c452586b438cb7a597d846fc09ff4
D:so:libc.musl-x86_64.so.1
p:so:libcrypto.so.3=3
r:libressl
F:etc
F:etc/ssl
R:ct_log_list.cnf
a:0:0:644
Z:Q1olh8TpdAi2QnTl4FK3TjdUiSwTo=
"""


def read(content: bytes) -> Evidence:
    return ApkCataloger().read(PATH, content)


def test_database_with_more_packages_than_can_be_installed_is_cut_and_told() -> None:
    evidence = read(b"".join(b"P:p%d\nV:1\n\n" % each for each in range(MAX_RECORDS + 2)))

    assert len(evidence.packages) == MAX_RECORDS
    [warning] = evidence.warnings
    assert warning.message == f"The database in /{PATH} tells of more than {MAX_RECORDS} packages."


@pytest.mark.parametrize("line", [b"o:x\n", b"F:x\n", b"R:x\n", b"F:usr/share/java\nR:x.jar\n"])
def test_record_of_a_million_lines_takes_no_memory_for_each(line: bytes) -> None:
    content = b"P:x\nV:1\nF:usr/share/java\n" + line * 200_000

    tracemalloc.start()
    try:
        evidence = read(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(evidence.packages) == 1
    assert peak < 2 * len(content) + 300 * MAX_OWNED


def test_record_is_read_with_architecture_and_origin() -> None:
    assert read(RECORD).packages == (
        FoundPackage(
            format=PackageFormat.APK,
            name="libcrypto3",
            version="3.1.4-r5",
            arch="x86_64",
            source=SourcePackage(name="openssl", version="3.1.4-r5"),
        ),
    )


def test_record_without_origin_has_no_source() -> None:
    (package,) = read(b"P:.build-deps\nV:20240101.120000\nA:noarch\n").packages

    assert package.name == ".build-deps"
    assert package.source is None


@pytest.mark.parametrize("broken", [b"P:x\n", b"V:1\n", b"P:x\nV:1 2\n", b"P:\xff\nV:1\n", b"garbage\x00\n"])
def test_broken_record_is_told_and_its_neighbours_are_read(broken: bytes) -> None:
    evidence = read(RECORD + b"\n" + broken + b"\n" + RECORD.replace(b"libcrypto3", b"libssl3"))

    assert [package.name for package in evidence.packages] == ["libcrypto3", "libssl3"]
    assert [warning.code for warning in evidence.warnings] == [PACKAGE_RECORD_BROKEN]


def test_record_with_a_bad_origin_is_kept_and_told() -> None:
    evidence = read(RECORD.replace(b"o:openssl", b"o:open ssl"))

    assert [package.source for package in evidence.packages] == [None]
    assert [warning.code for warning in evidence.warnings] == [PACKAGE_RECORD_BROKEN]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [(PATH, True), (f"usr/{PATH}", True), ("lib/apk/db/scripts.tar", False), (f"opt/{PATH}", False)],
)
def test_wants_the_database_and_nothing_beside_it(path: str, wanted: bool) -> None:
    assert ApkCataloger().wants(path) is wanted


@given(st.integers(0, len(RECORD)))
def test_truncated_anywhere_it_gives_the_package_or_a_warning(length: int) -> None:
    evidence = read(RECORD[:length])

    assert evidence.packages or evidence.warnings or not length


@given(st.binary(max_size=300) | st.lists(st.sampled_from(RECORD.split(b":"))).map(b":".join))
def test_any_bytes_give_evidence(content: bytes) -> None:
    assert isinstance(read(content), Evidence)
