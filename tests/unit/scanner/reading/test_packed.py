"""Files packed by gzip, bzip2, xz and zstd are looked into, within bounds; what is damaged is told."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.reading.archives import Bounds, Member, Skipped, is_archive
from services.scanner.reading.packed import form_of
from tests.builders.malware import EICAR, members_of, tarred, zipped

FEW = Bounds(depth=3, members=50, member_bytes=1 << 20, total_bytes=2 << 20)
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def told_by(content: bytes) -> list[Member | Skipped]:
    return list(members_of(content, FEW))


each_packer = pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)


@each_packer
def test_a_file_and_a_tar_are_unpacked(pack: Callable[[bytes], bytes]) -> None:
    assert is_archive(pack(EICAR)[:512])
    assert list(members_of(pack(EICAR), FEW)) == [Member("", EICAR)]
    assert list(members_of(pack(tarred("a", EICAR)), FEW)) == [Member("a", EICAR)]


@each_packer
def test_one_within_another_archive_is_unpacked(pack: Callable[[bytes], bytes]) -> None:
    told = list(members_of(zipped(**{"x": pack(tarred("a", EICAR))}), FEW))
    assert told[-1] == Member("x!a", EICAR)


@each_packer
def test_several_after_one_another_are_one(pack: Callable[[bytes], bytes]) -> None:
    assert list(members_of(pack(EICAR[:9]) + pack(EICAR[9:]) + bytes(64), FEW)) == [Member("", EICAR)]
    tar = tarred("a", EICAR)
    assert list(members_of(pack(tar[:700]) + pack(tar[700:]), FEW)) == [Member("a", EICAR)]


@each_packer
@pytest.mark.parametrize("content", [EICAR, tarred("a", EICAR * 200)], ids=["file", "tar"])
def test_one_that_ends_too_early_is_told(pack: Callable[[bytes], bytes], content: bytes) -> None:
    packed = pack(content)
    told = list(members_of(packed[: len(packed) // 2], FEW))
    assert [type(each) for each in told] == [Skipped]


@each_packer
def test_what_unpacks_to_too_much_takes_no_memory(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(bytes(200 << 20))
    assert len(packed) < 1 << 20
    tracemalloc.start()
    try:
        [told] = members_of(packed, FEW)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(told, Skipped)
    assert "unpacks to more than" in told.why
    assert peak < 64 << 20


def test_one_that_asks_for_too_much_memory_is_told() -> None:
    packed = bytearray(lzma.compress(EICAR))
    header = slice(12, 20)  # of the first block, whose fifth byte is the size of the dictionary
    packed[16] = 38  # 2 GiB
    packed[20:24] = zlib.crc32(packed[header]).to_bytes(4, "little")
    assert [type(each) for each in members_of(bytes(packed), FEW)] == [Skipped]


def test_frames_of_zstd_that_hold_nothing_are_stepped_over() -> None:
    empty = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    pack = PACKERS["zstd"]
    assert list(members_of(pack(EICAR[:9]) + empty + empty + pack(EICAR[9:]), FEW)) == [Member("", EICAR)]


@pytest.mark.parametrize("text", [b"BZh is how bzip2 begins", b"BZh9", b"\xfd7z", b"\x28\xb5\x2f", b"\x1f\x8b"])
def test_what_only_begins_like_one_is_none(text: bytes) -> None:
    assert form_of(text) is None
    assert not is_archive(text)


@given(st.sampled_from(list(PACKERS.values())), st.binary(max_size=300), st.data())
def test_damage_never_raises(pack: Callable[[bytes], bytes], content: bytes, data: st.DataObject) -> None:
    packed = bytearray(pack(data.draw(st.sampled_from([content, tarred("a", content)]))))
    for _ in range(data.draw(st.integers(0, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    if is_archive(bytes(packed[:512])):
        assert len(list(members_of(bytes(packed), FEW))) <= 60


@each_packer
@pytest.mark.parametrize("zeros", [4, 64, 100_000])
def test_zeros_between_two_are_stepped_over(pack: Callable[[bytes], bytes], zeros: int) -> None:
    assert told_by(pack(EICAR[:9]) + bytes(zeros) + pack(EICAR[9:])) == [Member("", EICAR)]


@each_packer
def test_what_follows_the_last_and_is_something_else_is_told(pack: Callable[[bytes], bytes]) -> None:
    [member, skipped] = told_by(pack(EICAR) + b"something else")
    assert member == Member("", EICAR)
    assert isinstance(skipped, Skipped)


def test_zstd_may_begin_with_a_frame_that_holds_nothing() -> None:
    nothing = b"\x53\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    content = nothing + PACKERS["zstd"](EICAR)
    assert is_archive(content[:512])
    assert told_by(content) == [Member("", EICAR)]
