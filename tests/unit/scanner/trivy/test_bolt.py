"""The head of a bbolt file: of a real one, and damaged in every place that counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.scanner.trivy.bolt import is_whole
from tests.builders.trivy import EMPTY_DATABASE

PAGE = 4096
REAL = tuple(
    bytes.fromhex(page)
    for page in (
        "00000000000000000400000000000000edda0ced02000000001000000000000011650000000000000000000000000000"
        "126500000000000013650000000000001400000000000000cc94953d6dd15e60",
        "01000000000000000400000000000000edda0ced02000000001000000000000041690000000000000000000000000000"
        "4269000000000000436900000000000015000000000000003964faeabe780e2b",
    )
)
"""The two heads of a database that Trivy's own writer made."""
REAL_PAGES = (0x6513, 0x6943)


def whole(folder: Path, content: bytes, size: int | None = None) -> bool:
    path = folder / "trivy.db"
    path.write_bytes(content)
    if size is not None:
        os.truncate(path, size)
    file = os.open(path, os.O_RDONLY)
    try:
        return is_whole(file)
    finally:
        os.close(file)


@pytest.mark.parametrize(("missing", "expected"), [(0, True), (1, False), (PAGE, False)])
def test_a_real_one_is_whole_up_to_its_last_page(tmp_path: Path, missing: int, *, expected: bool) -> None:
    heads = b"".join(head.ljust(PAGE, b"\0") for head in REAL)

    assert whole(tmp_path, heads, REAL_PAGES[1] * PAGE - missing) is expected


@pytest.mark.parametrize("damaged", [0, 1])
def test_the_other_head_counts_where_one_is_damaged(tmp_path: Path, damaged: int) -> None:
    heads = [head.ljust(PAGE, b"\0") for head in REAL]
    heads[damaged] = heads[damaged][:30] + b"\xff" + heads[damaged][31:]
    size = REAL_PAGES[1 - damaged] * PAGE

    assert whole(tmp_path, b"".join(heads), size)
    assert not whole(tmp_path, b"".join(heads), size - 1)


@pytest.mark.parametrize("content", [b"", b"x" * PAGE, EMPTY_DATABASE[:40], bytes(1 << 18)])
def test_what_is_none_is_not_whole(tmp_path: Path, content: bytes) -> None:
    assert not whole(tmp_path, content)


@pytest.mark.parametrize("at", range(16, 80))
def test_any_damage_of_both_heads_is_seen(tmp_path: Path, at: int) -> None:
    content = bytearray(EMPTY_DATABASE)
    for place in (at, PAGE + at):
        content[place] ^= 0x55

    assert not whole(tmp_path, bytes(content))
