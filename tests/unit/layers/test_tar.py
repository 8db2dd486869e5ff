from __future__ import annotations

import io
import random
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.reasons import Reason, ScanFailure
from services.layers.decompress import CHUNK_BYTES
from services.layers.limits import LayerLimits
from services.layers.tar import EntryKind
from tests.builders.tars import BLOCK, END, long_name, padded, pax_header, tar_file, tar_header, walked


def refusal(folder: Path, content: bytes, limits: LayerLimits | None = None) -> ScanFailure:
    with pytest.raises(ScanFailure) as caught:
        walked(folder, content, limits)
    assert caught.value.why is Reason.LAYER_CORRUPT
    return caught.value


def names(folder: Path, content: bytes) -> list[bytes]:
    return [entry.path for entry, _ in walked(folder, content)]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_it_reads_what_tarfile_writes(tmp_path: Path, form: int) -> None:
    buffer = io.BytesIO()
    expected = []
    rng = random.Random(form)
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for number in range(300):
            long = form != tarfile.USTAR_FORMAT and number % 7 == 0
            folder = "very-" * 40 if long else f"folder{number % 5}"
            info = tarfile.TarInfo(f"{folder}/datei-é-{number}")
            info.type = rng.choice([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])
            content = b""
            if info.type == tarfile.REGTYPE:
                content = rng.randbytes(rng.choice([0, 1, 511, 512, 513, 40_000]))
                info.size = len(content)
            elif info.type != tarfile.DIRTYPE:
                info.linkname = "target-" * 30 if long else "target"
            tar.addfile(info, io.BytesIO(content))
            expected.append((info.name.encode(), info.linkname.encode(), content))

    found = walked(tmp_path, buffer.getvalue())

    assert [(entry.path.rstrip(b"/"), entry.target, content) for entry, content in found] == expected


def test_content_across_chunks_is_whole(tmp_path: Path) -> None:
    contents = [random.Random(n).randbytes(CHUNK_BYTES + 300 * n) for n in range(4)]
    stream = b"".join(tar_file(b"file%d" % n, content) for n, content in enumerate(contents)) + END

    assert [content for _, content in walked(tmp_path, stream)] == contents


def test_content_nobody_asks_for_is_skipped(tmp_path: Path) -> None:
    stream = tar_file(b"large", bytes(3 * CHUNK_BYTES + 77)) + tar_file(b"after", b"x") + END

    assert names(tmp_path, stream) == [b"large", b"after"]


@pytest.mark.parametrize("end", [b"", bytes(BLOCK), END, END + bytes(18 * BLOCK)])
def test_the_end_of_the_archive_may_be_missing(tmp_path: Path, end: bytes) -> None:
    assert names(tmp_path, tar_file(b"a", b"x") + end) == [b"a"]


def test_the_last_padding_may_be_missing(tmp_path: Path) -> None:
    assert walked(tmp_path, tar_header(b"a", size=3) + b"abc")[0][1] == b"abc"


def test_what_follows_the_end_is_not_of_the_archive(tmp_path: Path) -> None:
    assert names(tmp_path, tar_file(b"a", b"x") + END + tar_file(b"b", b"x")) == [b"a"]


def test_an_empty_layer_has_no_entries(tmp_path: Path) -> None:
    assert walked(tmp_path, END) == []
    assert walked(tmp_path, b"") == []


def test_a_ustar_prefix_comes_before_the_name(tmp_path: Path) -> None:
    assert names(tmp_path, tar_header(b"name", prefix=b"some/folder") + END) == [b"some/folder/name"]


def test_a_gnu_header_has_no_prefix(tmp_path: Path) -> None:
    head = tar_header(b"name", prefix=b"12345678901", magic=b"ustar  \0")

    assert names(tmp_path, head + END) == [b"name"]


def test_long_gnu_names_belong_to_the_next_entry_only(tmp_path: Path) -> None:
    name, target = b"n" * 300, b"t" * 400
    stream = (
        long_name(target, b"K")
        + long_name(name)
        + tar_header(b"cut", flag=b"2", target=b"cut")
        + tar_header(b"short")
        + END
    )

    first, second = (entry for entry, _ in walked(tmp_path, stream))

    assert (first.path, first.target) == (name, target)
    assert second.path == b"short"


