"""A fix of an index on real parts: each platform is fixed, or left and said so."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from services.fixer.order import FixOrder, FixResult
from services.fixer.reports import ScannedImage
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.platform import Platform, parse_platform
from services.lab.apt import apt_repository, serve_files, signing_key
from services.lab.fix_image import SUITE, fix_image, new_packages, old_packages
from services.lab.image import BuiltImage, BuiltIndex, build_index
from services.lab.push import push_image
from tests.builders.fixing import REPOSITORY, TAG, PlayedProgress, PlayedReports, a_fix, an_order, reported
from tests.builders.pushing import a_push
from tests.registries import StartRegistry

KEY = signing_key("archive")
NAMES = ["linux/amd64", "linux/arm/v7", "linux/arm64/v8"]
MENDED = {deb.name: deb.version for deb in new_packages() if deb.name != "zlib1g"}


class SeenReports(PlayedReports):
    """Knows the digests of fixed platforms as a scan would: from the index that was pushed."""

    def __init__(self, platforms: Sequence[str], access: RegistryAccess) -> None:
        super().__init__({each: reported(old_packages(), MENDED, platform=each) for each in platforms})
        self.access = access

    async def after(self, order: FixOrder, *, tag: str, digest: Digest, request_id: str) -> ScannedImage:
        async with a_push(self.access, repository=REPOSITORY) as client:
            index = json.loads((await client.source.manifest(digest)).content)
        for child in index["manifests"]:
            parts = child["platform"]
            name = "/".join(filter(None, (parts["os"], parts["architecture"], parts.get("variant", ""))))
            self.digests.setdefault(name, child["digest"])
        return await super().after(order, tag=tag, digest=digest, request_id=request_id)


def claims(image: BuiltImage, platform: Platform) -> BuiltImage:
    """The image as an index lists it; what its own configuration says stays."""
    return dataclasses.replace(image, platform=platform)


async def fixed(
    start: StartRegistry,
    folder: Path,
    make: Callable[[str], BuiltIndex],
    platforms: Sequence[str],
    *,
    image_bytes: int = 1 << 30,
) -> tuple[FixResult, list[dict[str, object]]]:
    """Fixes an index of which these platforms were scanned; returns the list of the new one, too."""
    files = apt_repository(new_packages(), KEY, suite=SUITE)
    async with start() as registry, serve_files(files) as address:
        index = make(address)
        await push_image(registry.access, REPOSITORY, TAG, index)
        reports = SeenReports(platforms, registry.access)
        async with a_fix(folder, registry.access, reports, KEY, image_bytes=image_bytes) as fix:
            result = await fix.run(an_order(index.digest), PlayedProgress())
        async with a_push(registry.access, repository=REPOSITORY) as client:
            content = (await client.source.manifest(result.digest)).content
    return result, json.loads(content)["manifests"]


def three(address: str) -> BuiltIndex:
    bare = fix_image(address)
    return build_index([claims(bare, parse_platform(name)) for name in NAMES], attestations=True)


async def test_platforms_are_those_that_the_index_names(each_registry: StartRegistry, tmp_path: Path) -> None:
    """Configurations often tell no variant, and platforms may share one image: runtimes go by the index."""
    result, listed = await fixed(each_registry, tmp_path, three, NAMES)
    assert [str(each.platform) for each in result.platforms] == NAMES
    assert all(each.fixed_digest and not each.left for each in result.platforms)
    assert [each["digest"] for each in listed] == [each.fixed_digest for each in result.platforms]
    assert result.whole


async def test_a_platform_that_was_not_scanned_is_left_and_the_fix_is_not_whole(
    each_registry: StartRegistry, tmp_path: Path
) -> None:
    result, _ = await fixed(each_registry, tmp_path, three, NAMES[:1])
    assert [each.left for each in result.platforms] == ["", "PLATFORM_NOT_SCANNED", "PLATFORM_NOT_SCANNED"]
    assert not result.whole


def two(address: str) -> BuiltIndex:
    first, other = fix_image(address), fix_image(f"{address}/")
    return build_index([claims(first, parse_platform(NAMES[0])), claims(other, parse_platform(NAMES[1]))])


async def test_the_bound_on_disk_holds_for_all_platforms_together(
    each_registry: StartRegistry, tmp_path: Path
) -> None:
    size = sum(len(layer.content) for layer in fix_image("http://127.0.0.1:10000").layers)
    result, _ = await fixed(each_registry, tmp_path, two, NAMES[:2], image_bytes=size + size // 2)
    assert [each.left for each in result.platforms] == ["", "IMAGE_TOO_LARGE"]
    assert not result.whole
