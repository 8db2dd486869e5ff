"""A fix of an image in Alpine's format on real parts: registry, repository over HTTP, worker processes, files."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from services.fixer.failure import FixFailure
from services.fixer.image.node import NodeKind
from services.fixer.order import FixResult, Verdict
from services.fixer.plan.outcome import NotFixable
from services.kernel.model.finding import FindingKind, Package
from services.kernel.model.report import Report
from services.lab.apt import serve_files, signing_key
from services.lab.image import BuiltImage, build_image
from services.lab.layer import BuiltLayer, LayerBuilder
from services.lab.push import push_image
from tests.builders.apks import Apk, SigningKey, build_index, install
from tests.builders.apks import signing_key as apk_key
from tests.builders.fixing import REPOSITORY, TAG, PlayedProgress, PlayedReports, a_fix, an_order
from tests.builders.pushing import a_push
from tests.builders.reports import a_report, vulnerability
from tests.fakes.trees import FakeTree
from tests.registries import StartRegistry

OURS, THEIRS = apk_key(), apk_key("stranger@example.invalid-00000002")
OLD = (
    Apk(name="libssl3", version="1.0-r0", origin="openssl", files={"usr/lib/libssl.so.3": b"old"}),
    Apk(name="openssl", version="1.0-r0", files={"usr/bin/openssl": b"old"}, depends="libssl3=1.0-r0"),
    Apk(name="scripted", version="1.0-r0", files={"usr/bin/scripted": b"old"}),
)
NEW = (
    Apk(name="libssl3", version="1.1-r2", origin="openssl", files={"usr/lib/libssl.so.3": b"new"}),
    Apk(name="openssl", version="1.1-r2", files={"usr/bin/openssl": b"new"}, depends="libssl3=1.1-r2"),
    Apk(
        name="scripted",
        version="1.1-r0",
        files={"usr/bin/scripted": b"new"},
        scripts={"post-upgrade": "#!/bin/sh\nupdate-everything\n"},
    ),
)
Spoil = Callable[[dict[str, bytes]], None]


@dataclasses.dataclass
class Scene:
    image: BuiltImage
    result: FixResult | None
    failure: str
    written: tuple[str, ...]


def layer_of(tree: FakeTree) -> BuiltLayer:
    layer = LayerBuilder()
    for path, node in sorted(tree.nodes.items()):
        if node.kind is NodeKind.DIRECTORY:
            layer.directory(path, mode=node.attributes.mode)
        elif node.kind is NodeKind.SYMBOLIC_LINK:
            layer.symlink(path, node.target)
        else:
            layer.file(path, tree.contents[path], mode=node.attributes.mode)
    return layer.build()


def reported() -> Report:
    packages = [
        Package(
            purl=f"pkg:apk/alpine/{each.name}@{each.version}?arch=x86_64",
            name=each.name,
            version=each.version,
            ecosystem="Alpine:v3.20",
            path="/lib/apk/db/installed",
            layer="",
        )
        for each in OLD
    ]
    findings = [
        vulnerability(each, f"CVE-2026-{number}", fixed="1.1-r0", kind=FindingKind.SYSTEM_VULNERABILITY)
        for number, each in enumerate(packages)
    ]
    report = a_report(findings, packages=tuple(packages))
    return msgspec.structs.replace(report, image=msgspec.structs.replace(report.image, platform="linux/amd64"))


def nothing(_files: dict[str, bytes]) -> None:
    """Leaves the repository as it is."""


def change(name: str) -> Spoil:
    """Changes one byte near the end of a file."""

    def spoil(files: dict[str, bytes]) -> None:
        [path] = [each for each in files if each.endswith(name)]
        content = bytearray(files[path])
        content[-30] ^= 1
        files[path] = bytes(content)

    return spoil


@asynccontextmanager
async def fixed(
    start: StartRegistry, folder: Path, *, key: SigningKey | None = OURS, spoil: Spoil = nothing
) -> AsyncIterator[Scene]:
    """Runs a fix, and tells what came of it and which tags there are."""
    files = {f"main/x86_64/{each.file_name}": each.build(OURS) for each in NEW}
    files["main/x86_64/APKINDEX.tar.gz"] = build_index(NEW, key)
    spoil(files)
    ring = folder / "keyrings" / "alpine"
    ring.mkdir(parents=True)
    (ring / OURS.name).write_bytes(OURS.public)
    async with start() as registry, serve_files(files) as address:
        tree = install(*OLD, etc={"etc/apk/repositories": f"{address}/main\n".encode()})
        image = build_image([layer_of(tree)])
        await push_image(registry.access, REPOSITORY, TAG, image)
        reports = PlayedReports({"linux/amd64": reported()})
        reports.findings_after = ("CVE-2026-2",)
        async with a_fix(folder, registry.access, reports, signing_key("unused")) as fix:
            result, failure = None, ""
            try:
                result = await fix.run(an_order(image.digest), PlayedProgress())
            except FixFailure as caught:
                failure = caught.why.code
        async with a_push(registry.access, repository=REPOSITORY) as client:
            tags = (await client.source.tags()).names
        yield Scene(image, result, failure, tuple(tags))


async def test_an_image_of_alpines_format_is_fixed_and_what_runs_scripts_stays(
    each_registry: StartRegistry, tmp_path: Path
) -> None:
    async with fixed(each_registry, tmp_path) as scene:
        assert scene.result is not None, scene.failure
        (platform,) = scene.result.platforms
        assert {each.installed.name: each.candidate.version for each in platform.upgrades} == {
            "libssl3": "1.1-r2",
            "openssl": "1.1-r2",
        }
        outcomes = {each.finding.package: (each.verdict, each.why) for each in platform.outcomes}
        assert outcomes == {
            "libssl3": (Verdict.FIXED, None),
            "openssl": (Verdict.FIXED, None),
            "scripted": (Verdict.NOT_FIXABLE, NotFixable.NEEDS_REBUILD),
        }
        assert f"{TAG}_fixd" in scene.written


@pytest.mark.parametrize(
    ("key", "spoil", "reason"),
    [
        (THEIRS, nothing, "INDEX_KEY_UNKNOWN"),
        (None, nothing, "INDEX_UNSIGNED"),
        (OURS, change("APKINDEX.tar.gz"), "INDEX_SIGNATURE_INVALID"),
        (OURS, change("openssl-1.1-r2.apk"), "PACKAGE_TAMPERED"),
    ],
)
async def test_what_nobody_vouches_for_ends_the_fix_and_writes_nothing(
    each_registry: StartRegistry, tmp_path: Path, key: SigningKey | None, spoil: Spoil, reason: str
) -> None:
    async with fixed(each_registry, tmp_path, key=key, spoil=spoil) as scene:
        assert (scene.result, scene.failure) == (None, reason)
        assert scene.written == (TAG,)
