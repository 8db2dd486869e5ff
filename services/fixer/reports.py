"""What the scanner says of an image: before the fix, and after it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import msgspec
import structlog

from services.fixer.failure import FixFailure, FixReason
from services.fixer.order import FixOrder
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.report import Report
from services.scanner.api import ImageQuery, ScannerApi, State, Task

log = structlog.get_logger()
_WAIT_SECONDS: Final = 25.0
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED, Kind.RESOURCE_EXHAUSTED})
_PAUSE_SECONDS: Final = 1.0
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScannedImage:
    """A complete scan, read whole."""

    task_id: str
    reports: Mapping[str, Report]
    """By platform, as in `linux/amd64`."""


class Reports:
    """Reads reports, and has the fixed image scanned."""

    def __init__(self, scanner: ScannerApi) -> None:
        self._scanner = scanner

    async def of(self, order: FixOrder) -> ScannedImage:
        """Returns the newest complete scan of what the order is about.

        Raises:
            FixFailure: ENGINE_CANNOT_FIX; IMAGE_CHANGED where there is no complete scan of it any more.
            ServiceError: the scanner cannot be asked.
        """
        query = _query(order, order.digest)
        task = await self._scanner.image_status(query)
        if task.engine is Engine.TRIVY:
            query = dataclasses.replace(query, engine=Engine.SECURITY_CENTER)
            task = await self._own(query)
        if task.state is not State.COMPLETE:
            raise FixFailure(
                FixReason.IMAGE_CHANGED,
                f"{order.repository.path}:{order.tag} has no complete scan of {order.digest} any more.",
                hint="Wait until it is scanned, then ask for the fix again.",
            )
        return await self._read(task, query)

    async def after(self, order: FixOrder, *, tag: str, digest: Digest, request_id: str) -> ScannedImage:
        """Has the fixed image scanned like any other, and waits for the end.

        Args:
            order: what was asked for.
            tag: that was written.
            digest: what it holds.
            request_id: a UUID; the same one finds the same scan again, also after a crash.

        Raises:
            FixFailure: RESCAN_FAILED.
        """
        query = _query(order, digest, tag)
        try:
            task = await self._patiently(
                lambda: self._scanner.create_task(query, engine=Engine.SECURITY_CENTER, request_id=request_id)
            )
            wanted = ImageQuery(instance=order.instance_id, task_id=task.task_id)
            while task.state not in (State.COMPLETE, State.FAILED):
                task = await self._patiently(lambda: self._scanner.wait_for_end(wanted, _WAIT_SECONDS))
            if task.state is State.FAILED:
                raise unproven(f"its scan failed: {task.message}")
            return await self._read(task, wanted)
        except FixFailure:
            raise
        except ServiceError as error:
            raise unproven(error.message) from error

    async def _own(self, query: ImageQuery) -> Task:
        """Returns the scan of the engine that can fix, where the newest is of the other one."""
        try:
            return await self._scanner.image_status(query)
        except ServiceError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            raise engine_cannot_fix() from error

    async def _read(self, task: Task, query: ImageQuery) -> ScannedImage:
        whole = await self._patiently(lambda: self._scanner.get_task(task.task_id))
        platforms = dict.fromkeys(each.platform for each in whole.platforms) if isinstance(whole, Task) else {}
        reports = {}
        for platform in platforms:
            content = await self._scanner.report(query, platform)
            reports[platform] = msgspec.json.decode(content, type=Report)
        return ScannedImage(task_id=task.task_id, reports=reports)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks until somebody answers; how long that may take is the deadline of the fix."""
        while True:
            try:
                return await ask()
            except ServiceError as error:
                if error.kind not in _AWAY:
                    raise
                log.info("scanner.awaited", reason=error.reason)
                await asyncio.sleep(error.retry_after or _PAUSE_SECONDS)


def engine_cannot_fix() -> FixFailure:
    """Returns the refusal of what TRIVY scanned."""
    return FixFailure(
        FixReason.ENGINE_CANNOT_FIX,
        "The image was scanned by TRIVY, whose results are no ground for a fix.",
        hint="Scan it with SECURITY_CENTER: drydock task create INSTANCE IMAGE --engine security-center.",
    )


def _query(order: FixOrder, digest: Digest, tag: str = "") -> ImageQuery:
    return ImageQuery(
        instance=order.instance_id,
        namespace=order.repository.namespace,
        repository=order.repository.name,
        tag=tag,
        digest=digest,
    )


def unproven(what: str) -> FixFailure:
    """Returns the failure of a fix that is pushed, and of which nobody can say what came of it."""
    return FixFailure(
        FixReason.RESCAN_FAILED,
        f"The fixed image is pushed, and nothing vouches for it: {what}",
        hint="Scan the tag again, or revert the fix: drydock fix revert TASK.",
    )
