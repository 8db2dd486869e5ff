"""The scanner as the caller may see it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import datetime

from services.gateway.reach.limits import Reach
from services.kernel.errors import Kind, ServiceError, not_found
from services.kernel.model.access import RegistryAccess
from services.kernel.model.engine import Engine
from services.kernel.model.page import Page
from services.rules.api import RulesApi
from services.scanner.api import (
    Comparison,
    FindingFilter,
    Findings,
    ImageQuery,
    ImageStanding,
    Removal,
    Run,
    ScannerApi,
    SeenTag,
    Task,
    TaskFilter,
)
from services.scanner.gate.api import GateAnswer, GatePolicy


class ScannerInReach:
    """ScannerApi for a key with limits, and the scanner's own for every other one.

    Tasks out of reach do not exist. Of removals, a page may be short for that and not be the last.
    """

    def __init__(self, scanner: ScannerApi, rules: RulesApi, reach: Reach) -> None:
        """`rules` is what the caller may see of it."""
        self._scanner = scanner
        self._rules = rules
        self._reach = reach

    async def create_task(
        self,
        image: ImageQuery,
        *,
        engine: Engine | None = None,
        target_ids: tuple[str, ...] = (),
        request_id: str = "",
        access: RegistryAccess | None = None,
    ) -> Task:
        """Saves a task; see ScannerApi."""
        await self.check(image)
        task = await self._scanner.create_task(
            image, engine=engine, target_ids=target_ids, request_id=request_id, access=access
        )
        return self._shown(task)  # a request id may be that of another one's task

    async def get_task(self, task_id: str) -> Task | Run:
        """Returns one task, or one run of a rule."""
        if not self._reach.limited():
            return await self._scanner.get_task(task_id)
        try:
            found = await self._scanner.get_task(task_id)
            if isinstance(found, Run):
                await self._rules.get_rule(found.rule_id)
                return found
            return self._shown(found)
        except ServiceError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            raise _no_task(task_id) from error

    async def list_tasks(
        self, wanted: TaskFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[Task]:
        """Lists tasks, newest first; of one instance, where the caller is limited to some."""
        if not self._reach.limited():
            return await self._scanner.list_tasks(wanted, page_size=page_size, page_token=page_token)
        wanted = await self._narrowed(wanted or TaskFilter())
        return await self._scanner.list_tasks(wanted, page_size=page_size, page_token=page_token)

    async def cancel_task(self, task_id: str) -> Task | Run:
        """Calls off a task, or a run."""
        if self._reach.limited():
            await self.get_task(task_id)
        return await self._scanner.cancel_task(task_id)

    async def rerun_task(self, task_id: str) -> Task | Run:
        """Tries again what failed."""
        if self._reach.limited():
            await self.get_task(task_id)
        return await self._scanner.rerun_task(task_id)

    async def image_status(self, image: ImageQuery) -> Task:
        """Returns the newest task of an image."""
        await self.check(image)
        return self._shown(await self._scanner.image_status(image))

    async def wait_for_end(self, image: ImageQuery, seconds: float) -> Task:
        """Waits for the end of an image's newest task."""
        await self.check(image)
        return self._shown(await self._scanner.wait_for_end(image, seconds))

    async def watch(self, image: ImageQuery) -> AsyncIterator[ImageStanding]:
        """Yields how an image stands."""
        await self.check(image)
        async for standing in self._scanner.watch(image):
            if standing.task is not None:
                self._shown(standing.task)
            yield standing

    async def evaluate_gate(self, image: ImageQuery, policy: GatePolicy, platform: str = "") -> GateAnswer:
        """Holds an image against a policy."""
        await self._check_with_task(image)
        return await self._scanner.evaluate_gate(image, policy, platform)

    async def findings(self, image: ImageQuery, wanted: FindingFilter) -> Findings:
        """Returns the findings of an image."""
        await self.check(image)
        found = await self._scanner.findings(image, wanted)
        self._shown(found.task)
        return found

    async def report(self, image: ImageQuery, platform: str = "") -> bytes:
        """Returns one platform's report."""
        await self._check_with_task(image)
        return await self._scanner.report(image, platform)

    async def list_tags(
        self, *, instance: str, namespace: str, repository: str, page_size: int = 0, page_token: str = ""
    ) -> Page[SeenTag]:
        """Lists the tags of a repository."""
        if self._reach.limited():
            await self._reach.named(instance, namespace, repository)
        return await self._scanner.list_tags(
            instance=instance,
            namespace=namespace,
            repository=repository,
            page_size=page_size,
            page_token=page_token,
        )

    async def list_removals(self, *, instance: str, page_size: int = 0, page_token: str = "") -> Page[Removal]:
        """Lists what went of an instance."""
        part = await self._reach.into(instance) if self._reach.limited() else None
        page = await self._scanner.list_removals(instance=instance, page_size=page_size, page_token=page_token)
        if part is None or part.whole:
            return page
        return dataclasses.replace(page, items=tuple(one for one in page.items if part.has(one.namespace)))

    async def compare(self, task_id: str) -> Comparison:
        """Holds a task against the one before it."""
        if self._reach.limited():
            await self.get_task(task_id)
        return await self._scanner.compare(task_id)

    async def finding_events(
        self, *, since: datetime | None = None, cursor: str = "", limit: int = 0
    ) -> tuple[tuple[bytes, ...], str]:
        """Returns events of findings; the door lets no key with limits call this."""
        return await self._scanner.finding_events(since=since, cursor=cursor, limit=limit)

    async def open_findings(self, *, instance: str = "", page_size: int = 0, page_token: str = "") -> Page[bytes]:
        """Lists open findings; the door lets no key with limits call this."""
        return await self._scanner.open_findings(instance=instance, page_size=page_size, page_token=page_token)

    async def check(self, image: ImageQuery) -> None:
        """Returns when the caller may call about the image that is named.

        One that is named by a task alone is known by the answer: `_shown`.

        Raises:
            ServiceError: OUT_OF_REACH, REPO_NOT_EXIST.
        """
        if not self._reach.limited():
            return
        if image.repo_id:
            await self._reach.repository(image.instance, image.repo_id)
        if image.repository:
            await self._reach.named(image.instance, image.namespace, image.repository)
        if not image.repo_id and not image.repository:
            await (self._reach.into if image.task_id else self._reach.whole)(image.instance)

    async def _check_with_task(self, image: ImageQuery) -> None:
        """As `check`, for answers that do not tell of which task they are."""
        await self.check(image)
        if image.task_id and self._reach.limited():
            await self.get_task(image.task_id)

    def _shown(self, task: Task) -> Task:
        if self._reach.limited():
            part = self._reach.part_of(task.instance_id)
            if part is None or not part.has(task.namespace):
                raise _no_task(task.task_id)
        return task

    async def _narrowed(self, wanted: TaskFilter) -> TaskFilter:
        """Returns the filter for what the caller reaches of one instance."""
        instance, namespaces = await self._reach.narrowed(wanted.instance, wanted.namespaces, wanted.repository)
        return dataclasses.replace(wanted, instance=instance, namespaces=namespaces)


def _no_task(task_id: str) -> ServiceError:
    return not_found("SCAN_TASK_NOT_EXIST", f"There is no scan task {task_id[:64]!r}.")
