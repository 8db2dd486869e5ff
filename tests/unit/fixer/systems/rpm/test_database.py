"""rpm's database: what rpm wrote is written again alike, and what cannot be read is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.systems.rpm.database import Database, read_database, write_database
from services.rpmdb.faults import Damaged
from tests.builders.rpmdb import ndb_form, recorded
from tests.builders.rpms import DATABASE, RpmImage, database_of, rpm

REAL = recorded("rpmdb.sqlite")


def rows(content: bytes) -> dict[str, list[tuple[object, ...]]]:
    """Each table's rows, sorted; sqlite cannot open in memory what is marked as written ahead."""
    connection = sqlite3.connect(":memory:")
    connection.deserialize(content[:18] + b"\1\1" + content[20:])
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    kinds = {"Packages": "'x'", "sqlite_sequence": "'x'"}
    return {
        name: sorted(connection.execute(f"SELECT *, typeof({kinds.get(name, 'key')}) FROM '{name}'"))  # noqa: S608
        for name in names
        if name != "sqlite_stat1"
    }


def test_what_rpm_itself_wrote_is_written_again_with_the_same_rows() -> None:
    assert rows(write_database(read_database(REAL))) == rows(REAL)


def test_the_tables_and_their_indexes_are_those_of_rpm() -> None:
    def schema(content: bytes) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(":memory:")
        connection.deserialize(content[:18] + b"\1\1" + content[20:])
        query = "SELECT type, name, sql FROM sqlite_master WHERE name != 'sqlite_stat1' ORDER BY name"
        return connection.execute(query).fetchall()

    assert schema(write_database(read_database(REAL))) == schema(REAL)


def test_equal_headers_give_equal_bytes() -> None:
    database = read_database(REAL)
    reversed_ = Database(dict(reversed(list(database.headers.items()))), database.last)
    assert write_database(database) == write_database(reversed_)


def test_numbers_are_never_given_again() -> None:
    database = read_database(REAL)
    assert read_database(write_database(Database({}, database.last))).last == database.last


def test_every_damage_is_an_end_and_none_a_crash() -> None:
    refused = 0
    for at in (page + place for page in range(0, len(REAL), 4096) for place in (0, 3, 5, 9)):
        try:
            write_database(read_database(REAL[:at] + bytes([REAL[at] ^ 0xFF]) + REAL[at + 1 :]))
        except Damaged:
            refused += 1
    assert refused > 20


def failing(image: RpmImage) -> FixReason:
    with pytest.raises(FixFailure) as caught:
        image.system.survey(image.tree())
    return caught.value.why


def test_a_broken_database_is_said_to_be_one(tmp_path: Path) -> None:
    assert failing(RpmImage(tmp_path, texts={DATABASE: REAL[:9000]})) is FixReason.DATABASE_CORRUPT
    assert failing(RpmImage(tmp_path, texts={DATABASE: b"no database"})) is FixReason.DATABASE_CORRUPT


def test_changes_that_wait_in_a_journal_are_not_lost_silently(tmp_path: Path) -> None:
    journal = {f"{DATABASE}-wal": b"\x37\x7f\x06\x82" + bytes(100)}
    assert failing(RpmImage(tmp_path, texts=journal)) is FixReason.DATABASE_CORRUPT


@pytest.mark.parametrize(
    ("name", "content"), [("Packages", recorded("Packages")), ("Packages.db", ndb_form([b"\0" * 40]))]
)
def test_forms_that_are_only_read_are_refused_as_such(tmp_path: Path, name: str, content: bytes) -> None:
    image = RpmImage(tmp_path, texts={DATABASE: None, f"var/lib/rpm/{name}": content})
    assert failing(image) is FixReason.DISTRIBUTION_UNSUPPORTED


def test_a_database_of_a_newer_rpm_is_not_written_without_what_it_has_besides(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    connection.deserialize(REAL[:18] + b"\1\1" + REAL[20:])
    connection.execute("CREATE TABLE 'Newname' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)")
    connection.commit()
    image = RpmImage(tmp_path, texts={DATABASE: connection.serialize()})
    assert failing(image) is FixReason.DISTRIBUTION_UNSUPPORTED


def test_an_image_without_rpm_is_somebody_elses(tmp_path: Path) -> None:
    image = RpmImage(tmp_path, texts={DATABASE: None})
    assert image.system.survey(image.tree()) is None


def test_a_database_where_fedora_has_it_is_found(tmp_path: Path) -> None:
    content = write_database(Database(database_of(tmp_path, rpm("a", "1-1")), 1))
    image = RpmImage(tmp_path, texts={DATABASE: None, "usr/lib/sysimage/rpm/rpmdb.sqlite": content})
    survey = image.system.survey(image.tree())
    assert survey is not None
    assert [(each.name, each.path) for each in survey.packages] == [("a", "usr/lib/sysimage/rpm/rpmdb.sqlite")]
