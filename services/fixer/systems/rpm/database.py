"""rpm's database: read as it is, written as rpm 4.16 and later leave it.

Source: rpm 4.18, `lib/backend/sqlite.c` (tables) and `lib/rpmdb.c` (`tag2index`).

What is written is made anew from the headers, in a database of our own: none that came with an image is ever
opened by SQLite (decisions 0018, 0048).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from typing import Final

from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.header import STRINGS, Header
from services.fixer.systems.rpm.richdeps import names_in
from services.rpmdb import sqlite
from services.rpmdb.faults import Damaged

FILE: Final = "rpmdb.sqlite"
JOURNALS: Final = (f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-journal")
MAX_BYTES: Final = 256 << 20
_MAX_PACKAGES: Final = 100_000
_MAX_HEADERS: Final = 256 << 20

_INDEXES: Final = {
    "Name": tags.NAME,
    "Basenames": tags.BASE_NAMES,
    "Group": tags.GROUP,
    "Requirename": tags.REQUIRE_NAMES,
    "Providename": tags.PROVIDE_NAMES,
    "Conflictname": tags.CONFLICT_NAMES,
    "Obsoletename": tags.OBSOLETE_NAMES,
    "Triggername": tags.TRIGGER_NAMES,
    "Dirnames": tags.DIR_NAMES,
    "Installtid": tags.INSTALL_TID,
    "Sigmd5": tags.SIGMD5,
    "Sha1header": tags.SHA1HEADER,
    "Filetriggername": tags.FILE_TRIGGER_NAMES,
    "Transfiletriggername": tags.TRANS_FILE_TRIGGER_NAMES,
    "Recommendname": tags.RECOMMEND_NAMES,
    "Suggestname": tags.SUGGEST_NAMES,
    "Supplementname": tags.SUPPLEMENT_NAMES,
    "Enhancename": tags.ENHANCE_NAMES,
}
"""In rpm's order."""
_OF_BYTES: Final = frozenset({"Installtid", "Sigmd5"})
_OF_ONE: Final = frozenset({"Name", "Group", "Sha1header"})
"""Which have one value each: rpm makes no index of their packages' numbers."""
_RICH: Final = frozenset({
    "Requirename", "Conflictname", "Suggestname", "Supplementname", "Recommendname", "Enhancename",
})  # fmt: skip
_BIG_ENDIAN: Final = frozenset({"s390", "s390x", "ppc", "ppc64"})
"""Numbers are keys in the order of the machine that installed them."""
_TRIGGERS: Final = {
    "Filetriggername": tags.FILE_TRIGGER_INDEXES,
    "Transfiletriggername": tags.TRANS_FILE_TRIGGER_INDEXES,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Database:
    """The headers by their numbers, and the highest number that was ever given."""

    headers: Mapping[int, bytes]
    last: int
    strange: tuple[str, ...] = ()
    """Tables that we do not know, of a newer rpm: what they hold we could not write."""


def read_database(content: bytes) -> Database:
    """Reads `rpmdb.sqlite`.

    Raises:
        Damaged: anything of it cannot be read: what we cannot read we could not write again.
    """
    headers: dict[int, bytes] = {}
    size = 0
    for row in sqlite.table(content, b"Packages"):
        if isinstance(row, Damaged):
            raise row
        number, columns = row
        if not columns or not isinstance(columns[-1], bytes) or number in headers or not 0 < number < 1 << 31:
            raise Damaged("has a row that is no package's")
        size += len(columns[-1])
        if len(headers) >= _MAX_PACKAGES or size > _MAX_HEADERS:
            raise Damaged("has more packages than any")
        headers[number] = columns[-1]
    last = max(headers, default=0)
    for row in sqlite.table(content, b"sqlite_sequence"):
        if isinstance(row, Damaged):
            raise row
        match row[1]:
            case [b"Packages", int(said), *_] if said < 1 << 31:
                last = max(last, said)
    known = {b"Packages", *map(str.encode, _INDEXES)}
    strange = sorted(
        os.fsdecode(name)
        for name in sqlite.tables(content)
        if name not in known and not name.startswith(b"sqlite_")
    )
    return Database(headers, last, tuple(strange))


def write_database(database: Database) -> bytes:
    """Returns the bytes of an `rpmdb.sqlite` with those headers; equal ones give equal bytes.

    Raises:
        Damaged: a header cannot be read.
    """
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)")
        for table in _INDEXES:
            _create(connection, table)
        connection.executemany("INSERT INTO Packages VALUES (?, ?)", sorted(database.headers.items()))
        connection.execute("DELETE FROM sqlite_sequence")
        connection.execute("INSERT INTO sqlite_sequence VALUES ('Packages', ?)", (database.last,))
        parsed = {number: Header(blob) for number, blob in sorted(database.headers.items())}
        order = "<" if _BIG_ENDIAN.isdisjoint(header.text(tags.ARCH) for header in parsed.values()) else ">"
        for table, tag in _INDEXES.items():
            # The names are ours, see above: nothing that came from outside is in the text.
            connection.executemany(
                f"INSERT INTO '{table}' VALUES ({_key(table)}, ?, ?)",  # noqa: S608
                (row for number, header in parsed.items() for row in _rows(table, tag, number, header, order)),
            )
        connection.execute("COMMIT")
        return _as_written_ahead(connection.serialize())


