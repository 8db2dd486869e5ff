"""Headers of a tar archive: the same file gives the same bytes, always.

Formats: POSIX.1-2024, pax, sections "ustar Interchange Format" and "pax Extended Header"; `SCHILY.xattr.` as star
writes it. What fits into a plain header has no extended one; names that are no UTF-8 stay the bytes that they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from services.fixer.image.node import Attributes, NodeKind

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
HARD_LINK: Final = b"1"
FLAGS: Final = {
    NodeKind.FILE: b"0",
    NodeKind.SYMBOLIC_LINK: b"2",
    NodeKind.CHARACTER_DEVICE: b"3",
    NodeKind.BLOCK_DEVICE: b"4",
    NodeKind.DIRECTORY: b"5",
    NodeKind.FIFO: b"6",
}
_NAME_BYTES: Final = 100
_SEVEN_DIGITS: Final = 0o7777777
_ELEVEN_DIGITS: Final = 0o77777777777
_PAX_NAME: Final = b"PaxHeaders/entry"
_NOBODYS: Final = Attributes(mode=0o644)


def header(
    flag: bytes,
    path: str,
    attributes: Attributes,
    *,
    size: int = 0,
    target: str = "",
    device: tuple[int, int] = (0, 0),
) -> bytes:
    """Returns the header of an entry, an extended one before it where one is needed.

    Args:
        flag: its type.
        path: relative to the root; of a directory with the slash at its end.
        attributes: of the entry.
        size: bytes of content that follow.
        target: of a link.
        device: major and minor number.
    """
    name, link = os.fsencode(path), os.fsencode(target)
    records = b"".join(_record(key, value) for key, value in _extended(name, link, attributes, size))
    before = b""
    if records:
        head = _plain(b"x", _PAX_NAME, _NOBODYS, size=len(records))
        before = head + records + bytes(-len(records) % BLOCK)
    return before + _plain(flag, name, attributes, link=link, size=size, device=device)


def _extended(name: bytes, link: bytes, attributes: Attributes, size: int) -> Iterator[tuple[bytes, bytes]]:
    if len(name) > _NAME_BYTES:
        yield b"path", name
    if len(link) > _NAME_BYTES:
        yield b"linkpath", link
    if size > _ELEVEN_DIGITS:
        yield b"size", b"%d" % size
    if attributes.uid > _SEVEN_DIGITS:
        yield b"uid", b"%d" % attributes.uid
    if attributes.gid > _SEVEN_DIGITS:
        yield b"gid", b"%d" % attributes.gid
    if not 0 <= attributes.mtime <= _ELEVEN_DIGITS:
        yield b"mtime", b"%d" % attributes.mtime
    for key, value in sorted(attributes.xattrs.items()):
        yield b"SCHILY.xattr." + os.fsencode(key), value


def _plain(
    flag: bytes,
    name: bytes,
    attributes: Attributes,
    *,
    link: bytes = b"",
    size: int = 0,
    device: tuple[int, int] = (0, 0),
) -> bytes:
    """Returns the header's own 512 bytes; what does not fit is cut off, or 0, and stands in the extended one."""
    head = bytearray(BLOCK)
    for start, value in (
        (0, name[:_NAME_BYTES]),
        (100, b"%07o" % (attributes.mode & 0o7777)),
        (108, _digits(attributes.uid, 7)),
        (116, _digits(attributes.gid, 7)),
        (124, _digits(size, 11)),
        (136, _digits(attributes.mtime, 11)),
        (148, b" " * 8),
        (156, flag),
        (157, link[:_NAME_BYTES]),
        (257, b"ustar\x0000"),
        (329, _digits(device[0], 7)),
        (337, _digits(device[1], 7)),
    ):
        head[start : start + len(value)] = value
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def _digits(number: int, count: int) -> bytes:
    fits = 0 <= number < 8**count
    return b"%0*o" % (count, number if fits else 0)


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while length != len(str(length)) + len(rest):
        length = len(str(length)) + len(rest)
    return b"%d" % length + rest
