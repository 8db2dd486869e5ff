"""apk's database: what apk wrote comes out as it was, what cannot be is corrupt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fixer.failure import FixFailure, FixReason
from services.fixer.systems.apk.database import Acl, read_database, write_database
from tests.builders.apks import Apk, Folder, Special, record_of

PLAIN = b"P:musl\nV:1.2.5-r0\n\n"


def test_what_apk_wrote_comes_out_as_it_was() -> None:
    database = "".join(
        map(
            record_of,
            (
                Apk(name="a", version="1-r0", files={"usr/bin/a": Special(b"a", mode=0o4755, uid=3), "top": b"t"}),
                Apk(name="b", version="2-r0", files={"var/b": Folder(mode=0o700, uid=5)}, provides="so:b=1 c"),
                Apk(name=".virtual", version="20260101.000000"),
            ),
        )
    ).encode()
    assert write_database(read_database(database)) == database


def test_owners_modes_and_hashes_are_those_of_the_file_that_they_follow() -> None:
    (record,) = read_database(b"P:a\nV:1\nF:etc\nM:1:2:750\nR:x\na:3:4:4755:Q1xattr=\nZ:Q1one=\nR:y\n\n")
    assert record.folders["etc"].acl == Acl(1, 2, 0o750)
    assert record.folders["etc"].files["x"].acl == Acl(3, 4, 0o4755, "Q1xattr=")
    assert dict(record.paths())["etc/x"].digest == "Q1one="
    assert not dict(record.paths())["etc/y"].digest


@pytest.mark.parametrize(
    "broken",
    [
        b"P:a\n\n",
        b"V:1\n\n",
        b"P:a b\nV:1\n\n",
        b"P:a\nV:1\nR:file\n\n",
        b"P:a\nV:1\nF:etc\nZ:Q1\n\n",
        b"P:a\nV:1\nF:etc\na:0:0:644\n\n",
        b"P:a\nV:1\nF:etc\nM:root:0:755\n\n",
        b"P:a\nV:1\nF:../etc\n\n",
        b"P:a\nV:1\nF:/etc\n\n",
        b"P:a\nV:1\nF:etc\nR:..\n\n",
        b"P:a\nV:1\nF:etc\nR:x/y\n\n",
        b"P:a\nV:1\nP:b\n\n",
        b"P:a\nV:1\nno colon\n\n",
        PLAIN + PLAIN,
        b"\x00\x01\x02",
    ],
)
def test_a_database_that_contradicts_itself_is_corrupt(broken: bytes) -> None:
    with pytest.raises(FixFailure) as failure:
        read_database(broken)
    assert failure.value.why is FixReason.DATABASE_CORRUPT


@given(st.binary(max_size=200))
def test_any_bytes_are_a_database_or_corrupt(content: bytes) -> None:
    try:
        read_database(PLAIN + content)
    except FixFailure as failure:
        assert failure.why is FixReason.DATABASE_CORRUPT