def check_header(blob: bytes) -> None:
    """Checks that a header can be put into a database.

    Raises:
        Damaged: it cannot be read.
    """
    header = Header(blob)
    for table, tag in _INDEXES.items():
        for _ in _rows(table, tag, 1, header, "<"):
            pass


def _create(connection: sqlite3.Connection, table: str) -> None:
    kind = "BLOB" if table in _OF_BYTES else "TEXT"
    connection.execute(
        f"CREATE TABLE '{table}' (key '{kind}' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL, "
        "FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum))"
    )
    columns = ([] if table in _OF_BYTES else ["key"]) + ([] if table in _OF_ONE | _OF_BYTES else ["hnum"])
    for column in columns:
        connection.execute(f"CREATE INDEX '{table}_{column}_idx' ON '{table}'({column} ASC)")


def _key(table: str) -> str:
    """Names may be no UTF-8: a text of their bytes is what rpm puts in."""
    return "?" if table in _OF_BYTES else "CAST(? AS TEXT)"


def _as_written_ahead(content: bytes) -> bytes:
    """Marks it as rpm's are, which writes ahead (bytes 18 and 19: the format's read and write versions)."""
    return content[:18] + b"\2\2" + content[20:]


def _rows(table: str, tag: int, number: int, header: Header, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yields what `tag2index` puts into an index for one package."""
    if table == "Installtid":
        yield from ((struct.pack(f"{order}I", value), number, at) for at, value in enumerate(header.numbers(tag)))
        return
    if table == "Sigmd5":
        if tag in header:
            yield header.raw(tag), number, 0
        return
    if tag not in header and table == "Group":
        yield os.fsencode("Unknown"), number, 0
        return
    texts = header.texts(tag) if table not in _OF_ONE else header.texts(tag)[:1]
    indexes = header.numbers(_TRIGGERS[table]) if table in _TRIGGERS else range(len(texts))
    flags = header.numbers(tags.REQUIRE_FLAGS) if table == "Requirename" else ()
    seen: set[str] = set()
    for at, text in enumerate(texts):
        if (at < len(flags) and _is_transient(flags[at])) or (table == "Triggername" and text in seen):
            continue
        seen.add(text)
        index = indexes[at] if at < len(indexes) else at
        yield os.fsencode(text), number, index
        if text.startswith("(") and table in _RICH and header.kind(tag) == STRINGS:
            yield from ((os.fsencode(name), number, index) for name in names_in(text))


def _is_transient(flags: int) -> bool:
    return bool(flags & tags.WHILE_INSTALLED) and not flags & (tags.WHILE_REMOVED | tags.META)
