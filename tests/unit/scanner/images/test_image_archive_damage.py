"""Archives of images that are hostile or damaged: a reason, and never out of bounds."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.model.digest import digest_of
from services.kernel.model.reference import parse_reference
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor
from services.registry.limits import SourceSettings
from services.registry.resolve import ResolvedImage
from services.scanner.images import archive as archive_module
from services.scanner.images.docker_archive import full_name
from services.scanner.images.open import open_source
from tests.builders.archives import (
    docker_archive,
    docker_files,
    failure_of,
    resolved,
    saved,
    tar_of,
)
from tests.builders.images import an_image, layer_descriptor, read_blob
from tests.builders.tars import BLOCK, END, long_name, pax_header, tar_file, tar_header

OTHER = an_image("other")


def with_config(entry: bytes) -> bytes:
    """A docker archive whose configuration `config` is this tar entry."""
    files = docker_files({"a:1": OTHER}, plain=True)
    document = msgspec.json.decode(files["manifest.json"])
    document[0]["Config"] = "config"
    return entry + tar_of(files | {"manifest.json": msgspec.json.encode(document)})


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (tar_header(b"config", flag=b"2", target=b"../../etc/passwd"), "leads out"),
        (tar_header(b"config", flag=b"2", target=b"/etc/passwd"), "leads out"),
        (tar_header(b"config", flag=b"1", target=b"../etc/passwd"), "leads out"),
        (tar_header(b"config", flag=b"2", target=b"config"), "links"),
        (
            tar_header(b"a", flag=b"2", target=b"config") + tar_header(b"config", flag=b"1", target=b"a"),
            "links",
        ),
        (tar_header(b"config", flag=b"5"), "no regular file"),
        (tar_header(b"config", flag=b"6"), "no regular file"),
        (tar_file(b"config", b"{}") + tar_file(b"config", b"[]"), "more than once"),
        (tar_file(b"config", b"{}") + tar_file(b"x/../config", b"[]"), "more than once"),
        (tar_file(b"config", b"{}") + tar_header(b"config", flag=b"5"), "more than once"),
        (pax_header((b"GNU.sparse.major", b"1")) + tar_file(b"config", b"1\n0\n5\n"), "sparse"),
        (tar_header(b"config", flag=b"S"), "sparse"),
    ],
)
async def test_configuration_that_is_no_honest_file_is_refused(tmp_path: Path, entry: bytes, told: str) -> None:
    failure = await failure_of(f"docker-archive:{saved(tmp_path, with_config(entry))}")

    assert failure.why is Reason.ARCHIVE_INVALID
    assert told in failure.message


async def test_names_that_lead_out_of_the_archive_are_not_in_it(tmp_path: Path) -> None:
    outside = tar_file(b"../manifest.json", b"[]") + tar_file(b"../../etc/cron.d/x", b"* * * * *")
    path = saved(tmp_path, outside + tar_of(docker_files({"a:1": OTHER})))

    assert isinstance(await resolved(f"docker-archive:{path}"), ResolvedImage)
    assert [each.name for each in tmp_path.iterdir()] == ["image.tar"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "manifest.json is not there"),
        (b"no tar at all" * 100, "no tar header"),
        (tar_header(b"big", size=1 << 40), "is missing"),
        (tar_file(b"x", b"content")[:-BLOCK], "is missing"),
        (tar_header(b"x")[:-1], "cut off"),
        (tar_header(b"x", size=b"99999999999\0"), "no valid size"),
        (long_name(b"n" * 5000) + tar_file(b"x", b""), "name of more than"),
        (long_name(b"n" * 100_000) + tar_file(b"x", b""), "extended header"),
        (gzip.compress(b"x" * 1000, mtime=0), "compressed with gzip"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "compressed with zstd"),
    ],
)
@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
async def test_file_that_is_no_whole_tar_is_refused(tmp_path: Path, kind: str, content: bytes, told: str) -> None:
    failure = await failure_of(f"{kind}:{saved(tmp_path, content)}")

    assert failure.why in (Reason.ARCHIVE_INVALID, Reason.IMAGE_NOT_FOUND)
    assert told in failure.message.replace("oci-layout", "manifest.json")
    assert "image.tar" in failure.message


async def test_truncation_anywhere_is_a_failure_with_a_reason(tmp_path: Path) -> None:
    whole = tar_of(docker_files({"a:1": OTHER}))
    expected = await resolved(f"docker-archive:{saved(tmp_path, whole)}")
    for length in range(0, len(whole), 97):
        path = saved(tmp_path, whole[:length])
        try:
            found = await resolved(f"docker-archive:{path}")
        except ScanFailure as failure:
            assert failure.why in (Reason.ARCHIVE_INVALID, Reason.IMAGE_NOT_FOUND, Reason.MANIFEST_INVALID)
        else:
            assert found == expected
            assert length >= len(whole) - len(END) - BLOCK


async def test_archive_of_endless_headers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "_HEADER_BYTES", 64 << 10)
    monkeypatch.setattr(archive_module, "_MEMBERS", 50)
    members = b"".join(tar_header(b"%d" % number) for number in range(60))
    extended = pax_header((b"comment", b"x")) * 100

    assert "more than 50 files" in (await failure_of(f"oci-archive:{saved(tmp_path, members)}")).message
    assert "headers have" in (await failure_of(f"oci-archive:{saved(tmp_path, extended)}")).message


async def test_what_is_no_file_is_refused_without_hanging(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert (await failure_of(f"docker-archive:{tmp_path}/pipe")).why is Reason.ARCHIVE_INVALID
    assert (await failure_of(f"docker-archive:{tmp_path}")).why is Reason.ARCHIVE_INVALID
    assert (await failure_of(f"docker-archive:{tmp_path}/missing")).why is Reason.IMAGE_NOT_FOUND


async def test_large_archive_is_neither_read_whole_nor_held_in_memory(tmp_path: Path) -> None:
    size = 64 << 30
    path = tmp_path / "image.tar"
    with path.open("wb") as file:
        file.write(tar_header(b"holes", size=b"\x80" + size.to_bytes(11, "big")))
        file.seek(size, os.SEEK_CUR)
        file.write(tar_of(docker_files({"a:1": OTHER})))

    tracemalloc.start()
    assert isinstance(await resolved(f"docker-archive:{path}"), ResolvedImage)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 32 << 20


async def test_nothing_stays_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    reference = docker_archive(tmp_path, docker_files({"a:1": OTHER}))
    for _ in range(5):
        await resolved(reference)
        await failure_of(f"{reference}:nothing")
        parsed = parse_reference(reference)
        async with open_source(parsed, None, SourceSettings()) as source:
            await source.manifest("")
            async with source.blob(layer_descriptor(OTHER.layers[0])) as chunks:
                await anext(chunks)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_blob_that_no_manifest_named_is_not_found(tmp_path: Path) -> None:
    reference = parse_reference(docker_archive(tmp_path, docker_files({"a:1": OTHER})))
    async with open_source(reference, None, SourceSettings()) as source:
        with pytest.raises(ScanFailure) as caught:
            await read_blob(source, Descriptor(media_type="", digest=digest_of(b"lost"), size=4))

    assert caught.value.why is Reason.BLOB_NOT_FOUND


@given(st.binary(max_size=2000))
async def test_any_bytes_are_a_failure_with_a_reason(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = saved(tmp_path_factory.mktemp("any"), content)
    for kind in ("oci-archive", "docker-archive"):
        failure = await failure_of(f"{kind}:{path}")
        assert failure.why in (Reason.ARCHIVE_INVALID, Reason.IMAGE_NOT_FOUND)


@given(st.dictionaries(st.integers(0, 1 << 14), st.integers(0, 255), max_size=12))
async def test_flipped_bytes_are_found_or_do_no_harm(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[int, int]
) -> None:
    whole = bytearray(tar_of(docker_files({"a:1": OTHER})))
    for position, value in changes.items():
        whole[position % len(whole)] = value
    path = saved(tmp_path_factory.mktemp("flipped"), bytes(whole))
    try:
        await resolved(f"docker-archive:{path}")
    except ScanFailure as failure:
        assert failure.why is not Reason.INTERNAL


@given(st.from_regex(r"[a-z0-9.:/]{1,40}", fullmatch=True))
def test_full_name_of_a_full_name_is_itself(name: str) -> None:
    assert full_name(full_name(name)) == full_name(name)