def test_pax_records_belong_to_the_next_entry_only(tmp_path: Path) -> None:
    stream = (
        pax_header((b"path", b"p" * 200), (b"size", b"5"))
        + tar_header(b"cut", size=0)
        + padded(b"hello")
        + tar_header(b"short")
        + END
    )

    (first, content), (second, _) = walked(tmp_path, stream)

    assert (first.path, first.size, content) == (b"p" * 200, 5, b"hello")
    assert (second.path, second.size) == (b"short", 0)


def test_long_gnu_names_count_more_than_pax_records_as_in_go(tmp_path: Path) -> None:
    both = (
        pax_header((b"path", b"pax"), (b"linkpath", b"pax-target"))
        + long_name(b"gnu")
        + long_name(b"gnu-target", b"K")
    )
    sparse = pax_header((b"path", b"pax"), (b"GNU.sparse.name", b"sparse")) + long_name(b"gnu")
    stream = both + tar_header(b"cut", flag=b"2", target=b"cut") + sparse + tar_header(b"cut") + END

    first, second = (entry for entry, _ in walked(tmp_path, stream))

    assert (first.path, first.target) == (b"gnu", b"gnu-target")
    assert second.path == b"sparse"


def test_global_pax_records_concern_no_entry(tmp_path: Path) -> None:
    stream = pax_header((b"path", b"evil"), flag=b"g") + tar_header(b"name") + END

    assert names(tmp_path, stream) == [b"name"]


@pytest.mark.parametrize(
    "content",
    [
        b"7 path=a\n",
        b"99 path=a\n",
        b"x path=a\n",
        b"9 pathab\n",
        b"11 path=a\0b\n",
        b"10 size=x1\n",
        b"10 size=-1\n",
    ],
)
def test_broken_pax_records_are_corrupt(tmp_path: Path, content: bytes) -> None:
    stream = tar_header(flag=b"x", size=len(content)) + padded(content) + tar_header(b"a") + END

    assert "pax" in refusal(tmp_path, stream).message


def test_base_256_sizes_are_read(tmp_path: Path) -> None:
    size = b"\x80" + (3).to_bytes(11, "big")

    assert walked(tmp_path, tar_header(size=size) + padded(b"abc") + END)[0][1] == b"abc"


@pytest.mark.parametrize(
    "size", [b"\xff" * 12, b"\xbf" + b"\xff" * 11, b"0000000000x\0", b"-0000000001\0", b"00000_00001\0"]
)
def test_senseless_sizes_are_corrupt(tmp_path: Path, size: bytes) -> None:
    assert "size" in refusal(tmp_path, tar_header(size=size) + END).message


def test_a_signed_checksum_is_accepted(tmp_path: Path) -> None:
    assert names(tmp_path, tar_header("ümläut".encode(), signed=True) + END) == ["ümläut".encode()]


def test_a_wrong_checksum_is_corrupt_and_says_where(tmp_path: Path) -> None:
    broken = bytearray(tar_header(b"b"))
    broken[0] ^= 1

    failure = refusal(tmp_path, tar_file(b"a", b"x") + bytes(broken) + END)

    assert "at byte 1024" in failure.message
    assert "checksum" in failure.message


def test_garbage_is_corrupt(tmp_path: Path) -> None:
    refusal(tmp_path, b"<html><body>404 not found</body></html>")
    refusal(tmp_path, random.Random(5).randbytes(5_000))


def test_an_entry_after_a_single_zero_block_is_corrupt(tmp_path: Path) -> None:
    refusal(tmp_path, tar_file(b"a", b"x") + bytes(BLOCK) + tar_file(b"b", b"x") + END)


def test_a_cut_archive_is_corrupt_unless_cut_between_entries(tmp_path: Path) -> None:
    stream = tar_file(b"a", b"x" * 700) + long_name(b"n" * 200) + tar_file(b"b", b"y" * 512)
    whole = {0, 512 + 700, 1536, 1536 + 1024, len(stream)}
    # Cut within padding, nothing is missing; after a long name, as after any header, an archive may end.
    whole |= set(range(512 + 700, 1537)) | set(range(1536 + 512 + 201, 1536 + 1025))

    for cut in range(0, len(stream), 13):
        if cut not in whole:
            refusal(tmp_path, stream[:cut])


