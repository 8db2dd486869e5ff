"""Resolving names: platforms, nested indexes, and bounds on both."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from services.kernel.model import media
from services.kernel.model.digest import digest_of
from services.kernel.model.platform import Platform, parse_platform
from services.kernel.reasons import Reason, ScanFailure
from services.lab.image import (
    LINUX_AMD64,
    LINUX_ARM64,
    Built,
    BuiltImage,
    BuiltIndex,
    build_image,
    build_index,
    descriptor,
    write_layout,
)
from services.registry.interface import ImageIndex
from services.registry.limits import ImageLimits
from services.registry.resolve import Resolved, ResolvedImage, fits, resolve
from services.scanner.images.files import Folder
from services.scanner.images.layout import LayoutSource
from tests.builders.images import a_layer, an_image

AMD64, ARM64 = an_image("amd64"), an_image("arm64", platform=LINUX_ARM64)


async def resolved(
    directory: Path, built: Built, platform: Platform | None = None, limits: ImageLimits | None = None
) -> Resolved:
    write_layout(directory, {"tag": built})
    used = limits or ImageLimits()
    return await resolve(LayoutSource(Folder(directory), used), "tag", platform, used)


async def failure_of(
    directory: Path, built: Built, platform: Platform | None = None, limits: ImageLimits | None = None
) -> ScanFailure:
    with pytest.raises(ScanFailure) as caught:
        await resolved(directory, built, platform, limits)
    return caught.value


def index_of(*entries: dict[str, object], children: tuple[Built, ...]) -> BuiltIndex:
    document = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": list(entries)}
    return BuiltIndex(manifest=msgspec.json.encode(document), media_type=media.OCI_INDEX, children=children)


def entry(built: Built, **fields: object) -> dict[str, object]:
    return descriptor(built.media_type, built.manifest) | fields


async def test_platform_is_chosen_from_an_index(tmp_path: Path) -> None:
    found = await resolved(tmp_path, build_index([AMD64, ARM64]), parse_platform("linux/arm64"))

    assert isinstance(found, ResolvedImage)
    assert found.manifest.digest == ARM64.digest
    assert found.config.platform == LINUX_ARM64


async def test_missing_platform_names_those_that_are_there(tmp_path: Path) -> None:
    for built in (build_index([AMD64, ARM64]), AMD64):
        failure = await failure_of(tmp_path, built, parse_platform("linux/s390x"))
        assert failure.why is Reason.PLATFORM_NOT_FOUND
        assert "linux/amd64" in failure.hint


async def test_nested_indexes_are_laid_flat_in_order(tmp_path: Path) -> None:
    riscv = an_image("riscv", platform=Platform(os="linux", architecture="riscv64"))
    found = await resolved(tmp_path, build_index([build_index([ARM64, riscv]), AMD64], attestations=True))

    assert isinstance(found, ImageIndex)
    assert [child.descriptor.digest for child in found.children] == [ARM64.digest, riscv.digest, AMD64.digest]


async def test_second_image_for_a_platform_is_left_out_as_runtimes_do(tmp_path: Path) -> None:
    other_name = build_image([a_layer("other")], Platform(os="linux", architecture="arm64"))
    found = await resolved(tmp_path, build_index([ARM64, other_name, ARM64]))

    assert isinstance(found, ImageIndex)
    assert [child.descriptor.digest for child in found.children] == [ARM64.digest]


async def test_platform_that_the_index_does_not_give_is_read_from_the_image(tmp_path: Path) -> None:
    found = await resolved(tmp_path, index_of(entry(ARM64), children=(ARM64,)))

    assert isinstance(found, ImageIndex)
    assert [child.platform for child in found.children] == [LINUX_ARM64]


@pytest.mark.parametrize(
    "mark",
    [{"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}, {"artifactType": "application/x"}],
)
async def test_an_image_that_is_marked_as_something_else_is_still_the_one_that_runs(
    tmp_path: Path, mark: dict[str, object]
) -> None:
    marked = entry(AMD64) | mark | {"platform": {"os": "linux", "architecture": "amd64"}}
    found = await resolved(tmp_path, index_of(marked, entry(ARM64), children=(AMD64, ARM64)))

    assert isinstance(found, ImageIndex)
    assert [child.descriptor.digest for child in found.children] == [AMD64.digest, ARM64.digest]


async def test_artifact_without_a_platform_beside_an_image_is_left_out(tmp_path: Path) -> None:
    content = msgspec.json.encode(
        {"schemaVersion": 2, "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"), "layers": []}
    )
    artifact = BuiltImage(manifest=content, media_type=media.OCI_MANIFEST, platform=LINUX_AMD64, blobs={})
    found = await resolved(tmp_path, index_of(entry(artifact), entry(AMD64), children=(artifact, AMD64)))
    alone = await failure_of(tmp_path, index_of(entry(artifact), children=(artifact,)))

    assert isinstance(found, ImageIndex)
    assert [child.descriptor.digest for child in found.children] == [AMD64.digest]
    assert alone.why is Reason.EMPTY_INDEX


async def test_nesting_has_a_bottom(tmp_path: Path) -> None:
    built: Built = AMD64
    for _ in range(3):
        built = build_index([built])
    assert isinstance(await resolved(tmp_path, built), ImageIndex)

    assert (await failure_of(tmp_path, build_index([built]))).why is Reason.MANIFEST_INVALID


async def test_children_of_all_nested_indexes_are_counted_together(tmp_path: Path) -> None:
    children = [
        build_index([an_image(str(i), platform=Platform(os="linux", architecture=f"a{i}"))]) for i in range(4)
    ]

    failure = await failure_of(tmp_path, build_index(children), limits=ImageLimits(children=6))

    assert failure.why is Reason.MANIFEST_TOO_LARGE


async def test_index_in_the_place_of_an_image_is_refused(tmp_path: Path) -> None:
    inner = build_index([AMD64])
    lie = descriptor(media.OCI_MANIFEST, inner.manifest) | {"platform": {"os": "linux", "architecture": "amd64"}}

    failure = await failure_of(tmp_path, index_of(lie, children=(inner,)), LINUX_AMD64)

    assert failure.why is Reason.MANIFEST_INVALID


async def test_config_beyond_the_bound_is_not_read(tmp_path: Path) -> None:
    failure = await failure_of(tmp_path, AMD64, limits=ImageLimits(config_bytes=10))

    assert failure.why is Reason.CONFIG_INVALID


async def test_config_that_does_not_fit_the_layers_is_invalid(tmp_path: Path) -> None:
    diff_ids = [digest_of(b"one"), digest_of(b"two")]
    built = build_image([a_layer()], config={"rootfs": {"type": "layers", "diff_ids": diff_ids}})

    assert (await failure_of(tmp_path, built)).why is Reason.CONFIG_INVALID


@pytest.mark.parametrize(
    ("wanted", "offered", "good"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm/v7", "linux/arm", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/amd64", "linux/arm64", False),
    ],
)
def test_platforms_fit_or_do_not(wanted: str, offered: str, good: bool) -> None:
    assert fits(parse_platform(wanted), parse_platform(offered)) is good
