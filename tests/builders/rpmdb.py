"""rpm's databases, made: headers, and each form around them. Real ones lie in `tests/fixtures/rpm`."""

from __future__ import annotations

import gzip
import sqlite3
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures" / "rpm"

_TEXT_TAGS = {"name": 1000, "version": 1001, "release": 1002, "vendor": 1011, "arch": 1022, "source": 1044}
_EPOCH = 1003
_MODULE = 5096
_DIR_INDEXES, _BASE_NAMES, _DIR_NAMES = 1116, 1117, 1118


def recorded(name: str) -> bytes:
    """A database that rpm itself wrote, by its name in an image; for `Packages`, Berkeley DB."""
    return gzip.decompress((FIXTURES / f"{name}.gz").read_bytes())


def header(
    name: str,
    version: str,
    release: str = "1",
    *,
    epoch: int | None = None,
    files: Sequence[str] = (),
    **more: str,
) -> bytes:
    """A header with those tags and files; `arch`, `source`, `vendor`, `module` and `filler` may be given."""
    texts = {"name": name, "version": version, "release": release, "arch": "x86_64", **more}
    entries: list[tuple[int, int, int, int]] = []
    data = b""
    for key, text in texts.items():
        tag = {"module": _MODULE, "filler": 1005, **_TEXT_TAGS}[key]
        entries.append((tag, 6, len(data), 1))
        data += text.encode() + b"\0"
    if epoch is not None:
        data += b"\0" * (-len(data) % 4)
        entries.append((_EPOCH, 4, len(data), 1))
        data += struct.pack(">i", epoch)
    if files:
        folders = {folder: number for number, folder in enumerate(sorted({f.rpartition("/")[0] for f in files}))}
        data += b"\0" * (-len(data) % 4)
        entries.append((_DIR_INDEXES, 4, len(data), len(files)))
        data += b"".join(struct.pack(">i", folders[file.rpartition("/")[0]]) for file in files)
        entries.append((_BASE_NAMES, 8, len(data), len(files)))
        data += b"".join(file.rpartition("/")[2].encode() + b"\0" for file in files)
        entries.append((_DIR_NAMES, 8, len(data), len(folders)))
        data += b"".join(folder.encode() + b"/\0" for folder in folders)
    index = b"".join(struct.pack(">IIII", *entry) for entry in entries)
    return struct.pack(">II", len(entries), len(data)) + index + data


def sqlite_form(headers: Sequence[bytes], *, page_size: int = 4096) -> bytes:
    """`rpmdb.sqlite`, with the table of packages as rpm makes it and an index beside it."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"PRAGMA page_size={page_size}")
    connection.execute("CREATE TABLE 'Name' (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(each,) for each in headers])
    connection.commit()
    return connection.serialize()


def ndb_form(headers: Sequence[bytes]) -> bytes:
    """`Packages.db`, as `rpmpkg.c` lays it out: slots on the first page, then blocks of 16 bytes."""
    pages = (32 + 16 * len(headers)) // 4096 + 1
    slots, blobs = b"", b""
    for number, each in enumerate(headers, start=1):
        start = pages * 4096 + len(blobs)
        padding = b"\0" * (-(len(each) + 12) % 16)
        body = struct.pack("<4sIII", b"BlbS", number, 1, len(each)) + each + padding
        blob = body + struct.pack("<II4s", zlib.adler32(body), len(each), b"BlbE")
        slots += struct.pack("<4sIII", b"Slot", number, start // 16, len(blob) // 16)
        blobs += blob
    free = (pages * 4096 - 32 - len(slots)) // 16
    slots += struct.pack("<4sIII", b"Slot", 0, 0, 0) * free
    preface = struct.pack("<4sIIII", b"RpmP", 0, 1, pages, len(headers) + 1)
    return preface + b"\0" * (32 - len(preface)) + slots + blobs


def hash_form(headers: Sequence[bytes], *, order: str = "<", page_size: int = 4096) -> bytes:
    """`Packages`, one bucket page for each few headers, each header in a chain of pages of its own."""
    pages = [bytearray(page_size)]
    struct.pack_into(order + "8xIIIIBBBB", pages[0], 0, 0, 0x061561, 9, page_size, 0, 8, 0, 0)
    for first in range(0, len(headers), 4):
        bucket = bytearray(page_size)
        number = len(pages)
        pages.append(bucket)
        end, places = page_size, []
        for offset, each in enumerate(headers[first : first + 4], start=first + 1):
            key = b"\1" + struct.pack(order + "I", offset)
            value = struct.pack(order + "BxxxII", 3, len(pages), len(each))
            for item in (key, value):
                end -= len(item)
                bucket[end : end + len(item)] = item
                places.append(end)
            pages += _chain(each, len(pages), order, page_size)
        struct.pack_into(order + "8xIIIHHBB", bucket, 0, number, 0, 0, len(places), end, 0, 13)
        struct.pack_into(f"{order}{len(places)}H", bucket, 26, *places)
    return b"".join(pages)


def _chain(content: bytes, first: int, order: str, page_size: int) -> list[bytearray]:
    room = page_size - 26
    pieces = [content[start : start + room] for start in range(0, len(content), room)]
    chain = []
    for place, piece in enumerate(pieces):
        page = bytearray(page_size)
        following = first + place + 1 if place + 1 < len(pieces) else 0
        struct.pack_into(order + "8xIIIHHBB", page, 0, first + place, 0, following, 1, len(piece), 0, 7)
        page[26 : 26 + len(piece)] = piece
        chain.append(page)
    return chain
