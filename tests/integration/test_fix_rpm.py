"""A fix of an rpm image on real parts: registry, repository over HTTP, worker processes, files on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from services.fixer.failure import FixFailure
from services.fixer.order import FixResult, Verdict
from services.fixer.plan.outcome import NotFixable
from services.kernel.model.finding import FindingKind, Package
from services.kernel.model.report import Report
from services.kernel.reasons import ScanFailure
from services.lab.apt import serve_files
from services.lab.image import BuiltImage, build_image
from services.lab.push import push_image
from tests.builders.fixing import REPOSITORY, TAG, PlayedProgress, PlayedReports, a_fix, an_order
from tests.builders.pushing import a_push
from tests.builders.reports import a_report, vulnerability
from tests.builders.rpms import DATABASE, F, config, image_layer, repository, rpm
from tests.builders.signing import SigningKey, signing_key
from tests.registries import RunningRegistry, StartRegistry

OURS, THEIRS = signing_key("archive"), signing_key("stranger")
OLD = (rpm("a", "1-1", F("usr/a", b"1"), config("etc/a", b"1")), rpm("b", "1-1"))


def new(key: SigningKey | None = OURS, spoil: bytes | None = None) -> Sequence[bytes]:
    return (
        rpm("a", "2-1", F("usr/a", b"2"), config("etc/a", b"2"), key=key, spoil=spoil),
        rpm("b", "2-1", scripts={"%post": "update-everything"}, key=key),
    )


def reported() -> Report:
    packages = [
        Package(purl=f"pkg:rpm/almalinux/{name}@1-1?arch=x86_64", name=name, version="1-1",
                ecosystem="AlmaLinux:9", path=f"/{DATABASE}", layer="")
        for name in ("a", "b")
    ]  # fmt: skip
    findings = [
        vulnerability(each, f"CVE-2026-{number}", fixed="2-1", kind=FindingKind.SYSTEM_VULNERABILITY)
        for number, each in enumerate(packages)
    ]
    report = a_report(findings, packages=tuple(packages))
    return msgspec.structs.replace(report, image=msgspec.structs.replace(report.image, platform="linux/amd64"))


@dataclasses.dataclass
class Scene:
    registry: RunningRegistry
    image: BuiltImage
    result: FixResult | None
    failure: str

    async def tag(self, tag: str) -> str:
        async with a_push(self.registry.access, repository=REPOSITORY) as client:
            try:
                return (await client.source.head(tag)).digest
            except ScanFailure:
                return ""


@asynccontextmanager
async def fixed(
    start: StartRegistry, folder: Path, offered: Sequence[bytes], *, index_key: SigningKey | None = None
) -> AsyncIterator[Scene]:
    """Runs a fix, and tells what came of it."""
    place = repository(folder / "repository", *offered, key=index_key)
    files = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    ring = folder / "keyrings" / "almalinux"
    ring.mkdir(parents=True)
    (ring / "test.gpg").write_bytes(OURS.public)
    async with start() as registry, serve_files(files) as address:
        texts: dict[str, bytes | None] = {
            "etc/yum.repos.d/a.repo": f"[a]\nbaseurl={address}/\n".encode(), "etc/a": b"mine", "usr/a": b"1",
        }  # fmt: skip
        image = build_image([image_layer(folder, *OLD, texts=texts).build()])
        await push_image(registry.access, REPOSITORY, TAG, image)
        reports = PlayedReports({"linux/amd64": reported()})
        reports.findings_after = ("CVE-2026-1",)
        async with a_fix(folder, registry.access, reports, OURS.secret) as fix:
            result, failure = None, ""
            try:
                result = await fix.run(an_order(image.digest), PlayedProgress())
            except FixFailure as caught:
                failure = caught.why.code
            yield Scene(registry, image, result, failure)


@pytest.mark.parametrize("index_key", [OURS, None])
async def test_an_rpm_image_is_fixed_by_a_signed_index_or_by_signed_packages(
    each_registry: StartRegistry, tmp_path: Path, index_key: SigningKey | None
) -> None:
    async with fixed(each_registry, tmp_path, new(), index_key=index_key) as scene:
        assert scene.result is not None, scene.failure
        (platform,) = scene.result.platforms
        outcomes = {each.finding.package: (each.verdict, each.why) for each in platform.outcomes}
        assert outcomes == {
            "a": (Verdict.FIXED, None),
            "b": (Verdict.NOT_FIXABLE, NotFixable.NEEDS_REBUILD),
        }
        assert any("/etc/a.rpmnew" in note for note in platform.notes)
        assert await scene.tag(f"{TAG}_fixd") == scene.result.digest


@pytest.mark.parametrize(
    ("offered", "index_key", "reason"),
    [
        (new(spoil=b"another payload"), None, "PACKAGE_TAMPERED"),
        (new(key=THEIRS), None, "INDEX_KEY_UNKNOWN"),
        (new(key=None), None, "INDEX_UNSIGNED"),
        (new(), THEIRS, "INDEX_KEY_UNKNOWN"),
        (new(spoil=b"another payload"), OURS, "PACKAGE_INVALID"),
    ],
)
async def test_what_is_not_to_be_believed_ends_the_fix_with_nothing_pushed(
    each_registry: StartRegistry,
    tmp_path: Path,
    offered: Sequence[bytes],
    index_key: SigningKey | None,
    reason: str,
) -> None:
    async with fixed(each_registry, tmp_path, offered, index_key=index_key) as scene:
        assert scene.failure == reason
        assert await scene.tag(TAG) == scene.image.digest
        assert await scene.tag(f"{TAG}_fixd") == ""
