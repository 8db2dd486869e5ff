"""rpm's database in each of its forms: every package, and a word about what cannot be read."""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.model.finding import SourcePackage
from services.scanner.catalogers.interface import Evidence, FoundPackage, OwnedFile, PackageFormat
from services.scanner.catalogers.systems.rpm import RpmCataloger
from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN
from tests.builders.rpmdb import FIXTURES, hash_form, header, ndb_form, recorded, sqlite_form

SQLITE = "var/lib/rpm/rpmdb.sqlite"
MANIFEST = "var/lib/rpmmanifest/container-manifest-2"
PLACES = {
    "sqlite": SQLITE,
    "ndb": "usr/lib/sysimage/rpm/Packages.db",
    "hash": "var/lib/rpm/Packages",
}
FORMS: dict[str, Callable[[list[bytes]], bytes]] = {"sqlite": sqlite_form, "ndb": ndb_form, "hash": hash_form}
BASH = header("bash", "5.1.8", "9.el9", vendor="AlmaLinux", source="bash-5.1.8-9.el9.src.rpm")
LISTED_BY_RPM = [line.split("\t") for line in (FIXTURES / "listed.tsv").read_text().splitlines()]
REAL = {"sqlite": recorded("rpmdb.sqlite"), "hash": recorded("Packages")}


def read(content: bytes, path: str = SQLITE) -> Evidence:
    return RpmCataloger().read(path, content)


def as_rpm_lists(package: FoundPackage) -> tuple[str, str, str, str]:
    version = package.version if ":" in package.version else f"0:{package.version}"
    return package.name, version, package.arch, package.module


@pytest.mark.parametrize("form", REAL)
def test_a_database_of_rpm_says_what_rpm_itself_lists(form: str) -> None:
    evidence = read(REAL[form], PLACES[form])

    assert evidence.warnings == ()
    assert sorted(map(as_rpm_lists, evidence.packages)) == sorted(
        (name, version, arch, ":".join(module.split(":")[:2]) if module != "(none)" else "")
        for name, version, arch, _, _, module in LISTED_BY_RPM
        if name != "gpg-pubkey"
    )
    assert {(each.name, each.source.name if each.source else "") for each in evidence.packages} == {
        (name, source.rsplit("-", 2)[0]) for name, _, _, source, _, _ in LISTED_BY_RPM if name != "gpg-pubkey"
    }
    assert evidence.owned == (
        OwnedFile("usr/lib/python3.9/site-packages/made-1.2.dist-info/METADATA", "python3-made"),
        OwnedFile("usr/share/java/made.jar", "python3-made"),
    )


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_same_packages(form: str) -> None:
    headers = [header(f"made-{number}", "1", filler="x" * (number * 977)) for number in range(40)]

    evidence = read(FORMS[form](headers), PLACES[form])

    assert [each.name for each in evidence.packages] == [f"made-{number}" for number in range(40)]
    assert evidence.warnings == ()


def test_a_package_is_read_with_its_source_and_architecture() -> None:
    assert read(sqlite_form([BASH])).packages == (
        FoundPackage(
            format=PackageFormat.RPM,
            name="bash",
            version="5.1.8-9.el9",
            arch="x86_64",
            source=SourcePackage(name="bash", version="5.1.8-9.el9"),
            vendor="AlmaLinux",
        ),
    )


@pytest.mark.parametrize("page_size", [512, 1024, 65536])
def test_pages_of_any_size_are_read(page_size: int) -> None:
    headers = [header(f"made-{number}", "1", filler="x" * (number * 331)) for number in range(60)]

    assert len(read(sqlite_form(headers, page_size=page_size)).packages) == 60
    assert len(read(hash_form(headers, page_size=page_size), PLACES["hash"]).packages) == 60


def test_a_hash_of_a_machine_with_the_other_byte_order_is_read() -> None:
    assert [each.name for each in read(hash_form([BASH], order=">"), PLACES["hash"]).packages] == ["bash"]


def test_the_source_s_epoch_is_that_of_the_package_of_its_name() -> None:
    file = "perl-5.26.3-422.el8.src.rpm"
    modules = [header("perl-Errno", "1.28", source=file), header("perl-libs", "5.26.3", epoch=4, source=file)]
    odd = header("perl-odd", "9", epoch=7, source=file)

    def sources(*headers: bytes) -> set[str]:
        return {each.source.version for each in read(sqlite_form([*headers])).packages if each.source}

    assert sources(*modules) == {"4:5.26.3-422.el8"}
    assert sources(*modules, odd, header("perl", "5.26.3", epoch=4, source=file)) == {"4:5.26.3-422.el8"}


