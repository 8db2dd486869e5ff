"""What lies in archives is seen, within bounds, whatever they say of themselves."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scanner.reading.archives import Bounds, Member, Skipped
from tests.builders.malware import EICAR, members_of, tarred, zipped

FEW = Bounds(depth=2, members=50, member_bytes=1 << 16, total_bytes=1 << 18)


@given(st.sampled_from([b"PK\3\4", b"\x1f\x8b\x08", b"\0" * 257 + b"ustar"]), st.binary(max_size=600), st.data())
@settings(max_examples=150)
def test_archives_never_raise(head: bytes, tail: bytes, data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([head + tail, zipped(a=EICAR, b=bytes(900)), tarred("a", EICAR)])))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    assert sum(1 for _ in members_of(bytes(whole), FEW)) <= 200


def test_a_list_that_only_zip64_tells_of_takes_no_more_memory_than_others() -> None:
    """The usual end record says that the list is empty; the wide one, which counts, that it is large."""
    entry = b"PK\1\2" + bytes(24) + (1).to_bytes(2, "little") + bytes(16) + b"x"
    files, entries = zipped(a=EICAR), 100_000
    start = len(files)
    wide = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, len(entry) * entries, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, start + len(entry) * entries, 1)
    content = files + entry * entries + wide + locator + b"PK\5\6" + bytes(18)
    tracemalloc.start()
    try:
        told = list(members_of(content, FEW))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(told) <= FEW.members + 1
    assert most < len(content)


def test_what_unpacks_to_all_that_is_left_ends_the_archive() -> None:
    bounds = FEW._replace(total_bytes=1000)
    told = list(members_of(zipped(a=bytes(600), b=bytes(400), c=EICAR, d=EICAR), bounds))
    assert [len(each.content) for each in told if isinstance(each, Member)] == [600, 400]
    assert told[2:] == [Skipped("", "it unpacks to more than the 1000 bytes that are left for it")]


def test_archives_within_share_what_is_left() -> None:
    """A gzip that spent it leaves none to what comes after it, rather than an endless lot."""
    inner = gzip.compress(bytes(2000))
    told = list(members_of(zipped(a=inner, b=bytes(4000), c=bytes(4000)), FEW._replace(total_bytes=1000)))
    assert sum(len(each.content) for each in told if isinstance(each, Member)) <= 1000


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_members_are_read_as_they_are_packed(method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a/ü", EICAR)
        archive.writestr("b/", EICAR)
    assert list(members_of(buffer.getvalue(), FEW)) == [Member("a/ü", EICAR), Member("b/", EICAR)]


def test_a_checksum_that_lies_hides_nothing() -> None:
    content = bytearray(zipped(a=EICAR))
    for signature, at in ((b"PK\3\4", 14), (b"PK\1\2", 16)):
        place = content.index(signature) + at
        content[place : place + 4] = b"\0\0\0\0"
    assert list(members_of(bytes(content), FEW)) == [Member("a", EICAR)]
