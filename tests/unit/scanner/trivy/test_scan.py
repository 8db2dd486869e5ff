"""The TRIVY engine around a program: what it is given, what it is not, and what stays behind."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.kernel.clock import SystemClock
from services.kernel.model.finding import FindingKind
from services.kernel.reasons import Reason, ScanFailure
from services.lab.image import build_image, build_index, write_layout
from services.lab.layer import Compression, LayerBuilder
from services.registry.interface import ImageIndex
from services.registry.spool import LayerSpool
from services.scanner.bounds import ScanBounds
from services.scanner.images.files import Folder
from services.scanner.images.layout import LayoutSource
from services.scanner.records import ScannedImage
from services.scanner.reports import unpack_report
from services.scanner.settings import TrivySettings
from services.scanner.trivy.scan import TrivyScan
from services.scanner.wiring.trivy import trivy_scan
from tests.builders.images import an_image
from tests.builders.trivy import (
    EMPTY_DATABASE,
    databases,
    fake_trivy,
    package,
    report,
    system,
    vulnerability,
    well,
    written,
)
from tests.builders.workers import spawned_workers

BASH = package("bash", "5.2", Arch="amd64")
REPORT = report(system(BASH, vulnerabilities=(vulnerability("CVE-2026-1", BASH, Severity="HIGH"),)))


@asynccontextmanager
async def engine(tmp_path: Path, **settings: Any) -> AsyncIterator[TrivyScan]:
    """The engine on a spool of its own, which holds nothing any more at the end."""
    workers = spawned_workers(processes=1)
    async with LayerSpool(tmp_path / "spool", 1 << 30) as spool:
        yield trivy_scan(
            spool=spool,
            workers=workers,
            kinds=frozenset(FindingKind),
            data=tmp_path,
            bounds=ScanBounds(),
            settings=TrivySettings(trivy=tmp_path / "trivy", **settings),
            clock=SystemClock(),
        )
        left = [path for path in (tmp_path / "spool").rglob("*") if path.is_file() and path.name != ".lock"]
        assert left == []


@pytest.fixture
def image(tmp_path: Path) -> LayoutSource:
    """One image of two layers, in a layout."""
    write_layout(tmp_path / "image", {"1.0": an_image("base", "app")})
    databases(tmp_path / "trivy-databases", written(SystemClock().now()))
    (tmp_path / "trivy-databases").rename(tmp_path / "data")
    return LayoutSource(Folder(tmp_path / "image"), ScanBounds().source.limits)


async def scanned(trivy: TrivyScan, source: LayoutSource) -> ScannedImage:
    found = await trivy.scan(source, name="1.0", reference="app:1.0")
    assert isinstance(found, ScannedImage)
    return found


async def test_what_trivy_writes_becomes_the_report(tmp_path: Path, image: LayoutSource) -> None:
    fake_trivy(tmp_path, well(REPORT), version="0.72.1")

    async with engine(tmp_path, trivy_databases=tmp_path / "data") as trivy:
        found = await scanned(trivy, image)

    said = unpack_report(found.report)
    assert [(each.id, each.severity.value) for each in said.findings] == [("CVE-2026-1", "HIGH")]
    assert (said.engine.name, said.engine.version, said.image.reference) == ("TRIVY", "0.72.1", "app:1.0")
    built = an_image("base", "app")
    assert [layer.digest for layer in said.image.layers] == [layer.digest for layer in built.layers]
    assert found.platform == "linux/amd64"


async def test_trivy_is_given_one_image_and_nothing_of_ours(
    tmp_path: Path, image: LayoutSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRIVY_INSECURE", "DRYDOCK_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "mine")
    fake_trivy(
        tmp_path,
        f'echo "$arguments" >{tmp_path}/arguments; env >{tmp_path}/environment; pwd >{tmp_path}/folder\n'
        f'cp -rL "$input" "$cache" {tmp_path}/seen; ' + well(REPORT),
    )
    (tmp_path / "seen").mkdir()

    async with engine(tmp_path, trivy_databases=tmp_path / "data") as trivy:
        await scanned(trivy, image)

    arguments = (tmp_path / "arguments").read_text()
    for flag in (
        "--skip-db-update",
        "--skip-java-db-update",
        "--offline-scan",
        "--disable-telemetry",
        "--scanners vuln",
    ):
        assert flag in arguments
    lines = (tmp_path / "environment").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if "=" in line)
    assert "mine" not in environment.values()
    assert set(environment) - {"_", "PWD", "SHLVL", "OLDPWD"} == {"HOME", "PATH", "TMPDIR", "XDG_DATA_HOME"}
    assert (tmp_path / "folder").read_text().strip() == environment["HOME"]
    index = json.loads((tmp_path / "seen" / "image" / "index.json").read_text())
    built = an_image("base", "app")
    assert [each["digest"] for each in index["manifests"]] == [built.digest]
    blobs = {path.name for path in (tmp_path / "seen" / "image" / "blobs" / "sha256").iterdir()}
    assert blobs == {digest.partition(":")[2] for digest in (*built.blobs, built.digest)}
    assert (tmp_path / "seen" / "cache" / "db" / "trivy.db").read_bytes() == EMPTY_DATABASE


async def test_a_server_is_named_and_its_token_is_in_the_environment_alone(
    tmp_path: Path, image: LayoutSource
) -> None:
    fake_trivy(tmp_path, f'echo "$arguments" >{tmp_path}/arguments; env >{tmp_path}/environment\n' + well(REPORT))

    async with engine(tmp_path, trivy_server="http://127.0.0.1:4954/", trivy_token="s3cret") as trivy:
        await scanned(trivy, image)

    assert "--server http://127.0.0.1:4954 " in (tmp_path / "arguments").read_text()
    assert "s3cret" not in (tmp_path / "arguments").read_text()
    assert "TRIVY_TOKEN=s3cret" in (tmp_path / "environment").read_text().splitlines()


async def test_a_layer_above_the_limit_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    large = LayerBuilder().file("data", os.urandom(5000)).build(Compression.NONE)
    built = build_image([LayerBuilder().file("etc/motd", "small").build(), large])
    write_layout(tmp_path / "image", {"1.0": built})
    source = LayoutSource(Folder(tmp_path / "image"), ScanBounds().source.limits)
    for layer in built.layers:  # whoever would fetch one would fail otherwise
        (tmp_path / "image" / "blobs" / layer.digest.replace(":", "/")).unlink()

    fake_trivy(tmp_path, well(REPORT))

    async with engine(tmp_path, trivy_layer_bytes=len(large.content) - 1) as trivy:
        with pytest.raises(ScanFailure) as caught:
            await scanned(trivy, source)

    assert caught.value.why is Reason.LAYER_TOO_LARGE
    assert "security-center" in caught.value.hint
    assert caught.value.metadata["layer"] == large.digest


async def test_an_index_is_returned_as_it_is(tmp_path: Path) -> None:
    fake_trivy(tmp_path, well(REPORT))
    write_layout(tmp_path / "image", {"1.0": build_index([an_image("a")])})
    source = LayoutSource(Folder(tmp_path / "image"), ScanBounds().source.limits)

    async with engine(tmp_path) as trivy:
        found = await trivy.scan(source, name="1.0", reference="app:1.0")

    assert isinstance(found, ImageIndex)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("exit 0", Reason.TRIVY_OUTPUT_INVALID),
        ('echo "{" >"$out"', Reason.TRIVY_OUTPUT_INVALID),
        ('head -c 200000 /dev/zero >"$out"', Reason.TRIVY_OUTPUT_TOO_LARGE),
        ("exit 1", Reason.TRIVY_FAILED),
        ("kill -9 $$", Reason.TRIVY_KILLED),
        ("sleep 60", Reason.TRIVY_TIMED_OUT),
    ],
)
async def test_no_bad_end_is_a_verdict_and_none_leaves_anything(
    tmp_path: Path, image: LayoutSource, body: str, why: Reason
) -> None:
    fake_trivy(tmp_path, body)

    limits = {"trivy_seconds": 1.0, "trivy_output_bytes": 100_000}
    async with engine(tmp_path, trivy_databases=tmp_path / "data", **limits) as trivy:
        with pytest.raises(ScanFailure) as caught:
            await scanned(trivy, image)

    assert caught.value.why is why


@pytest.mark.parametrize("version", ["nothing", "Version: \x1b[2J", ""])
async def test_a_program_that_is_no_trivy_is_missing(tmp_path: Path, image: LayoutSource, version: str) -> None:
    (tmp_path / "trivy").write_text(f"#!/bin/sh\nprintf '{version}\\n'\n")
    (tmp_path / "trivy").chmod(0o755)

    async with engine(tmp_path, trivy_databases=tmp_path / "data") as trivy:
        with pytest.raises(ScanFailure) as caught:
            await scanned(trivy, image)

    assert caught.value.why is Reason.TRIVY_MISSING


async def test_without_a_program_or_a_database_it_says_which_is_missing(
    tmp_path: Path, image: LayoutSource
) -> None:
    async with engine(tmp_path, trivy_databases=tmp_path / "nowhere") as trivy:
        with pytest.raises(ScanFailure) as caught:
            await scanned(trivy, image)
        assert caught.value.why is Reason.TRIVY_MISSING

        fake_trivy(tmp_path, well(REPORT))
        with pytest.raises(ScanFailure) as caught:
            await scanned(trivy, image)
        assert caught.value.why is Reason.TRIVY_DATABASE_MISSING


async def test_no_more_run_at_once_than_the_setting_says(tmp_path: Path, image: LayoutSource) -> None:
    fake_trivy(
        tmp_path,
        f"mkdir {tmp_path}/busy || {{ echo two at once >&2; exit 7; }}\nsleep 0.1; rmdir {tmp_path}/busy\n"
        + well(REPORT),
    )

    async with engine(tmp_path, trivy_databases=tmp_path / "data", trivy_concurrent_scans=1) as trivy:
        found = await asyncio.gather(*(scanned(trivy, image) for _ in range(3)))

    assert len({each.platform for each in found}) == 1


async def test_a_cancelled_scan_leaves_no_process_and_no_file(tmp_path: Path, image: LayoutSource) -> None:
    os.mkfifo(tmp_path / "ready")
    fake_trivy(tmp_path, f"echo $$ >{tmp_path}/ready; sleep 300")

    async with engine(tmp_path, trivy_databases=tmp_path / "data") as trivy:
        running = asyncio.create_task(scanned(trivy, image))
        process = int(await asyncio.to_thread((tmp_path / "ready").read_text))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    assert not Path(f"/proc/{process}").exists()
