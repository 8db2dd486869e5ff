from __future__ import annotations

import gzip
import hashlib
import random
import resource
import tempfile
import threading
import time
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.model.digest import digest_of
from services.kernel.reasons import Reason, ScanFailure
from services.lab.layer import Compression, compress
from services.layers.decompress import CHUNK_BYTES, open_layer
from services.layers.limits import LayerLimits
from services.registry.interface import Descriptor
from tests.builders.tars import layer_file

PLAIN = random.Random(7).randbytes(5_000) + bytes(9_000)
GZIP_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


def read(folder: Path, stored: bytes, limits: LayerLimits | None = None) -> tuple[bytes, str]:
    """The uncompressed bytes and their digest."""
    parts = []
    with open_layer(layer_file(folder, stored), GZIP_TYPE, limits or LayerLimits()) as reader:
        while chunk := reader.next_chunk():
            parts.append(bytes(chunk))
        return b"".join(parts), reader.diff_id()


def refusal(folder: Path, stored: bytes, limits: LayerLimits | None = None) -> ScanFailure:
    with pytest.raises(ScanFailure) as caught:
        read(folder, stored, limits)
    return caught.value


@pytest.mark.parametrize("compression", list(Compression))
def test_every_compression_is_told_by_its_first_bytes(tmp_path: Path, compression: Compression) -> None:
    plain, diff_id = read(tmp_path, compress(PLAIN, compression))

    assert plain == PLAIN
    assert diff_id == f"sha256:{hashlib.sha256(PLAIN).hexdigest()}"


@pytest.mark.parametrize("compression", [Compression.NONE, Compression.GZIP, Compression.ZSTD])
def test_chunks_are_full_but_the_last(tmp_path: Path, compression: Compression) -> None:
    plain = random.Random(1).randbytes(2 * CHUNK_BYTES + 700)
    path = layer_file(tmp_path, compress(plain, compression))

    with open_layer(path, "", LayerLimits()) as reader:
        sizes = [len(reader.next_chunk()) for _ in range(4)]

    assert sizes == [CHUNK_BYTES, CHUNK_BYTES, 700, 0]


@settings(deadline=None, max_examples=60)
@given(
    parts=st.lists(st.binary(max_size=3_000), min_size=1, max_size=5),
    how=st.sampled_from([gzip.compress, zstandard.compress]),
)
def test_members_and_frames_are_read_one_after_another(parts: list[bytes], how) -> None:  # type: ignore[no-untyped-def]  # two functions of other people's
    with tempfile.TemporaryDirectory() as folder:
        plain, _ = read(Path(folder), b"".join(how(part) for part in parts))

    assert plain == b"".join(parts)


def test_a_skippable_frame_is_skipped(tmp_path: Path) -> None:
    skippable = b"\x52\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"

    plain, _ = read(tmp_path, skippable + zstandard.compress(PLAIN) + skippable)

    assert plain == PLAIN


def test_zeros_after_the_last_gzip_member_are_padding(tmp_path: Path) -> None:
    assert read(tmp_path, gzip.compress(PLAIN) + bytes(700))[0] == PLAIN


@pytest.mark.parametrize("how", [gzip.compress, zstandard.compress])
def test_garbage_after_the_end_is_corrupt(tmp_path: Path, how) -> None:  # type: ignore[no-untyped-def]  # two functions of other people's
    assert refusal(tmp_path, how(PLAIN) + b"not compressed").why is Reason.LAYER_CORRUPT


@pytest.mark.parametrize("how", [gzip.compress, zstandard.compress])
def test_a_truncated_layer_is_corrupt_wherever_it_was_cut(tmp_path: Path, how) -> None:  # type: ignore[no-untyped-def]  # two functions of other people's
    stored = how(bytes(range(256)) * 4)

    for cut in range(4, len(stored)):
        failure = refusal(tmp_path, stored[:cut])
        assert failure.why is Reason.LAYER_CORRUPT, cut
        assert "byte" in failure.message


@settings(deadline=None, max_examples=150)
@given(
    st.binary(max_size=2_000), st.sampled_from([b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b""])
)
def test_any_bytes_end_in_bytes_or_a_reason(content: bytes, magic: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            read(Path(folder), magic + content)
        except ScanFailure as failure:
            assert failure.why in (Reason.LAYER_CORRUPT, Reason.LAYER_EXPANDS_TOO_FAR)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 4_000), st.integers(0, 7), st.sampled_from(["gzip", "zstd"]))
def test_a_flipped_bit_changes_the_diff_id_or_is_corrupt(place: int, bit: int, how: str) -> None:
    stored = bytearray(compress(PLAIN, Compression(how)))
    stored[place % len(stored)] ^= 1 << bit
    with tempfile.TemporaryDirectory() as folder:
        try:
            plain, diff_id = read(Path(folder), bytes(stored))
        except ScanFailure as failure:
            assert failure.why in (Reason.LAYER_CORRUPT, Reason.LAYER_EXPANDS_TOO_FAR)
        else:
            assert diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"


def test_a_layer_that_expands_too_far_ends_early(tmp_path: Path) -> None:
    limits = LayerLimits(expansion_free_bytes=4 << 20, expansion=10)
    bomb = gzip.compress(bytes(64 << 20))

    failure = refusal(tmp_path, bomb, limits)

    assert failure.why is Reason.LAYER_EXPANDS_TOO_FAR
    assert failure.metadata["stored"] == str(len(bomb))


def test_small_layers_may_expand_as_they_like(tmp_path: Path) -> None:
    plain, _ = read(tmp_path, gzip.compress(bytes(3 << 20)), LayerLimits(expansion=2))

    assert len(plain) == 3 << 20