def test_module_and_stream_are_kept_without_their_build() -> None:
    label = "nodejs:16:8050020211222124241:c5368500"

    assert read(sqlite_form([header("npm", "8", module=label)])).packages[0].module == "nodejs:16"


@pytest.mark.parametrize("form", FORMS)
def test_files_of_a_package_that_are_records_of_languages_are_told(form: str) -> None:
    site = "usr/lib/python3.9/site-packages"
    files = [
        "/usr/bin/requests",
        f"/{site}/six.py",
        f"/{site}/requests-2.25.1-py3.9.egg-info/PKG-INFO",
        f"/{site}/requests-2.25.1-py3.9.egg-info/top_level.txt",
        "/usr/share/java/commons-io.jar",
        "/opt/app/lib/python3.9/site-packages/x.dist-info/METADATA",
    ]
    made = header("python3-requests", "2.25.1", files=files)

    assert read(
        FORMS[form]([BASH, made, header("npm", "8", files=["/usr/lib/node_modules/npm/package.json"])])
    ) == (
        Evidence(
            path=SQLITE,
            cataloger="rpm",
            packages=read(FORMS[form]([BASH, header("python3-requests", "2.25.1"), header("npm", "8")])).packages,
            owned=(
                OwnedFile(f"{site}/requests-2.25.1-py3.9.egg-info/PKG-INFO", "python3-requests"),
                OwnedFile("usr/share/java/commons-io.jar", "python3-requests"),
                OwnedFile("usr/lib/node_modules/npm/package.json", "npm"),
            ),
        )
    )


@pytest.mark.parametrize("tag", [1116, 1117, 1118])
@pytest.mark.parametrize("count", [0, 1, 0xFFFF_FFFF])
@pytest.mark.parametrize("offset", [0, 0xFFFF_FFFF])
def test_files_that_lead_nowhere_cost_no_package(tag: int, count: int, offset: int) -> None:
    whole = header("x", "1", files=["/usr/share/java/a.jar", "/usr/lib/java/b.jar"])
    start = whole.index(struct.pack(">I", tag))
    broken = whole[: start + 8] + struct.pack(">II", offset, count) + whole[start + 16 :]

    evidence = read(sqlite_form([BASH, broken]))

    assert [each.name for each in evidence.packages] == ["bash", "x"]
    assert evidence.warnings == ()


def test_many_folders_without_a_file_end_soon() -> None:
    files = [f"/usr/share/java/{number}/x.jar" for number in range(50_000)]
    made = header("x", "1", files=files)
    names = made.index(struct.pack(">I", 1117))
    without = made[: names + 12] + struct.pack(">I", 0) + made[names + 16 :]
    began = time.thread_time()

    assert len(read(sqlite_form([made])).owned) == 50_000
    assert read(sqlite_form([without])).owned == ()
    assert time.thread_time() - began < 5


def test_keys_that_rpm_trusts_are_no_packages() -> None:
    assert read(sqlite_form([header("gpg-pubkey", "fd431d51", "4ae0493b"), BASH])).packages[0].name == "bash"


def test_a_database_without_packages_gives_no_warning_of_its_own() -> None:
    assert read(sqlite_form([])) == Evidence(path=SQLITE, cataloger="rpm")


@pytest.mark.parametrize("content", [b"", b"x", b"SQLite format 3\0", b"RpmP" + b"\0" * 40, b"\0" * 512])
def test_what_has_none_of_the_forms_is_warned_of(content: bytes) -> None:
    evidence = read(content)

    assert evidence.packages == ()
    assert [each.code for each in evidence.warnings] == [PACKAGE_RECORD_BROKEN]


def test_an_sqlite_file_without_the_table_is_warned_of() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE other (x)")
    connection.commit()

    (warning,) = read(connection.serialize()).warnings

    assert "no table of packages" in warning.message


def test_a_broken_header_costs_no_others() -> None:
    broken = header("broken", "1")[:-9]

    evidence = read(sqlite_form([BASH, broken, header("zlib", "1.2.11")]))

    assert [each.name for each in evidence.packages] == ["bash", "zlib"]
    assert [each.message for each in evidence.warnings] == [f"Record 2 in /{SQLITE} is cut off or no header."]


