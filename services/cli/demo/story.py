"""The story of the demo: an image is pushed, noticed, scanned, judged, and somebody is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from drydock.acr.v20181201 import container_registry_pb2 as acr
from drydock.rules.v1.rules_service_pb2 import ListRepositoriesRequest
from drydock.scanner.v1.scan_pb2 import Finding
from drydock.scanner.v1.scanner_service_pb2 import GetImageStatusRequest, ListFindingsRequest, ListFindingsResponse
from services.cli.demo.checks import check, step_failed
from services.cli.demo.narrator import Narrator
from services.cli.demo.stage import Stage
from services.cli.image import to_image_ref
from services.cli.output import table_of
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.rpc.client import translated_errors
from services.lab.demo_image import build_demo_image
from services.lab.image import BuiltImage
from services.lab.push import push_image
from services.lab.receiver import Received
from services.lab.wheels import default_folder, fetch_wheels

T = TypeVar("T")
NAMESPACE, REPOSITORY, TAG = "shop", "web", "1.0"
_PATH = f"{NAMESPACE}/{REPOSITORY}"
_STEP_SECONDS = 30.0
_SCAN_SECONDS = 60.0
_PAUSE_SECONDS = 0.02
_SHOWN = 12
_TITLES = ("SEVERITY", "ID", "PACKAGE", "VERSION", "FIXED", "KIND")
_CONTENT_TITLES = ("SEVERITY", "ID", "SEEN", "FILE", "KIND")
_KINDS = {"SYSTEM_VULNERABILITY", "APPLICATION_VULNERABILITY", "BASELINE_RISK", "MALICIOUS_SAMPLE"}


async def tell_story(stage: Stage, narrator: Narrator, _data: Path) -> None:
    """Plays all of it, and checks each step while it happens.

    Raises:
        ServiceError: DEMO_STEP_FAILED when a step does not do what it should within its time.
    """
    registry = stage.registry.address
    narrator.tell(f"a small loopback registry of the demo listens on {registry} (not for production)")
    narrator.detail(f"instance {stage.instance.name} {stage.instance.instance_id}: plain HTTP, anonymous")
    narrator.detail(
        f"rule {stage.rule.rule_id}: pushes to {NAMESPACE}/* with a tag that matches {stage.rule.tag_pattern}"
    )
    narrator.detail(f"target {stage.target.target_id}: {stage.target.url}")
    image = await _build(narrator)
    narrator.gap()
    digest = await _push(stage, narrator, image)
    with translated_errors():
        repo_id = await _noticed(stage, narrator)
        await _scanned(stage, narrator, repo_id)
        found = await _judged(stage, narrator, repo_id, digest)
    await _told(stage, narrator, found)


async def _build(narrator: Narrator) -> BuiltImage:
    wheels = await asyncio.to_thread(fetch_wheels, default_folder())
    narrator.tell(f"{len(wheels)} old wheels of the package index are here, each verified against its digest")
    image = await asyncio.to_thread(build_demo_image, wheels)
    size = sum(len(layer.content) for layer in image.layers) / 1e6
    narrator.tell(
        f"image built: a Debian 12 package database and those wheels, {len(image.layers)} layers, {size:.1f} MB"
    )
    narrator.detail(
        "planted in it, all harmless: a made-up cloud key, which its last layer deletes, the EICAR test file,"
    )
    narrator.detail("a setting of the SSH server, a file with the setuid bit")
    return image


async def _push(stage: Stage, narrator: Narrator, image: BuiltImage) -> Digest:
    access = RegistryAccess(address=stage.registry.address, plain_http=True)
    digest = await in_time("the push", push_image(access, _PATH, TAG, image))
    narrator.tell(f"pushed   {stage.registry.address}/{_PATH}:{TAG}", "bold")
    narrator.detail(digest)
    return digest


async def _noticed(stage: Stage, narrator: Narrator) -> str:
    """Waits for the webhook and for the repository that it made known; returns the repository's id."""
    await in_time("the webhook", stage.registry.notified())
    narrator.tell("noticed  the gateway has accepted the registry's webhook", "bold")
    request = ListRepositoriesRequest(instance=stage.instance.instance_id, namespace=NAMESPACE)

    async def ask() -> str | None:
        answer = await stage.client.rules.ListRepositories(request)
        return next((item.repo_id for item in answer.repositories if item.name == REPOSITORY), None)

    return await until("the rule", ask, _STEP_SECONDS)