def test_a_plain_layer_expands_to_itself(tmp_path: Path) -> None:
    limits = LayerLimits(expansion=1, expansion_free_bytes=0)

    assert read(tmp_path, bytes(3 << 20), limits)[0] == bytes(3 << 20)


@pytest.mark.parametrize("compression", [Compression.NONE, Compression.GZIP, Compression.ZSTD])
def test_a_layer_above_the_size_limit_is_too_large(tmp_path: Path, compression: Compression) -> None:
    stored = compress(random.Random(3).randbytes(3 << 20), compression)

    failure = refusal(tmp_path, stored, LayerLimits(uncompressed_bytes=2 << 20))

    assert failure.why is Reason.LAYER_TOO_LARGE
    assert "DRYDOCK_SCANNER_LAYER_UNCOMPRESSED_BYTES" in failure.hint


def test_an_endless_gzip_file_name_is_corrupt_and_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    with path.open("wb") as file:
        file.write(b"\x1f\x8b\x08\x08\0\0\0\0\0\xff")
        for _ in range(300):
            file.write(b"a" * (1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(ScanFailure) as caught, open_layer(path, "", LayerLimits()) as reader:
        reader.next_chunk()

    assert caught.value.why is Reason.LAYER_CORRUPT
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_a_zstd_window_beyond_the_memory_limit_is_refused(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    stored = compressor.compress(PLAIN) + compressor.flush()

    failure = refusal(tmp_path, stored)

    assert failure.why is Reason.LAYER_CORRUPT
    assert "memory" in failure.message


def test_a_zstd_file_of_empty_blocks_is_given_up(tmp_path: Path) -> None:
    empty_block = bytes(3)
    stored = b"\x28\xb5\x2f\xfd\x00\x58" + empty_block * 5_000 + b"\x01\0\0"

    assert read(tmp_path, stored)[0] == b""
    failure = refusal(tmp_path, stored, LayerLimits(zstd_blocks=1_000))
    assert failure.why is Reason.LAYER_CORRUPT
    assert "1000 blocks" in failure.message


def test_an_empty_file_is_no_gzip_layer(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"").why is Reason.LAYER_CORRUPT


def test_a_chunk_stays_as_it_is_while_the_next_ones_are_read_ahead(tmp_path: Path) -> None:
    plain = random.Random(3).randbytes(6 * CHUNK_BYTES)
    with open_layer(layer_file(tmp_path, gzip.compress(plain, 1)), GZIP_TYPE, LayerLimits()) as reader:
        for start in range(0, len(plain), CHUNK_BYTES):
            chunk = reader.next_chunk()
            while not reader._reading.done() and reader._ahead._free.qsize():
                time.sleep(0.001)  # every buffer that is free has its chance to spoil it
            assert chunk == plain[start : start + CHUNK_BYTES]
        assert reader.diff_id() == f"sha256:{hashlib.sha256(plain).hexdigest()}"


def test_what_stands_before_the_damage_is_given_first(tmp_path: Path) -> None:
    whole = gzip.compress(random.Random(3).randbytes(3 * CHUNK_BYTES), 1)
    with open_layer(layer_file(tmp_path, whole[:-CHUNK_BYTES]), GZIP_TYPE, LayerLimits()) as reader:
        assert len(reader.next_chunk()) == CHUNK_BYTES
        with pytest.raises(ScanFailure, match="before its own end mark"):
            for _ in range(3):
                reader.next_chunk()


def test_a_layer_that_is_left_early_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    stored = gzip.compress(bytes(9 * CHUNK_BYTES), 1)
    with open_layer(layer_file(tmp_path, stored), GZIP_TYPE, LayerLimits()) as reader:
        reader.next_chunk()
    assert threading.active_count() == before


@pytest.mark.parametrize("compression", list(Compression))
def test_a_file_that_is_not_ours_is_held_against_its_digest(tmp_path: Path, compression: Compression) -> None:
    stored = compress(PLAIN, compression)
    expected = Descriptor(media_type=GZIP_TYPE, digest=digest_of(stored), size=len(stored))

    with open_layer(layer_file(tmp_path, stored), GZIP_TYPE, LayerLimits(), expected) as reader:
        reader.drain()
        assert reader.diff_id() == digest_of(PLAIN)


@pytest.mark.parametrize("change", [slice(None, -1), slice(3, None), slice(0, 0)])
def test_another_file_than_the_expected_one_is_told_so_before_all_else(tmp_path: Path, change: slice) -> None:
    stored = compress(PLAIN, Compression.GZIP)
    expected = Descriptor(media_type=GZIP_TYPE, digest=digest_of(stored), size=len(stored))
    path = layer_file(tmp_path, stored[change])

    with pytest.raises(ScanFailure) as caught, open_layer(path, GZIP_TYPE, LayerLimits(), expected) as reader:
        reader.drain()

    assert caught.value.why is Reason.DIGEST_MISMATCH


def test_what_follows_the_compressed_data_counts_for_the_digest(tmp_path: Path) -> None:
    stored = compress(PLAIN, Compression.GZIP)
    expected = Descriptor(media_type=GZIP_TYPE, digest=digest_of(stored), size=len(stored))
    path = layer_file(tmp_path, stored + bytes(1 << 20))

    with pytest.raises(ScanFailure) as caught, open_layer(path, GZIP_TYPE, LayerLimits(), expected) as reader:
        reader.drain()

    assert caught.value.why is Reason.DIGEST_MISMATCH
