"""Extended headers of tar archives (POSIX.1-2024, pax, section "pax Header Block")."""

from __future__ import annotations

from typing import Final, NamedTuple

_SPARSE: Final = b"GNU.sparse."
_SPARSE_NAME: Final = b"GNU.sparse.name"
_KEYS: Final = frozenset((b"path", b"linkpath", b"size"))
_NEWLINE: Final = 10
_MAX_SIZE: Final = 1 << 62


class PaxHeader(NamedTuple):
    """What the next entry's extended header says of it; empty where it says nothing."""

    path: bytes = b""
    target: bytes = b""
    size: int | None = None
    """Bytes of content in the archive."""
    sparse: bool = False
    sparse_path: bytes = b""
    """Of a sparse file, whose other name is one that its archiver made up."""


SILENT: Final = PaxHeader()
"""Of a header that says nothing of the next entry's name or content, as most do."""


def parse_pax(content: bytes) -> PaxHeader:
    r"""Reads the records `LENGTH KEY=VALUE\n`; the last one of a key counts, an empty value takes it back.

    Raises:
        ValueError: a record is malformed; says which way.
    """
    records = read_records(content, _KEYS, _SPARSE)
    return _header(records) if records else SILENT


def read_records(content: bytes, keys: frozenset[bytes], prefix: bytes) -> dict[bytes, bytes]:
    """Returns the records of these keys, and of all that begin with the prefix; of one key the last.

    Raises:
        ValueError: a record is malformed; says which way.
    """
    records: dict[bytes, bytes] = {}
    at, length = 0, len(content)
    while at < length:
        space = content.find(b" ", at, at + 20)
        digits = content[at:space]
        if space < 0 or not digits.isdigit():
            raise ValueError(f"no length at its byte {at}")
        end = at + int(digits)
        equals = content.find(b"=", space + 1, end)
        if end > length or equals <= space + 1 or content[end - 1] != _NEWLINE:
            raise ValueError(f"no whole record at its byte {at}")
        key = content[space + 1 : equals]
        if key in keys or key.startswith(prefix):
            records[key] = content[equals + 1 : end - 1]
        at = end
    return records


def _header(records: dict[bytes, bytes]) -> PaxHeader:
    sparse = any(key.startswith(_SPARSE) for key in records)
    path, target = records.get(b"path", b""), records.get(b"linkpath", b"")
    sparse_path = records.get(_SPARSE_NAME, b"")
    if b"\0" in path or b"\0" in target or b"\0" in sparse_path:
        raise ValueError("a name with a NUL in it")
    return PaxHeader(path, target, _size(records.get(b"size", b"")), sparse, sparse_path)


def _size(text: bytes) -> int | None:
    if not text:
        return None
    if not (text.isdigit() and len(text) < 20 and int(text) < _MAX_SIZE):
        raise ValueError(f"a size of {text[:40]!r}")
    return int(text)
