from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.layers.paths import Meaning, Named, clean, fingerprint, meaning_of, to_text


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"etc/passwd", b"etc/passwd"),
        (b"./etc/passwd", b"etc/passwd"),
        (b"/etc/passwd", b"etc/passwd"),
        (b"//etc///passwd", b"etc/passwd"),
        (b"etc/", b"etc"),
        (b"etc//", b"etc"),
        (b"a/./b", b"a/b"),
        (b"a/../b", b"b"),
        (b"a/b/..", b"a"),
        (b"a/..", b""),
        (b".", b""),
        (b"./", b""),
        (b"/", b""),
        (b"", b""),
        (b"..a/b..", b"..a/b.."),
        (b"a/.hidden", b"a/.hidden"),
        (b"a/...", b"a/..."),
    ],
)
def test_a_path_has_one_spelling(raw: bytes, path: bytes) -> None:
    assert clean(raw) == path


@pytest.mark.parametrize(
    "raw", [b"..", b"../x", b"/../x", b"a/../../x", b"./../x", b"a/b/../../..", b"../.wh.etc"]
)
def test_a_path_out_of_the_root_is_none(raw: bytes) -> None:
    assert clean(raw) is None


@given(st.lists(st.sampled_from([b"a", b"bc", b".", b"..", b"", b".wh.x", b"\xff"]), max_size=8).map(b"/".join))
def test_clean_agrees_with_posix(raw: bytes) -> None:
    path = clean(raw)

    expected = posixpath.normpath(raw.lstrip(b"/") or b".")
    if expected.startswith(b"..") and (expected == b".." or expected.startswith(b"../")):
        assert path is None
    else:
        assert path == (b"" if expected == b"." else expected)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (b"etc/passwd", Named(Meaning.NONE, b"etc/passwd")),
        (b".wh.etc", Named(Meaning.WHITEOUT, b"etc")),
        (b"a/b/.wh.c", Named(Meaning.WHITEOUT, b"a/b/c")),
        (b"a/.wh..c", Named(Meaning.WHITEOUT, b"a/.c")),
        (b"a/.wh..wh..opq", Named(Meaning.OPAQUE, b"a")),
        (b".wh..wh..opq", Named(Meaning.OPAQUE, b"")),
        (b".wh..wh.plnk", Named(Meaning.RESERVED, b".wh..wh.plnk")),
        (b"a/x.wh.y", Named(Meaning.NONE, b"a/x.wh.y")),
        (b".wh.a/b", Named(Meaning.NONE, b".wh.a/b")),
    ],
)
def test_whiteouts_are_told_by_the_last_part(path: bytes, named: Named) -> None:
    assert meaning_of(path) == named


@pytest.mark.parametrize("path", [b".wh.", b"a/.wh.", b"a/.wh..", b"a/.wh..."])
def test_a_whiteout_of_nothing_or_of_a_directory_above_is_none(path: bytes) -> None:
    assert meaning_of(path) is None


@given(st.binary(max_size=40))
def test_every_path_can_be_stored_and_printed(path: bytes) -> None:
    to_text(path).encode()


def test_a_path_in_utf8_stays_as_it_is() -> None:
    assert to_text("grüße/\\x41".encode()) == "grüße/\\x41"
    assert to_text(b"a\xff") == "a\\xff"


@given(st.binary(max_size=40))
def test_a_fingerprint_leaves_its_lowest_bit_free(path: bytes) -> None:
    assert fingerprint(path) & 1 == 0
    assert 0 <= fingerprint(path) < 1 << 64
