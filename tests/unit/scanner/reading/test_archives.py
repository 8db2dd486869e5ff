"""What lies in archives is seen, within bounds, whatever they say of themselves."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.scanner.reading.archives import Bounds, members_of
from tests.builders.malware import EICAR, tarred, zipped

FEW = Bounds(depth=2, members=50, member_bytes=1 << 16, total_bytes=1 << 18)


@given(st.sampled_from([b"PK\3\4", b"\x1f\x8b\x08", b"\0" * 257 + b"ustar"]), st.binary(max_size=600), st.data())
@settings(max_examples=150)
def test_archives_never_raise(head: bytes, tail: bytes, data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([head + tail, zipped(a=EICAR, b=bytes(900)), tarred("a", EICAR)])))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    assert sum(1 for _ in members_of(bytes(whole), FEW)) <= 200
