"""A fix on real parts, from an order to a tag that was proven, and everything that may go wrong on the way."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pysequoia import Tsk

from services.fixer.failure import FixFailure, FixReason
from services.fixer.fix import Fix
from services.fixer.image.original import original_of
from services.fixer.order import FixResult, Pushed, Stage, Verdict
from services.fixer.plan.outcome import NotFixable
from services.kernel.model.digest import digest_of
from services.kernel.reasons import ScanFailure
from services.lab.apt import apt_repository, serve_files, signing_key
from services.lab.fix_image import SUITE, fix_image, new_packages, old_packages
from services.lab.image import BuiltImage, build_image
from services.lab.layer import LayerBuilder
from services.lab.push import push_image
from services.registry.interface import RawManifest
from services.registry.referrers import referrers
from tests.builders.fixing import (
    REPOSITORY,
    TAG,
    PlayedProgress,
    PlayedReports,
    a_fix,
    an_order,
    reported,
)
from tests.builders.images import an_image
from tests.builders.pushing import a_push
from tests.registries import RunningRegistry, StartRegistry

KEY = signing_key("archive")
MENDED = {deb.name: deb.version for deb in new_packages()} | {"zlib1g": ""}


@dataclasses.dataclass
class Scene:
    """Everything in its place: tests change one thing."""

    fix: Fix
    registry: RunningRegistry
    files: dict[str, bytes]
    """Of the repository, by path."""
    image: BuiltImage
    reports: PlayedReports
    progress: PlayedProgress

    async def run(self, *, overwrite: bool = False, findings: tuple[str, ...] = ()) -> FixResult:
        order = an_order(self.image.digest, overwrite=overwrite, findings=findings)
        return await self.fix.run(order, self.progress)

    async def failure(self, *, overwrite: bool = False) -> str:
        """Returns why it failed, having seen that no tag was written."""
        with pytest.raises((FixFailure, ScanFailure)) as caught:
            await self.run(overwrite=overwrite)
        assert caught.value.message
        assert await self.tag(TAG) == self.image.digest
        assert await self.tag(f"{TAG}_fixd") == ""
        return caught.value.reason

    async def tag(self, tag: str) -> str:
        async with a_push(self.registry.access, repository=REPOSITORY) as client:
            try:
                return (await client.source.head(tag)).digest
            except ScanFailure:
                return ""

    async def put(self, tag: str, image: BuiltImage) -> None:
        await push_image(self.registry.access, REPOSITORY, tag, image)


@asynccontextmanager
async def a_scene(
    start: StartRegistry,
    folder: Path,
    *,
    image: BuiltImage | None = None,
    key: Tsk = KEY,
    trusted: Tsk = KEY,
    valid: timedelta = timedelta(days=7),
) -> AsyncIterator[Scene]:
    files = apt_repository(new_packages(), key, suite=SUITE, valid=valid)
    async with start() as registry, serve_files(files) as address:
        image = image or fix_image(address)
        await push_image(registry.access, REPOSITORY, TAG, image)
        reports = PlayedReports({"linux/amd64": reported(old_packages(), MENDED)})
        async with a_fix(folder, registry.access, reports, trusted) as fix:
            yield Scene(
                fix=fix, registry=registry, files=files, image=image, reports=reports, progress=PlayedProgress()
            )


async def test_an_image_is_fixed_under_a_tag_of_its_own_and_proven(
    each_registry: StartRegistry, tmp_path: Path
) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        result = await scene.run()

        assert (result.tag, result.backup_tag) == (f"{TAG}_fixd", "")
        assert await scene.tag(TAG) == scene.image.digest
        assert await scene.tag(f"{TAG}_fixd") == result.digest
        outcomes = {each.finding.package: each for each in result.platforms[0].outcomes}
        assert outcomes.pop("zlib1g").why is NotFixable.NO_FIXED_VERSION
        assert {each.verdict for each in outcomes.values()} == {Verdict.FIXED}
        assert not result.whole
        assert scene.progress.stages == [
            Stage.PLANNING,
            Stage.FETCHING,
            Stage.BUILDING,
            Stage.PUSHING,
            Stage.PROVING,
        ]
        async with a_push(scene.registry.access, repository=REPOSITORY) as client:
            attached = {each.descriptor.digest for each in await referrers(client, result.digest)}
        assert attached == set(result.attached.values())
        assert len(attached) == 2


async def test_the_same_fix_gives_the_same_image(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        first = await scene.run()
        scene.progress = PlayedProgress()
        again = await scene.run()
    assert again.digest == first.digest
    assert again.attached == first.attached


async def test_a_fix_is_built_from_the_original_and_never_upon_a_fix(
    each_registry: StartRegistry, tmp_path: Path
) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        first = await scene.run(overwrite=True)
        scene.progress = PlayedProgress()
        again = await scene.fix.run(an_order(first.digest, overwrite=True), scene.progress)
        assert again.digest == first.digest
        assert {each.digest for each in scene.reports.asked} == {scene.image.digest}


async def test_what_somebody_built_upon_a_fix_is_no_fix(each_registry: StartRegistry, tmp_path: Path) -> None:
    """Tools that add a layer keep the mark: to go back to the original would drop the layer."""
    async with a_scene(each_registry, tmp_path) as scene:
        first = await scene.run(overwrite=True)
        async with a_push(scene.registry.access, repository=REPOSITORY) as client:
            document = json.loads((await client.source.manifest(first.digest)).content)
            document["layers"].append(document["layers"][-1])
            content = json.dumps(document).encode()
            more = RawManifest(media_type=document["mediaType"], digest=digest_of(content), content=content)
            await client.put_manifest(more, TAG)
            assert (await original_of(client.source, TAG)).digest == more.digest
            assert (await original_of(client.source, first.digest)).digest == scene.image.digest


async def test_a_tag_that_is_written_over_is_kept_and_can_be_put_back(
    each_registry: StartRegistry, tmp_path: Path
) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        result = await scene.run(overwrite=True)
        assert await scene.tag(TAG) == result.digest != scene.image.digest
        assert await scene.tag(result.backup_tag) == scene.image.digest == result.previous

        assert await scene.fix.revert(an_order(scene.image.digest), result) == scene.image.digest

        assert await scene.tag(TAG) == scene.image.digest


async def test_only_what_is_named_is_fixed(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        named = next(
            each.id
            for each in scene.reports.before["linux/amd64"].findings
            if each.package and each.package.name == "openssl"
        )
        result = await scene.run(findings=(named,))
        upgrades = {each.installed.name for each in result.platforms[0].upgrades}
    assert upgrades == {"openssl", "libssl3"}, "its sibling of one source goes along"
    assert result.whole


async def test_a_finding_that_is_still_there_is_not_called_fixed(
    each_registry: StartRegistry, tmp_path: Path
) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        stubborn = scene.reports.before["linux/amd64"].findings[0]
        scene.reports.findings_after = (stubborn.id,)
        result = await scene.run()
    still = [each.finding.id for each in result.platforms[0].outcomes if each.verdict is Verdict.STILL_PRESENT]
    assert still == [stubborn.id]


async def test_a_preview_says_the_same_and_writes_nothing(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        plan = await scene.fix.preview(an_order(scene.image.digest))
        assert await scene.tag(f"{TAG}_fixd") == ""
        result = await scene.run()
    assert plan.platforms[0].upgrades == result.platforms[0].upgrades
    assert plan.platforms[0].outcomes == result.platforms[0].outcomes


async def test_a_crash_after_the_push_is_gone_on_from(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        first = await scene.run(overwrite=True)
        again = await scene.run(overwrite=True)  # the same progress: what was noted is known
        assert (again.digest, again.previous, again.backup_tag) == (
            first.digest,
            scene.image.digest,
            first.backup_tag,
        )


# Bad input: each ends as FAILED with its reason, nothing pushed, nothing written over.


@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_tampered_package(each_registry: StartRegistry, tmp_path: Path, *, overwrite: bool) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        path = next(each for each in scene.files if each.endswith(".deb"))
        scene.files[path] = scene.files[path][:-1] + bytes([scene.files[path][-1] ^ 1])
        assert await scene.failure(overwrite=overwrite) == "PACKAGE_TAMPERED"


async def test_a_tampered_index(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        for path in [each for each in scene.files if "Packages" in each]:
            scene.files[path] = scene.files[path][:-1] + bytes([scene.files[path][-1] ^ 1])
        assert await scene.failure() == "INDEX_TAMPERED"


async def test_a_changed_signed_part(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        release = f"dists/{SUITE}/InRelease"
        scene.files[release] = scene.files[release].replace(b"Origin: Drydock", b"Origin: Somebody")
        assert await scene.failure() == "INDEX_SIGNATURE_INVALID"


async def test_an_index_without_a_signature(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        scene.files[f"dists/{SUITE}/Release"] = b"Suite: bookworm-security\n"
        del scene.files[f"dists/{SUITE}/InRelease"]
        assert await scene.failure() == "INDEX_UNSIGNED"


async def test_an_expired_index(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path, valid=timedelta(days=-1)) as scene:
        assert await scene.failure() == "INDEX_EXPIRED"


async def test_a_key_that_nobody_trusts(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path, key=signing_key("stranger")) as scene:
        assert await scene.failure() == "INDEX_KEY_UNKNOWN"


async def test_a_repository_that_goes_down_in_mid_download(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        for path in [each for each in scene.files if each.endswith(".deb")][1:]:
            scene.files[path] = scene.files[path][: len(scene.files[path]) // 2]
        assert await scene.failure() == "REPOSITORY_UNREACHABLE"


async def test_a_repository_that_is_not_there(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path, image=fix_image("http://127.0.0.1:1")) as scene:
        assert await scene.failure() == "REPOSITORY_UNREACHABLE"


async def test_a_repository_at_an_address_that_is_not_to_be_asked(
    each_registry: StartRegistry, tmp_path: Path
) -> None:
    async with a_scene(each_registry, tmp_path, image=fix_image("http://169.254.169.254/debian")) as scene:
        assert await scene.failure() == "REPOSITORY_REFUSED"


async def test_a_disk_that_is_full(
    each_registry: StartRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        monkeypatch.setattr("services.fixer.repositories.shelf.os.link", _full)
        assert await scene.failure() == "DISK_FULL"


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


async def test_an_unknown_package_manager(each_registry: StartRegistry, tmp_path: Path) -> None:
    bare = build_image([LayerBuilder().directory("etc").file("etc/os-release", "ID=arch\n").build()])
    async with a_scene(each_registry, tmp_path, image=bare) as scene:
        assert await scene.failure() == "SYSTEM_UNKNOWN"


async def test_a_corrupt_package_database(each_registry: StartRegistry, tmp_path: Path) -> None:
    layer = LayerBuilder().directory("etc").directory("var").directory("var/lib").directory("var/lib/dpkg")
    layer.file("etc/os-release", 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n')
    layer.file("var/lib/dpkg/status", b"Package: libc6\n\x00\x01 nonsense\nVersion\n\n\n:::")
    async with a_scene(each_registry, tmp_path, image=build_image([layer.build()])) as scene:
        assert await scene.failure() == "DATABASE_CORRUPT"


async def test_a_tag_that_moved_before_the_fix(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        other = an_image()
        await scene.put(TAG, other)
        with pytest.raises(FixFailure) as caught:
            await scene.run(overwrite=True)
        assert caught.value.why is FixReason.TAG_MOVED
        assert await scene.tag(TAG) == other.digest


async def test_a_tag_that_moves_right_before_it_is_written(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        other = an_image()

        class Busy(PlayedProgress):
            async def about_to_push(self, pushed: Pushed) -> None:
                await super().about_to_push(pushed)
                await scene.put(TAG, other)

        scene.progress = Busy()
        with pytest.raises(FixFailure) as caught:
            await scene.run(overwrite=True)
        assert caught.value.why is FixReason.TAG_MOVED
        assert await scene.tag(TAG) == other.digest


async def test_a_tag_that_somebody_else_has(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        other = an_image()
        await scene.put(f"{TAG}_fixd", other)
        with pytest.raises(FixFailure) as caught:
            await scene.run()
        assert caught.value.why is FixReason.TAG_TAKEN
        assert await scene.tag(f"{TAG}_fixd") == other.digest


async def test_nothing_that_packages_could_mend(each_registry: StartRegistry, tmp_path: Path) -> None:
    async with a_scene(each_registry, tmp_path) as scene:
        scene.reports.before = {"linux/amd64": reported(old_packages(), {"zlib1g": ""})}
        assert await scene.failure() == "NOTHING_TO_FIX"
