"""OCI image layouts on disk: found by tag or digest, verified, and never left."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.reference import parse_reference
from services.kernel.reasons import Reason, ScanFailure
from services.lab.image import LINUX_ARM64, Built, BuiltIndex, build_index, write_layout
from services.registry.interface import ImageIndex
from services.registry.limits import ImageLimits, SourceSettings
from services.registry.resolve import ResolvedImage, resolve
from services.scanner.images.files import Folder
from services.scanner.images.layout import ONLY_IMAGE, LayoutSource
from services.scanner.images.open import name_in_source, open_source
from tests.builders.images import an_image, layer_descriptor, read_blob

IMAGE = an_image("one")


def layout(directory: Path, images: dict[str, Built]) -> LayoutSource:
    write_layout(directory, images)
    return LayoutSource(Folder(directory), ImageLimits())


def blob_file(directory: Path, digest: Digest) -> Path:
    return directory / "blobs" / "sha256" / digest.removeprefix("sha256:")


async def failure_of(source: LayoutSource, reference: str) -> ScanFailure:
    with pytest.raises(ScanFailure) as caught:
        await resolve(source, reference, None)
    return caught.value


async def test_image_is_found_by_tag_and_by_digest(tmp_path: Path) -> None:
    source = layout(tmp_path, {"1.0": IMAGE, "2.0": an_image("two")})

    by_tag = await resolve(source, "1.0", None)
    by_digest = await resolve(source, IMAGE.digest, None)

    assert isinstance(by_tag, ResolvedImage)
    assert by_tag == by_digest
    assert (await source.head("1.0")).digest == IMAGE.digest


@pytest.mark.parametrize("tag", ["", "1.0"])
async def test_only_image_needs_no_tag(tmp_path: Path, tag: str) -> None:
    source = layout(tmp_path, {tag: IMAGE})

    assert (await source.manifest(ONLY_IMAGE)).digest == IMAGE.digest


async def test_reference_of_the_command_line_is_opened(tmp_path: Path) -> None:
    write_layout(tmp_path, {"1.0": IMAGE})
    for text in (f"oci:{tmp_path}", f"oci:{tmp_path}:1.0"):
        reference = parse_reference(text)
        async with open_source(reference, None, SourceSettings()) as source:
            assert (await source.manifest(name_in_source(reference))).digest == IMAGE.digest


async def test_children_of_an_index_are_found_though_the_layout_does_not_list_them(tmp_path: Path) -> None:
    index = build_index([IMAGE, an_image("arm", platform=LINUX_ARM64)])
    source = layout(tmp_path, {"multi": index})

    resolved = await resolve(source, "multi", None)
    assert isinstance(resolved, ImageIndex)
    for child in resolved.children:
        assert isinstance(await resolve(source, child.descriptor.digest, None), ResolvedImage)


async def test_blob_comes_back_byte_for_byte(tmp_path: Path) -> None:
    source = layout(tmp_path, {"1.0": IMAGE})
    layer = IMAGE.layers[0]

    assert await read_blob(source, layer_descriptor(layer)) == layer.content


async def test_missing_choice_names_the_tags(tmp_path: Path) -> None:
    source = layout(tmp_path, {"1.0": IMAGE, "2.0": an_image("two")})

    for reference in (ONLY_IMAGE, "3.0"):
        failure = await failure_of(source, reference)
        assert failure.why is Reason.IMAGE_NOT_FOUND
        assert "1.0, 2.0" in failure.hint


async def test_empty_layout_and_missing_digest_are_not_found(tmp_path: Path) -> None:
    source = layout(tmp_path, {})

    for reference in (ONLY_IMAGE, digest_of(b"lost")):
        assert (await failure_of(source, reference)).why is Reason.IMAGE_NOT_FOUND


async def test_folder_that_is_no_layout_is_named(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "missing", Path("/dev/null")):
        failure = await failure_of(LayoutSource(Folder(directory), ImageLimits()), "1.0")
        assert failure.why is Reason.IMAGE_NOT_FOUND
        assert str(directory) in failure.message


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("oci-layout", b"{}", Reason.MANIFEST_INVALID),
        ("oci-layout", b'{"imageLayoutVersion": "9.0"}', Reason.MANIFEST_INVALID),
        ("index.json", b"[", Reason.MANIFEST_INVALID),
        ("index.json", b'{"manifests": [{"digest": "sha256:../../x", "size": 1}]}', Reason.MANIFEST_INVALID),
        ("index.json", b'{"manifests": null}', Reason.IMAGE_NOT_FOUND),
        ("index.json", b" " * (4 << 20) + b"{}", Reason.MANIFEST_TOO_LARGE),
    ],
)
async def test_broken_layout_has_its_reason(tmp_path: Path, name: str, content: bytes, why: Reason) -> None:
    source = layout(tmp_path, {"1.0": IMAGE})
    (tmp_path / name).write_bytes(content)

    assert (await failure_of(source, ONLY_IMAGE)).why is why


async def test_altered_or_shortened_blobs_are_mismatches(tmp_path: Path) -> None:
    source = layout(tmp_path, {"1.0": IMAGE})
    layer = IMAGE.layers[0]
    for content in (layer.content[:-1], b"x" + layer.content[1:], layer.content + b"more"):
        blob_file(tmp_path, layer.digest).write_bytes(content)
        with pytest.raises(ScanFailure) as caught:
            await read_blob(source, layer_descriptor(layer))
        assert caught.value.why is Reason.DIGEST_MISMATCH

    blob_file(tmp_path, IMAGE.digest).write_bytes(b"y" + IMAGE.manifest[1:])
    assert (await failure_of(source, "1.0")).why is Reason.DIGEST_MISMATCH


async def test_missing_blob_has_its_own_reason(tmp_path: Path) -> None:
    source = layout(tmp_path, {"1.0": IMAGE})
    blob_file(tmp_path, IMAGE.layers[0].digest).unlink()

    with pytest.raises(ScanFailure) as caught:
        await read_blob(source, layer_descriptor(IMAGE.layers[0]))
    assert caught.value.why is Reason.BLOB_NOT_FOUND


async def test_link_out_of_the_layout_is_refused_and_one_inside_is_not(tmp_path: Path) -> None:
    source = layout(tmp_path / "layout", {"1.0": IMAGE})
    file = blob_file(tmp_path / "layout", IMAGE.digest)
    file.rename(tmp_path / "outside")
    file.symlink_to(tmp_path / "outside")
    assert (await failure_of(source, "1.0")).why is Reason.MANIFEST_INVALID

    (tmp_path / "outside").rename(tmp_path / "layout" / "inside")
    file.unlink()
    file.symlink_to(tmp_path / "layout" / "inside")
    assert isinstance(await resolve(source, "1.0", None), ResolvedImage)


async def test_named_pipe_and_folder_in_place_of_a_file_do_not_hang(tmp_path: Path) -> None:
    source = layout(tmp_path, {"1.0": IMAGE})
    file = blob_file(tmp_path, IMAGE.digest)
    file.unlink()
    os.mkfifo(file)
    assert (await failure_of(source, "1.0")).why is Reason.MANIFEST_INVALID

    file.unlink()
    file.mkdir()
    assert (await failure_of(source, "1.0")).why in (Reason.MANIFEST_INVALID, Reason.IMAGE_NOT_FOUND)


async def test_one_tag_for_two_images_is_refused(tmp_path: Path) -> None:
    source = layout(tmp_path, {"1.0": IMAGE, "2.0": an_image("two")})
    index = msgspec.json.decode((tmp_path / "index.json").read_bytes())
    for entry in index["manifests"]:
        entry["annotations"] = {"org.opencontainers.image.ref.name": "same"}
    (tmp_path / "index.json").write_bytes(msgspec.json.encode(index))

    failure = await failure_of(source, "same")
    assert "2 different images" in failure.message


def test_layout_of_an_index_holds_everything(tmp_path: Path) -> None:
    index = build_index([IMAGE], attestations=True)
    write_layout(tmp_path, {"multi": index})

    assert isinstance(index, BuiltIndex)
    assert len(list((tmp_path / "blobs" / "sha256").iterdir())) == 1 + 1 + 2 + 3
