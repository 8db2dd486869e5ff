"""The story of a fix: an image is pushed and scanned, repaired, pushed again, and proven by another scan."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.text import Text

from drydock.fixer.v1 import fix_pb2, fixer_service_pb2
from drydock.scanner.v1 import scan_pb2
from drydock.scanner.v1.scanner_service_pb2 import GetImageStatusRequest
from services.cli.demo.checks import check, step_failed
from services.cli.demo.narrator import Narrator
from services.cli.demo.stage import Stage
from services.cli.demo.story import NAMESPACE, in_time, until
from services.cli.fix_table import preview_parts
from services.cli.image import to_image_ref
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.access import RegistryAccess
from services.kernel.rpc.client import translated_errors
from services.lab.apt import apt_repository, serve_files, signing_key
from services.lab.fix_image import SUITE, fix_image, names, new_packages, old_packages
from services.lab.push import push_image

_REPOSITORY, _TAG = "till", "1.0"
_PATH = f"{NAMESPACE}/{_REPOSITORY}"
_SECONDS = 90.0
_ENDED = (fix_pb2.FIX_STATE_SUCCEEDED, fix_pb2.FIX_STATE_PARTIAL, fix_pb2.FIX_STATE_FAILED)


async def tell_fix_story(stage: Stage, narrator: Narrator, data: Path) -> None:
    """Plays all of it, and checks each step while it happens.

    Raises:
        ServiceError: DEMO_STEP_FAILED when a step does not do what it should within its time.
    """
    key = signing_key("demo")
    keyring = data / "keyrings" / "debian" / "demo.gpg"
    await asyncio.to_thread(keyring.parent.mkdir, parents=True)
    await asyncio.to_thread(keyring.write_bytes, bytes(key.extract_certificate()))
    async with serve_files(apt_repository(new_packages(), key, suite=SUITE)) as address:
        narrator.tell(f"a signed repository of Debian packages of the demo's own is served at {address}")
        narrator.detail(f"its key lies in {keyring}: keys that an image brings along are never believed")
        with translated_errors():
            await _pushed(stage, narrator, address)
            await _previewed(stage, narrator)
            task = await _fixed(stage, narrator)
            await _proven(stage, narrator, task)


async def _pushed(stage: Stage, narrator: Narrator, address: str) -> None:
    image = await asyncio.to_thread(fix_image, address)
    access = RegistryAccess(address=stage.registry.address, plain_http=True)
    await in_time("the push", push_image(access, _PATH, _TAG, image))
    narrator.tell(f"pushed   {stage.registry.address}/{_PATH}:{_TAG}", "bold")
    counts = await _scanned(stage, _TAG)
    narrator.tell(f"scanned  {counts}", "bold")


async def _scanned(stage: Stage, tag: str) -> str:
    request = GetImageStatusRequest(image=to_image_ref(stage.instance.instance_id, f"{_PATH}:{tag}"))

    async def ask() -> str | None:
        try:
            with translated_errors():
                task = (await stage.client.scanner.GetImageStatus(request)).task
        except ServiceError as error:
            if error.kind is not Kind.NOT_FOUND:  # the push has not been noticed yet
                raise
            return None
        if task.state == scan_pb2.STATE_FAILED:
            raise step_failed("the scan", f"{task.reason}: {task.message}")
        if task.state != scan_pb2.STATE_COMPLETE:
            return None
        return f"{_PATH}:{tag} has {sum(task.findings.values())} findings"

    return await until("the scan", ask, _SECONDS)


async def _previewed(stage: Stage, narrator: Narrator) -> None:
    request = fixer_service_pb2.PreviewFixRequest(order=_order(stage))
    preview = (await stage.client.fixer.PreviewFix(request)).preview
    narrator.tell(
        f"planned  what a fix would do, as `drydock fix preview` shows it, to {preview.fixed_tag}", "bold"
    )
    narrator.gap()
    for part in preview_parts(preview):
        if isinstance(part, Text):
            narrator.detail(part)
        else:
            narrator.table(part)
    packages = [package for platform in preview.platforms for package in platform.packages]
    stays = [each for one in preview.platforms for each in one.findings if each.reason]
    narrator.gap()
    check(len(packages) == len(new_packages()) - 1, "the plan", f"it has {len(packages)} packages")
    check(bool(stays), "the plan", "it says of nothing that it stays")


async def _fixed(stage: Stage, narrator: Narrator) -> fix_pb2.FixTask:
    request = fixer_service_pb2.CreateFixTaskRequest(order=_order(stage))
    task = (await stage.client.fixer.CreateFixTask(request)).task
    narrator.tell(f"asked    for the fix: task {task.task_id}", "bold")
    told = ""

    async def ask() -> fix_pb2.FixTask | None:
        nonlocal told
        now = (await stage.client.fixer.GetFixTask(fixer_service_pb2.GetFixTaskRequest(task_id=task.task_id))).task
        if now.progress_message and now.progress_message != told:
            told = now.progress_message
            narrator.tell(f"         {told}")
        return now if now.state in _ENDED else None

    ended = await until("the fix", ask, _SECONDS)
    if ended.state == fix_pb2.FIX_STATE_FAILED:
        raise step_failed("the fix", f"{ended.reason}: {ended.message}")
    return ended


async def _proven(stage: Stage, narrator: Narrator, task: fix_pb2.FixTask) -> None:
    one = task.platforms[0]
    fates = [each.verdict for each in one.findings]
    fixed, stay = fates.count(fix_pb2.FIX_VERDICT_FIXED), fates.count(fix_pb2.FIX_VERDICT_NOT_FIXABLE)
    narrator.tell(
        f"proven   by the scan of {_PATH}:{task.fixed_tag}: {fixed} fixed, {stay} not fixable, "
        f"{task.new_findings} new",
        "bold green",
    )
    narrator.detail(f"fixed image {one.fixed_digest}, one layer of {one.layer_bytes:,} bytes on top")
    for kind, digest in sorted(task.attached.items()):
        narrator.detail(f"attached {kind}: {digest}")
    check(fates.count(fix_pb2.FIX_VERDICT_STILL_PRESENT) == 0, "the proof", "a finding is still there")
    check(task.new_findings == 0, "the proof", "the fix brought findings")
    check(fixed > 0, "the proof", "nothing is gone")
    old, new = names(old_packages()), names(new_packages())
    gone = {package.name for package in one.packages}
    check(gone == {name for name in old if old[name] != new[name]}, "the proof", "other packages were replaced")


def _order(stage: Stage) -> fix_pb2.FixOrder:
    return fix_pb2.FixOrder(
        instance=stage.instance.instance_id, namespace=NAMESPACE, repository=_REPOSITORY, tag=_TAG
    )