def test_a_database_that_is_cut_off_says_what_is_missing() -> None:
    content = sqlite_form([header(f"made-{number}", "1", filler="x" * 3000) for number in range(40)])

    evidence = read(content[: len(content) // 2])

    assert 0 < len(evidence.packages) < 40
    assert evidence.warnings


def test_changes_that_wait_in_a_journal_are_warned_of(tmp_path: Path) -> None:
    database = tmp_path / "rpmdb.sqlite"
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    connection.execute("INSERT INTO Packages (blob) VALUES (?)", (BASH,))
    journal = (tmp_path / "rpmdb.sqlite-wal").read_bytes()

    (warning,) = read(journal, f"{SQLITE}-wal").warnings

    assert warning.message == (
        f"The journal in /{SQLITE}-wal holds changes that are not in the database: packages may be missing."
    )
    assert read(b"", f"{SQLITE}-wal").warnings == ()


def test_a_database_that_was_written_ahead_is_read_like_any() -> None:
    content = bytearray(sqlite_form([BASH]))
    content[18:20] = b"\2\2"

    assert [each.name for each in read(bytes(content)).packages] == ["bash"]


def test_the_list_of_images_without_rpm_is_read() -> None:
    lines = (
        "openssl-libs\t3.3.0-1.azl3\t1715600000\t1715500000\tMicrosoft Corporation\t(none)\t99\tx86_64\t0\t"
        "openssl-3.3.0-1.azl3.src.rpm\n"
        "shadow\t4.9-12.cm2\t1\t1\tMicrosoft Corporation\t2\t9\tx86_64\t2\tshadow-utils-4.9-12.cm2.src.rpm\n"
        "gpg-pubkey\t3135ce90-5e6fda74\t1\t1\t(none)\t(none)\t0\t(none)\t0\t(none)\n"
        "cut off\n"
    )

    evidence = read(lines.encode(), MANIFEST)

    assert [(each.name, each.version, each.source) for each in evidence.packages] == [
        ("openssl-libs", "3.3.0-1.azl3", SourcePackage(name="openssl", version="3.3.0-1.azl3")),
        ("shadow", "2:4.9-12.cm2", SourcePackage(name="shadow-utils", version="2:4.9-12.cm2")),
    ]
    assert [each.message for each in evidence.warnings] == [
        f"Record 4 in /{MANIFEST} has not the ten columns of a package."
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "a b"}, "no name"),
        ({"version": "1 2"}, "no version"),
        ({"arch": "x/y"}, "no architecture"),
        ({"source": "x.src.rpm"}, "names a source"),
        ({"module": "nodejs"}, "of a module"),
    ],
)
def test_values_that_cannot_be_are_complained_of(change: dict[str, str], why: str) -> None:
    name, version = change.pop("name", "x"), change.pop("version", "1")
    made = header(name, version, "1", epoch=None, **change)

    (warning,) = read(sqlite_form([made])).warnings

    assert why in warning.message


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (SQLITE, True),
        (f"{SQLITE}-wal", True),
        (f"{SQLITE}-shm", False),
        ("usr/share/rpm/Packages", True),
        (MANIFEST, True),
        ("var/lib/rpmmanifest/container-manifest-1", False),
        ("var/lib/rpm/__db.001", False),
        ("var/lib/rpm/Name", False),
        ("opt/var/lib/rpm/Packages", False),
    ],
)
def test_which_files_are_evidence(path: str, wanted: bool) -> None:
    assert RpmCataloger().wants(path) is wanted


def test_pages_that_lead_in_circles_end() -> None:
    content = bytearray(sqlite_form([header(f"m{n}", "1", filler="x" * 300) for n in range(3000)], page_size=512))
    for start in range(0, len(content), 512):
        if content[start] == 5:  # the page of a tree: its last child is the root of all
            content[start + 8 : start + 12] = (1).to_bytes(4)

    assert read(bytes(content)).warnings


def test_a_page_whose_cells_are_all_the_same_is_not_read_for_ever() -> None:
    page_size = 65536
    content = bytearray(sqlite_form([header("x", "1", filler="x" * 30_000)] * 300, page_size=page_size))
    for start in range(page_size, len(content), page_size):
        if content[start] == 13 and int.from_bytes(content[start + 3 : start + 5]):
            cell = content[start + 8 : start + 10]
            content[start + 3 : start + 5] = (10_000).to_bytes(2)
            content[start + 8 : start + 8 + 20_000] = bytes(cell) * 10_000

    assert "is not read" in read(bytes(content)).warnings[-1].message


@settings(max_examples=150, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("form", FORMS)
def test_no_byte_of_a_database_makes_it_raise(form: str, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([DAMAGED[form], REAL.get(form, DAMAGED[form])])))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))

    read(bytes(content[:cut]), PLACES[form])


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(content: bytes) -> None:
    for start in (b"", b"SQLite format 3\0", b"RpmP", DAMAGED["hash"][:100], DAMAGED["sqlite"][:120]):
        read(start + content)
    read(content, MANIFEST)
    read(content, f"{SQLITE}-wal")


DAMAGED = {
    form: make([BASH, header("big", "1", filler="x" * 9000), header("zlib", "1", files=["/usr/lib/java/z.jar"])])
    for form, make in FORMS.items()
}
