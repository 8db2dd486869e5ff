"""Extended headers of tar archives (POSIX.1-2024, pax, section "pax Header Block")."""

from __future__ import annotations

from typing import Final, NamedTuple

_SPARSE: Final = b"GNU.sparse."
_MAX_SIZE: Final = 1 << 62


class PaxHeader(NamedTuple):
    """What the next entry's extended header says of it; empty where it says nothing."""

    path: bytes = b""
    target: bytes = b""
    size: int | None = None
    """Bytes of content in the archive."""
    sparse: bool = False


def parse_pax(content: bytes) -> PaxHeader:
    r"""Reads the records `LENGTH KEY=VALUE\n`; the last one of a key counts, an empty value takes it back.

    Raises:
        ValueError: a record is malformed; says which way.
    """
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(content):
        space = content.find(b" ", at, at + 20)
        digits = content[at:space]
        if space < 0 or not digits.isdigit():
            raise ValueError(f"no length at its byte {at}")
        end = at + int(digits)
        record = content[space + 1 : end]
        key, equals, value = record.partition(b"=")
        if end > len(content) or not record.endswith(b"\n") or not equals or not key:
            raise ValueError(f"no whole record at its byte {at}")
        records[key] = value[:-1]
        at = end
    return _header(records)


def _header(records: dict[bytes, bytes]) -> PaxHeader:
    size = records.get(b"size", b"")
    if size and not (size.isdigit() and len(size) < 20 and int(size) < _MAX_SIZE):
        raise ValueError(f"a size of {size[:40]!r}")
    path = records.get(b"GNU.sparse.name") or records.get(b"path", b"")
    target = records.get(b"linkpath", b"")
    if b"\0" in path or b"\0" in target:
        raise ValueError("a name with a NUL in it")
    return PaxHeader(
        path=path,
        target=target,
        size=int(size) if size else None,
        sparse=any(key.startswith(_SPARSE) for key in records),
    )
