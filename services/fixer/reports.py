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
from services.scanner.api import FindingFilter, ImageQuery, ScannerApi, State, Task

FIXING_ENGINES: Final = (Engine.SECURITY_CENTER, Engine.ALL)
"""Whose tasks have results of SECURITY_CENTER."""
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
            FixFailure: IMAGE_CHANGED where there is no complete scan of it any more.
            ServiceError: the scanner cannot be asked.
        """
        complete = [task for engine in FIXING_ENGINES if (task := await self._complete(order, engine)) is not None]
        if not complete:
            raise FixFailure(
                FixReason.IMAGE_CHANGED,
                f"{order.repository.path}:{order.tag} has no complete scan of {order.digest} any more.",
                hint="Scan it with SECURITY_CENTER, then ask for the fix again.",
            )
        return await self._read(order, max(complete, key=lambda task: task.created_at).task_id)

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
            return await self._read(order, task.task_id)
        except FixFailure:
            raise
        except ServiceError as error:
            raise unproven(error.message) from error

    async def _complete(self, order: FixOrder, engine: Engine) -> Task | None:
        """Returns the newest complete scan of one engine."""
        query = dataclasses.replace(_query(order, order.digest), engine=engine)
        try:
            return (await self._scanner.findings(query, FindingFilter())).task
        except ServiceError as error:
            if error.reason in ("IMAGE_NOT_SCANNED", "SCAN_NOT_COMPLETE"):
                return None
            raise

    async def _read(self, order: FixOrder, task_id: str) -> ScannedImage:
        query = ImageQuery(instance=order.instance_id, task_id=task_id)
        whole = await self._patiently(lambda: self._scanner.get_task(task_id))
        platforms = dict.fromkeys(each.platform for each in whole.platforms) if isinstance(whole, Task) else {}
        reports = {}
        for platform in platforms:
            content = await self._scanner.report(query, platform)
            reports[platform] = msgspec.json.decode(content, type=Report)
        return ScannedImage(task_id=task_id, reports=reports)

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
        hint="Scan the tag again, or revert the fix: `drydock fix revert TASK`.",
    )
