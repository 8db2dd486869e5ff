"""Archives of images: found by name, and read where they lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kernel.model.media import DOCKER_LAYER, DOCKER_LAYER_GZIP
from services.kernel.reasons import Reason
from services.lab.image import LINUX_ARM64, build_image, build_index
from services.lab.layer import Compression
from services.registry.interface import ImageIndex
from services.registry.resolve import ResolvedImage
from tests.builders.archives import (
    docker_archive,
    docker_files,
    failure_of,
    layout_files,
    legacy_docker_archive,
    oci_archive,
    resolved,
    saved,
    tar_of,
)
from tests.builders.images import a_layer, an_image
from tests.builders.tars import tar_file, tar_header

IMAGE = an_image("one", "two")
OTHER = an_image("other")
PLAIN = build_image(
    [a_layer("plain", Compression.NONE), a_layer("zip"), a_layer("z", Compression.ZSTD)], docker=True
)


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
