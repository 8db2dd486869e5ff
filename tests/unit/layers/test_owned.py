from __future__ import annotations

import pytest

from services.layers.owned import read_owned
from tests.builders.tars import tar_header


def with_field(start: int, value: bytes) -> bytes:
    header = bytearray(tar_header())
    header[start : start + len(value)] = value
    return bytes(header)


def extension(*records: tuple[bytes, bytes]) -> bytes:
    content = b""
    for key, value in records:
        rest = b" " + key + b"=" + value + b"\n"
        length = len(rest) + 2
        content += b"%d" % (length + (length > 99)) + rest
    return content


def test_the_plain_header_tells_where_there_is_no_other() -> None:
    found = read_owned(with_field(108, b"0000012\x000000013\x00"), b"")

    assert (found.mode, found.uid, found.gid, found.mtime, found.xattrs) == (0o644, 0o12, 0o13, 0, ())


def test_the_extended_header_wins() -> None:
    records = (b"uid", b"4294967295"), (b"mtime", b"-3.5"), (b"SCHILY.xattr.user.a", b"\0=\n"), (b"comment", b"x")

    found = read_owned(with_field(108, b"0000012\x00"), extension(*records))

    assert (found.uid, found.gid, found.mtime) == (4294967295, 0, -3)
    assert found.xattrs == ((b"user.a", b"\0=\n"),)


def test_large_owners_in_base_256_are_read() -> None:
    assert read_owned(with_field(108, b"\x80\0\0\0\0\x2d\xc6\xc0"), b"").uid == 3_000_000


@pytest.mark.parametrize(
    ("header", "records"),
    [
        (with_field(108, b"\x80\0\0\1\0\0\0\0"), ()),
        (tar_header(), ((b"gid", b"4294967296"),)),
        (tar_header(), ((b"uid", b"-1"),)),
        (tar_header(), ((b"mtime", b"yesterday"),)),
        (tar_header(), ((b"mtime", b"9999999999999"),)),
        (with_field(136, b"\x80" + b"\x7f" * 11), ()),
    ],
)
def test_numbers_that_no_file_can_have_are_refused(
    header: bytes, records: tuple[tuple[bytes, bytes], ...]
) -> None:
    with pytest.raises(ValueError, match="impossible"):
        read_owned(header, extension(*records))
