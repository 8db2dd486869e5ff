"""The fixer as the caller may see it."""

from __future__ import annotations

import dataclasses

from services.fixer.api import FixerApi, FixFilter, FixPreview, FixRequest, FixTask
from services.gateway import caller
from services.gateway.api import Role
from services.gateway.permissions import suffices
from services.gateway.reach.limits import Reach
from services.kernel.errors import Kind, ServiceError, not_found
from services.kernel.model.page import Page


class FixerInReach:
    """FixerApi for a key with limits, and the fixer's own for every other one. Tasks out of reach do not exist."""

    def __init__(self, fixer: FixerApi, reach: Reach) -> None:
        self._fixer = fixer
        self._reach = reach

    async def preview_fix(self, wanted: FixRequest) -> FixPreview:
        """Tells what a fix would do."""
        await self._check(wanted)
        return await self._fixer.preview_fix(wanted)

    async def create_fix(
        self, wanted: FixRequest, *, target_ids: tuple[str, ...] = (), request_id: str = ""
    ) -> FixTask:
        """Saves a task. To write over a tag takes an operator: a client that scans what it pushes may not."""
        if wanted.overwrite and not suffices(caller.current().role, Role.OPERATOR):
            raise _overwrites()
        await self._check(wanted)
        task = await self._fixer.create_fix(wanted, target_ids=target_ids, request_id=request_id)
        return self._shown(task)  # a request id may be that of another one's task

    async def get_fix(self, task_id: str) -> FixTask:
        """Returns one task."""
        return self._shown(await self._fixer.get_fix(task_id))

    async def list_fixes(
        self, wanted: FixFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[FixTask]:
        """Lists tasks, newest first; of one instance, where the caller is limited to some."""
        wanted = wanted or FixFilter()
        if self._reach.limited():
            instance, namespaces = await self._reach.narrowed(
                wanted.instance, wanted.namespaces, wanted.repository
            )
            wanted = dataclasses.replace(wanted, instance=instance, namespaces=namespaces)
        return await self._fixer.list_fixes(wanted, page_size=page_size, page_token=page_token)

    async def cancel_fix(self, task_id: str) -> FixTask:
        """Calls off a task."""
        if self._reach.limited():
            await self.get_fix(task_id)
        return await self._fixer.cancel_fix(task_id)

    async def revert_fix(self, task_id: str) -> FixTask:
        """Has what the written tag held before put back."""
        if self._reach.limited():
            await self.get_fix(task_id)
        return await self._fixer.revert_fix(task_id)

    async def _check(self, wanted: FixRequest) -> None:
        """Returns when the caller may call about the image. Raises OUT_OF_REACH, REPO_NOT_EXIST."""
        if not self._reach.limited():
            return
        if wanted.repo_id:
            await self._reach.repository(wanted.instance, wanted.repo_id)
        if wanted.repository:
            await self._reach.named(wanted.instance, wanted.namespace, wanted.repository)
        if not wanted.repo_id and not wanted.repository:
            await self._reach.whole(wanted.instance)

    def _shown(self, task: FixTask) -> FixTask:
        if self._reach.limited():
            part = self._reach.part_of(task.instance_id)
            if part is None or not part.has(task.namespace):
                raise not_found("FIX_TASK_NOT_EXIST", f"There is no fix task {task.task_id!r}.")
        return task


def _overwrites() -> ServiceError:
    key = caller.current()
    return ServiceError(
        Kind.PERMISSION_DENIED,
        "ROLE_INSUFFICIENT",
        f"The key {key.name!r} is a {key.role.value.lower()} key; to write over a tag needs the role operator.",
        hint="Have `<tag>_fixd` made, or use a key with that role.",
        field="order.overwrite",
    )