def test_a_size_beyond_the_end_is_corrupt_without_reading_it(tmp_path: Path) -> None:
    stream = tar_header(size=b"\x80" + (1 << 60).to_bytes(11, "big")) + bytes(600)

    assert "missing" in refusal(tmp_path, stream).message


@pytest.mark.parametrize("flag", [b"x", b"g", b"L", b"K"])
def test_an_extended_header_beyond_its_limit_is_corrupt(tmp_path: Path, flag: bytes) -> None:
    refusal(tmp_path, tar_header(flag=flag, size=1 << 40))


def test_a_name_beyond_its_limit_is_corrupt(tmp_path: Path) -> None:
    refusal(tmp_path, long_name(b"n" * 101) + tar_header() + END, LayerLimits(path_bytes=100))


@pytest.mark.parametrize("flag", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_kinds_without_content_have_none_whatever_their_size_says(tmp_path: Path, flag: bytes) -> None:
    stream = tar_header(b"odd", flag=flag, size=5_000) + tar_header(b"next") + END

    assert names(tmp_path, stream) == [b"odd", b"next"]


@pytest.mark.parametrize(
    ("flag", "name", "kind"),
    [
        (b"0", b"a", EntryKind.FILE),
        (b"\0", b"a", EntryKind.FILE),
        (b"\0", b"a/", EntryKind.DIRECTORY),
        (b"7", b"a", EntryKind.FILE),
        (b"1", b"a", EntryKind.HARD_LINK),
        (b"2", b"a", EntryKind.SYMBOLIC_LINK),
        (b"3", b"a", EntryKind.OTHER),
        (b"4", b"a", EntryKind.OTHER),
        (b"5", b"a", EntryKind.DIRECTORY),
        (b"6", b"a", EntryKind.OTHER),
        (b"Z", b"a", EntryKind.FILE),
    ],
)
def test_kinds(tmp_path: Path, flag: bytes, name: bytes, kind: EntryKind) -> None:
    assert walked(tmp_path, tar_header(name, flag=flag) + END)[0][0].kind is kind


def test_an_old_sparse_file_is_told_as_such_and_skipped(tmp_path: Path) -> None:
    head = bytearray(tar_header(b"sparse", flag=b"S", size=512, magic=b"ustar  \0"))
    head[482] = 1
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    more, last = bytes(504) + b"\1" + bytes(7), bytes(BLOCK)
    stream = bytes(head) + more + last + bytes(512) + tar_header(b"next") + END

    (sparse, _), (following, _) = walked(tmp_path, stream)

    assert (sparse.kind, sparse.path) == (EntryKind.SPARSE_FILE, b"sparse")
    assert following.path == b"next"


def test_a_pax_sparse_file_has_its_real_name(tmp_path: Path) -> None:
    records = ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.name", b"real"), (b"GNU.sparse.realsize", b"99999"))
    stream = pax_header(*records) + tar_file(b"GNUSparseFile.0/real", b"0\n") + tar_header(b"next") + END

    (sparse, _), (following, _) = walked(tmp_path, stream)

    assert (sparse.kind, sparse.path) == (EntryKind.SPARSE_FILE, b"real")
    assert (following.kind, following.path) == (EntryKind.FILE, b"next")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_damage_ends_in_entries_or_a_reason(data: st.DataObject) -> None:
    stream = bytearray(
        pax_header((b"path", b"p" * 120))
        + tar_file(b"a", b"x" * 600)
        + long_name(b"n" * 130)
        + tar_header(b"l", flag=b"2", target=b"t")
        + tar_header(b"s", flag=b"S")
        + END
    )
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(stream) - 8))
        change = data.draw(st.binary(min_size=1, max_size=8))
        stream[place : place + len(change)] = change
    for start in range(0, len(stream) - BLOCK, BLOCK):  # right checksums let the damage through to the parser
        block = stream[start : start + BLOCK]
        if data.draw(st.booleans()):
            block[148:156] = b" " * 8
            stream[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    with tempfile.TemporaryDirectory() as folder:
        try:
            walked(Path(folder), bytes(stream))
        except ScanFailure as failure:
            assert failure.why is Reason.LAYER_CORRUPT
