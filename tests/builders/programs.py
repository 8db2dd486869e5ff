"""Makes executables with Go's build information, as Go's linkers of all ages lay it out, but without code."""

from __future__ import annotations

import struct

_START, _END = bytes(range(16)), bytes(range(16, 32))
_BASE = 0x400000
_DATA = 0x3000


def modules(*lines: str) -> str:
    """Module information from lines with spaces in place of tabs."""
    return "".join(line.replace(" ", "\t") + "\n" for line in lines)


def go_program(version: str, info: str, *, pointers: bool = False, debug_bytes: int = 0) -> bytes:
    """An ELF with a load of code, one of constants and one of data; debugging information is not loaded.

    Since Go 1.18 the strings stand inline; before that, the information points to headers of strings.
    """
    framed = _START + info.encode() + _END if info else b""
    content = _elf().ljust(0x1000, b"\0").ljust(0x2000, b"\xcc") + b"constants "
    at = len(content)
    content += version.encode() + framed
    content = content.ljust(_DATA, b"\0")
    if len(content) > _DATA:
        raise ValueError("the strings are too long for this layout")
    if pointers:
        first = _BASE + _DATA + 64
        content += struct.pack("<14sBBQQ", b"\xff Go buildinf:", 8, 0, first, first + 16)
        content = content.ljust(_DATA + 64, b"\0")
        content += struct.pack("<QQ", _BASE + at, len(version))
        content += struct.pack("<QQ", _BASE + at + len(version), len(framed))
    else:
        content += b"\xff Go buildinf:\x08\x02".ljust(32, b"\0")
        content += _varint(len(version)) + version.encode() + _varint(len(framed)) + framed
    return content.ljust(_DATA + 0x1000, b"\0") + bytes(debug_bytes)


def _elf() -> bytes:
    loads = ((5, 0, 0x2000), (4, 0x2000, 0x1000), (6, _DATA, 0x1000))
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, len(loads), 64, 0, 0)
    for flags, at, size in loads:
        head += struct.pack("<IIQQQQQQ", 1, flags, at, _BASE + at, _BASE + at, size, size, 0x1000)
    return head


def _varint(number: int) -> bytes:
    content = b""
    while number >= 0x80:
        content += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return content + bytes((number,))