async def _scanned(stage: Stage, narrator: Narrator, repo_id: str) -> None:
    """Asks GetRepoTagScanStatus until it says COMPLETE, and tells every change."""
    request = acr.GetRepoTagScanStatusRequest(instance_id=stage.instance.instance_id, repo_id=repo_id, tag=TAG)
    last = ""

    async def ask() -> str | None:
        nonlocal last
        answer = await stage.client.registry.GetRepoTagScanStatus(request)
        if answer.is_success and answer.status != last:
            last = answer.status
            narrator.tell(f"status   {last}", "bold green" if last == "COMPLETE" else "bold")
        return last if last in ("COMPLETE", "FAILED") else None

    narrator.detail("asking ContainerRegistry.GetRepoTagScanStatus over gRPC:")
    end = await until("the scan", ask, _SCAN_SECONDS)
    if end != "COMPLETE":
        image = to_image_ref(stage.instance.instance_id, f"{_PATH}:{TAG}")
        task = (await stage.client.scanner.GetImageStatus(GetImageStatusRequest(image=image))).task
        raise step_failed("the scan", f"it ended as {end} with {task.reason}: {task.message}")


async def _judged(stage: Stage, narrator: Narrator, repo_id: str, digest: Digest) -> ListFindingsResponse:
    """Prints counts and the worst findings."""
    image = to_image_ref(stage.instance.instance_id, f"{_PATH}:{TAG}")
    summary = await stage.client.registry.GetRepoTagScanSummary(
        acr.GetRepoTagScanSummaryRequest(instance_id=stage.instance.instance_id, repo_id=repo_id, tag=TAG)
    )
    found = await stage.client.scanner.ListFindings(
        ListFindingsRequest(image=image, descending=True, page_size=1000)
    )
    task = (await stage.client.scanner.GetImageStatus(GetImageStatusRequest(image=image))).task
    counts = (
        f"{summary.high_severity} high, {summary.medium_severity} medium,"
        f" {summary.low_severity} low, {summary.unknown_severity} unknown"
    )
    narrator.tell(f"judged   {summary.total_severity} vulnerabilities: {counts}", "bold")
    narrator.detail(
        f"advisories {task.advisories_version}, coverage {task.coverage}: {task.reason or 'nothing left out'}"
    )
    check(found.digest == digest == task.digest, "the findings", "they speak of another digest than was pushed")
    check(
        found.total_size == len(found.findings) == sum(task.findings.values()),
        "the findings",
        "their counts differ",
    )
    missing = _KINDS - {finding.kind for finding in found.findings}
    check(not missing, "the findings", f"kinds are missing: {', '.join(sorted(missing))}")
    vulnerabilities = [finding for finding in found.findings if finding.HasField("package")]
    narrator.gap()
    narrator.table(table_of(_TITLES, map(_row, vulnerabilities[:_SHOWN])))
    count = len(vulnerabilities)
    narrator.detail(f"the worst {min(_SHOWN, count)} of {count}; the counts put CRITICAL under high")
    narrator.gap()
    in_content = [finding for finding in found.findings if not finding.HasField("package")]
    narrator.tell(f"looked   into every file: {len(in_content)} risks and malicious samples", "bold")
    narrator.gap()
    narrator.table(table_of(_CONTENT_TITLES, map(_content_row, in_content)))
    narrator.gap()
    return found


def _row(finding: Finding) -> tuple[str, ...]:
    package = finding.package
    return (finding.severity, finding.id, package.name, package.version, finding.fixed_version, _kind(finding))


def _content_row(finding: Finding) -> tuple[str, ...]:
    path = f"{finding.path} (deleted)" if finding.deleted else finding.path
    return (finding.severity, finding.id, finding.match or finding.title, path, _kind(finding))


def _kind(finding: Finding) -> str:
    return finding.kind.partition("_")[0].lower()


async def _told(stage: Stage, narrator: Narrator, found: ListFindingsResponse) -> None:
    """Waits for the notification and prints what matters of it."""
    waiting = stage.receiver.wait_for(lambda received: _task_of(received) == found.task_id, _STEP_SECONDS)
    received = await in_time("the notification", waiting)
    body = msgspec.json.decode(received.body, type=dict[str, object])
    check(body.get("digest") == found.digest, "the notification", "it speaks of another digest than was pushed")
    narrator.tell(f"told     a notification came to {stage.receiver.url}", "bold")
    excerpt = {
        key: body[key] for key in ("event", "delivery_id", "tag", "status", "coverage", "findings") if key in body
    }
    for line in msgspec.json.format(msgspec.json.encode(excerpt)).decode().splitlines():
        narrator.detail(line)


def _task_of(received: Received) -> object:
    return msgspec.json.decode(received.body, type=dict[str, object]).get("task_id")


async def in_time(step: str, work: Awaitable[T]) -> T:
    """Waits for what a step does, as long as a step may take."""
    try:
        async with asyncio.timeout(_STEP_SECONDS):
            return await work
    except TimeoutError as error:
        raise step_failed(step, f"nothing came of it within {_STEP_SECONDS:.0f} s") from error


async def until(step: str, ask: Callable[[], Awaitable[T | None]], seconds: float) -> T:
    """Asks again and again until there is an answer."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = await ask()
                if answer is not None:
                    return answer
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError as error:
        raise step_failed(step, f"nothing came of it within {seconds:.0f} s") from error
