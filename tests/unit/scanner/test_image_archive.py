"""Archives of images: read where they lie, by name, and never out of bounds."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.model.digest import digest_of
from services.kernel.model.media import DOCKER_LAYER, DOCKER_LAYER_GZIP
from services.kernel.model.reference import parse_reference
from services.lab.image import LINUX_ARM64, build_image, build_index
from services.lab.layer import Compression
from services.scanner.images import archive as archive_module
from services.scanner.images.docker_archive import full_name
from services.scanner.images.interface import Descriptor, ImageIndex
from services.scanner.images.limits import ImageLimits, SourceSettings
from services.scanner.images.open import name_in_source, open_source
from services.scanner.pipeline.resolve import ResolvedImage, resolve
from services.scanner.reasons import Reason, ScanFailure
from tests.builders.archives import docker_files, layout_files, legacy_docker_archive, tar_of
from tests.builders.images import a_layer, an_image, layer_descriptor, read_blob
from tests.builders.tars import BLOCK, END, long_name, pax_header, tar_file, tar_header

IMAGE = an_image("one", "two")
OTHER = an_image("other")
PLAIN = build_image(
    [a_layer("plain", Compression.NONE), a_layer("zip"), a_layer("z", Compression.ZSTD)], docker=True
)


async def resolved(reference: str, limits: ImageLimits | None = None) -> ResolvedImage | ImageIndex:
    parsed = parse_reference(reference)
    settings = SourceSettings(limits=limits or ImageLimits())
    async with open_source(parsed, None, settings) as source:
        found = await resolve(source, name_in_source(parsed), None, settings.limits)
        if isinstance(found, ResolvedImage):
            for layer in found.manifest.layers:
                await read_blob(source, layer)
        return found


async def failure_of(reference: str, limits: ImageLimits | None = None) -> ScanFailure:
    with pytest.raises(ScanFailure) as caught:
        await resolved(reference, limits)
    return caught.value


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "image.tar"
    path.write_bytes(content)
    return path


def docker_archive(folder: Path, files: Mapping[str, bytes]) -> str:
    return f"docker-archive:{saved(folder, tar_of(files))}"


def oci_archive(folder: Path, files: Mapping[str, bytes]) -> str:
    return f"oci-archive:{saved(folder, tar_of(files))}"


# OCI


@pytest.mark.parametrize("prefix", ["", "./"])
async def test_oci_archive_is_the_layout_that_it_holds(tmp_path: Path, prefix: str) -> None:
    files = layout_files(tmp_path / "layout", {"1.0": IMAGE, "2.0": OTHER})
    path = saved(tmp_path, tar_of(files, prefix=prefix))

    from_archive = await resolved(f"oci-archive:{path}:1.0")

    assert from_archive == await resolved(f"oci:{tmp_path}/layout:1.0")


async def test_oci_archive_is_searched_by_any_name_that_its_index_has(tmp_path: Path) -> None:
    path = saved(tmp_path, tar_of(layout_files(tmp_path / "l", {"docker.io/library/a:1": IMAGE, "b": OTHER})))

    found = await resolved(f"oci-archive:{path}:docker.io/library/a:1")

    assert isinstance(found, ResolvedImage)
    assert found.manifest.digest == IMAGE.digest
    assert "docker.io/library/a:1" in (await failure_of(f"oci-archive:{path}")).hint


async def test_index_of_an_oci_archive_leads_to_its_platforms(tmp_path: Path) -> None:
    index = build_index([IMAGE, an_image("arm", platform=LINUX_ARM64)])
    path = saved(tmp_path, tar_of(layout_files(tmp_path / "layout", {"multi": index})))

    found = await resolved(f"oci-archive:{path}")

    assert isinstance(found, ImageIndex)
    assert len(found.children) == 2


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("index.json", b"[", Reason.MANIFEST_INVALID),
        ("index.json", b" " * (4 << 20) + b"{}", Reason.MANIFEST_TOO_LARGE),
        ("oci-layout", b"{}", Reason.MANIFEST_INVALID),
    ],
)
async def test_broken_layout_in_an_archive_has_its_reason(
    tmp_path: Path, name: str, content: bytes, why: Reason
) -> None:
    files = layout_files(tmp_path / "layout", {"1.0": IMAGE})

    failure = await failure_of(oci_archive(tmp_path, files | {name: content}))

    assert failure.why is why
    assert "image.tar" in failure.message


async def test_altered_blob_of_an_archive_is_a_mismatch(tmp_path: Path) -> None:
    files = layout_files(tmp_path / "layout", {"1.0": IMAGE})
    blob = f"blobs/{IMAGE.layers[0].digest.replace(':', '/')}"

    failure = await failure_of(oci_archive(tmp_path, files | {blob: b"x" + files[blob][1:]}))

    assert failure.why is Reason.DIGEST_MISMATCH


async def test_blob_that_an_archive_lacks_has_its_reason(tmp_path: Path) -> None:
    files = layout_files(tmp_path / "layout", {"1.0": IMAGE})
    del files[f"blobs/{IMAGE.layers[0].digest.replace(':', '/')}"]

    assert (await failure_of(oci_archive(tmp_path, files))).why is Reason.BLOB_NOT_FOUND


async def test_one_kind_of_archive_taken_for_the_other_is_told(tmp_path: Path) -> None:
    layout = layout_files(tmp_path / "layout", {"1.0": IMAGE})
    docker = docker_files({"a:1": IMAGE}, plain=True)

    assert "oci-archive:FILE" in (await failure_of(docker_archive(tmp_path, layout))).hint
    assert "docker-archive:FILE" in (await failure_of(oci_archive(tmp_path, docker))).hint


# Docker


@pytest.mark.parametrize("plain", [True, False])
async def test_docker_archive_gives_configuration_and_layers(tmp_path: Path, plain: bool) -> None:
    found = await resolved(docker_archive(tmp_path, docker_files({"team/app:1.0": PLAIN}, plain=plain)))

    assert isinstance(found, ResolvedImage)
    assert [layer.digest for layer in found.manifest.layers] == [layer.digest for layer in PLAIN.layers]
    assert [layer.media_type for layer in found.manifest.layers] == [
        DOCKER_LAYER,
        DOCKER_LAYER_GZIP,
        f"{DOCKER_LAYER}.zstd",
    ]
    assert found.config.diff_ids == tuple(layer.diff_id for layer in PLAIN.layers)


async def test_made_manifest_is_the_same_for_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for number, images in enumerate(({"a:1": PLAIN}, {"other:2": OTHER, "b:2": PLAIN})):
        (tmp_path / str(number)).mkdir()
        reference = docker_archive(tmp_path / str(number), docker_files(images, plain=number == 0))
        found = await resolved(f"{reference}:{list(images)[-1]}")
        assert isinstance(found, ResolvedImage)
        digests.add(found.manifest.digest)

    assert len(digests) == 1


async def test_docker_archive_that_is_a_layout_too_is_read_as_either(tmp_path: Path) -> None:
    files = layout_files(tmp_path / "layout", {"1.0": IMAGE}) | docker_files({"team/app:1.0": IMAGE})
    path = saved(tmp_path, tar_of(files))

    as_docker = await resolved(f"docker-archive:{path}:team/app:1.0")
    as_layout = await resolved(f"oci-archive:{path}:1.0")

    assert isinstance(as_docker, ResolvedImage)
    assert isinstance(as_layout, ResolvedImage)
    assert as_layout.manifest.digest == IMAGE.digest != as_docker.manifest.digest
    assert as_docker.config == as_layout.config


async def test_layer_that_is_a_link_to_another_is_read_once_and_counts_twice(tmp_path: Path) -> None:
    twice = build_image([*IMAGE.layers, IMAGE.layers[0]])
    path = saved(tmp_path, legacy_docker_archive(twice, "team/app:1.0", "f00"))

    found = await resolved(f"docker-archive:{path}")

    assert isinstance(found, ResolvedImage)
    assert [layer.digest for layer in found.manifest.layers] == [layer.digest for layer in twice.layers]


async def test_hard_link_inside_the_archive_is_followed(tmp_path: Path) -> None:
    files = docker_files({"a:1": OTHER}, plain=True)
    layer = next(name for name in files if name.endswith(".tar"))
    content = tar_file(b"real", files.pop(layer)) + tar_header(layer.encode(), flag=b"1", target=b"real")
    path = saved(tmp_path, content + tar_of(files))

    assert isinstance(await resolved(f"docker-archive:{path}"), ResolvedImage)


@pytest.mark.parametrize(
    ("asked", "saved_as"),
    [
        ("alpine:3.18", "docker.io/library/alpine:3.18"),
        ("alpine", "alpine:latest"),
        ("docker.io/alpine", "alpine:latest"),
        ("docker.io/team/app:1", "team/app:1"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("@1", "team/app:1"),
    ],
)
async def test_docker_archive_is_searched_by_all_spellings_of_a_name(
    tmp_path: Path, asked: str, saved_as: str
) -> None:
    reference = docker_archive(tmp_path, docker_files({"first:1": OTHER, saved_as: PLAIN}))

    found = await resolved(f"{reference}:{asked}")

    assert isinstance(found, ResolvedImage)
    assert found.config.diff_ids == tuple(layer.diff_id for layer in PLAIN.layers)


@pytest.mark.parametrize("name", ["", ":other:1", ":@7", ":app"])
async def test_several_images_want_a_name_and_the_failure_lists_them(tmp_path: Path, name: str) -> None:
    reference = docker_archive(tmp_path, docker_files({"app:1": OTHER, "app:2": PLAIN}))

    failure = await failure_of(reference + name)

    assert failure.why is Reason.IMAGE_NOT_FOUND
    assert "app:1, app:2" in failure.hint


@pytest.mark.parametrize(
    ("content", "why", "told"),
    [
        (b"{}", Reason.MANIFEST_INVALID, "manifest.json"),
        (b"[" * 5000, Reason.MANIFEST_INVALID, "manifest.json"),
        (b"[" + b" " * (4 << 20) + b"]", Reason.MANIFEST_TOO_LARGE, "manifest.json"),
        (b"[]", Reason.IMAGE_NOT_FOUND, "empty"),
        (b'[{"Config": "nowhere", "Layers": []}]', Reason.MANIFEST_INVALID, "nowhere"),
        (b'[{"Config": "../../etc/passwd", "Layers": []}]', Reason.ARCHIVE_INVALID, "leads out"),
        (b'[{"Config": "/etc/passwd", "Layers": []}]', Reason.MANIFEST_INVALID, "not there"),
        (b'[{"Config": "a\\u0000b", "Layers": []}]', Reason.MANIFEST_INVALID, "not there"),
        (b'[{"Config": "c", "Layers": ' + b'["x"' + b',"x"' * 600 + b"]}]", Reason.TOO_MANY_LAYERS, "601"),
        (b'[{"Config": "big", "Layers": []}]', Reason.CONFIG_INVALID, "larger"),
    ],
)
async def test_list_of_images_that_makes_no_sense_has_its_reason(
    tmp_path: Path, content: bytes, why: Reason, told: str
) -> None:
    files = docker_files({"a:1": OTHER}) | {"manifest.json": content, "big": b" " * (9 << 20)}

    failure = await failure_of(docker_archive(tmp_path, files))

    assert failure.why is why
    assert told in failure.message


# hostile and damaged archives


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
        (gzip.compress(b"x" * 1000), "compressed with gzip"),
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
