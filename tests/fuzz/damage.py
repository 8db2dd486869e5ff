"""Damage: what is left of a good file after some accidents, or after somebody's malice."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

_EXTREMES: Final = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\0\0\0",
    b"\0\0\0\0",
    b"\xff" * 8,
)
"""Numbers that counts and offsets hardly bear."""
_WORDS: Final = (
    b"\0",
    b"\n",
    b"[" * 2_000,
    b"{" * 2_000,
    b'"',
    b"\\",
    b"/../",
    b"\xc3\x28",
    b"\xef\xbb\xbf",
    b"9" * 400,
)


@st.composite
def damaged(draw: st.DrawFn, sample: bytes) -> bytes:
    """The sample after one to four accidents: bytes changed, cut off, taken out, doubled, put in."""
    content = bytearray(sample)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        accident = draw(st.sampled_from(("change", "extreme", "cut", "take", "double", "put")))
        length = draw(st.integers(1, max(1, min(64, len(content) - at))))
        if accident == "change":
            content[at : at + length] = draw(st.binary(min_size=1, max_size=length))
        elif accident == "extreme":
            number = draw(st.sampled_from(_EXTREMES))
            content[at : at + len(number)] = number
        elif accident == "cut":
            del content[at:]
        elif accident == "take":
            del content[at : at + length]
        elif accident == "double":
            content[at:at] = content[at : at + length]
        else:
            content[at:at] = draw(st.sampled_from(_WORDS) | st.binary(max_size=32))
    return bytes(content)
