"""A scanner that holds what a test puts in: the edges are tested in front of it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from services.kernel.errors import Kind, ServiceError, not_found
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding, FindingKind, FixState, Package
from services.kernel.model.page import Page
from services.kernel.model.reference import RepositoryName
from services.kernel.model.report import Coverage
from services.kernel.model.severity import Severity
from services.scanner.api import (
    Comparison,
    FindingFilter,
    Findings,
    ImageQuery,
    ImageStanding,
    PlacedFinding,
    Removal,
    Run,
    SeenTag,
    State,
    Task,
    TaskFilter,
)
from services.scanner.gate.api import GateAnswer, GatePolicy, undecided

DIGEST = Digest("sha256:" + "d" * 64)


def a_task(**changes: object) -> Task:
    task = Task(
        task_id="6dd5e0a1-4c2c-4e50-9c5b-0d6d6f1a0a55",
        instance_id="cri-x",
        repo_id="crr-x",
        namespace="team",
        repository="app",
        tag="1.0",
        digest=DIGEST,
        engine=Engine.SECURITY_CENTER,
        state=State.COMPLETE,
        reason="",
        message="",
        coverage=Coverage.FULL,
        findings={},
        advisories_version="v1",
        rule_ids=(),
        created_at=datetime(2026, 11, 24, tzinfo=UTC),
        ended_at=datetime(2026, 11, 24, 0, 1, tzinfo=UTC),
    )
    return dataclasses.replace(task, **changes)  # type: ignore[arg-type] # the test names fields of Task


def a_finding(
    identifier: str = "CVE-2024-0001",
    severity: Severity = Severity.LOW,
    *,
    name: str = "openssl",
    version: str = "1.0",
    fixed: str = "1.1",
    purl_type: str = "deb",
    kind: FindingKind = FindingKind.SYSTEM_VULNERABILITY,
    path: str = "/var/lib/dpkg/status",
) -> Finding:
    layer = "sha256:" + "1" * 64
    package = Package(
        purl=f"pkg:{purl_type}/{name}@{version}",
        name=name,
        version=version,
        ecosystem="Debian:12",
        path=path,
        layer=layer,
    )
    return Finding(
        kind=kind,
        id=identifier,
        aliases=(),
        severity=severity,
        score=None,
        title=f"Flaw {identifier}",
        link=f"https://example.org/{identifier}",
        package=package,
        fixed_version=fixed,
        path=path,
        layer=layer,
        fix_state=FixState.FIXED if fixed else FixState.AFFECTED,
    )


class FakeScanner:
    """One image: its newest task, and the result of its last complete one."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.earlier: tuple[Task, ...] = ()
        """Other tasks, newest first, that are listed after it."""
        self.result: tuple[Finding, ...] | None = None
        self.tags: tuple[SeenTag, ...] = ()
        self.older: tuple[Task, tuple[Finding, ...] | None] | None = None
        """The newest task by another engine, and its result."""
        self.asked: list[ImageQuery] = []
        self.created: list[tuple[ImageQuery, Engine | None]] = []
        self.lent: list[RegistryAccess | None] = []
        self.reported = b"{}"

    async def create_task(
        self,
        image: ImageQuery,
        *,
        engine: Engine | None = None,
        target_ids: tuple[str, ...] = (),
        request_id: str = "",
        access: RegistryAccess | None = None,
    ) -> Task:
        del target_ids, request_id
        self.lent.append(access)
        if image.tag == "none":
            raise not_found("TAG_NOT_EXIST", "The registry has no tag 'none'.")
        self.created.append((image, engine))
        return self.task or a_task(state=State.PENDING, coverage=None)

    async def get_task(self, task_id: str) -> Task:
        for task in (self.task, self.older[0] if self.older else None):
            if task is not None and task.task_id == task_id:
                return task
        raise not_found("SCAN_TASK_NOT_EXIST", f"There is no task {task_id}.")

    async def list_tasks(
        self, wanted: TaskFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[Task]:
        wanted = wanted or TaskFilter()
        tasks = [task for task in (self.task, *self.earlier) if task is not None and _is_wanted(task, wanted)]
        begin = int(page_token or "0")
        end = begin + (page_size or 100)
        return Page(items=tuple(tasks[begin:end]), next_token=str(end) if end < len(tasks) else "")

    async def cancel_task(self, task_id: str) -> Task | Run:
        task = await self.get_task(task_id)
        self.task = dataclasses.replace(task, state=State.FAILED, reason="CANCELLED")
        return self.task

    async def rerun_task(self, task_id: str) -> Task | Run:
        self.task = dataclasses.replace(await self.get_task(task_id), state=State.PENDING, reason="")
        return self.task

    async def image_status(self, image: ImageQuery) -> Task:
        self.asked.append(image)
        if listed := next((task for task in self.earlier if task.task_id == image.task_id), None):
            return listed
        if self.task is None:
            raise not_found("IMAGE_NOT_SCANNED", "The image was never scanned.")
        if image.task_id and image.task_id != self.task.task_id:
            raise not_found("SCAN_TASK_NOT_EXIST", f"There is no task {image.task_id[:64]!r}.")
        if image.engine not in (None, self.task.engine):
            if self.older is None or self.older[0].engine is not image.engine:
                raise not_found("IMAGE_NOT_SCANNED", "The image was never scanned by that engine.")
            return self.older[0]
        return self.task

    async def wait_for_end(self, image: ImageQuery, seconds: float) -> Task:
        del seconds
        return await self.image_status(image)

    async def watch(self, image: ImageQuery) -> AsyncIterator[ImageStanding]:
        task = await self.image_status(image)
        yield ImageStanding(digest=task.digest, task=task)

    async def evaluate_gate(self, image: ImageQuery, policy: GatePolicy, platform: str = "") -> GateAnswer:
        del platform
        self.policy = policy
        task = await self.image_status(image)
        return GateAnswer(verdict=undecided("SCAN_UNDER_WAY", "The scan is RUNNING."), task_id=task.task_id)

    async def findings(self, image: ImageQuery, wanted: FindingFilter) -> Findings:
        task = await self.image_status(image)
        result = self.older[1] if self.older is not None and task is self.older[0] else self.result
        if result is None:
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "SCAN_NOT_COMPLETE",
                "The scan is not complete yet.",
                metadata={"state": task.state.value, "reason": task.reason},
            )
        chosen = [finding for finding in result if _matches(finding, wanted)]
        chosen.sort(key=lambda finding: (finding.severity.rank, *finding.key), reverse=wanted.descending)
        placed = tuple(PlacedFinding(finding=finding, platforms=("linux/amd64",)) for finding in chosen)
        return Findings(task=task, findings=placed)

    async def report(self, image: ImageQuery, platform: str = "") -> bytes:
        del platform
        await self.image_status(image)
        return self.reported

    async def list_tags(
        self, *, instance: str, namespace: str, repository: str, page_size: int = 0, page_token: str = ""
    ) -> Page[SeenTag]:
        return Page(items=self.tags)

    async def list_removals(self, *, instance: str, page_size: int = 0, page_token: str = "") -> Page[Removal]:
        return Page(items=())

    async def compare(self, task_id: str) -> Comparison:
        raise not_found("SCAN_TASK_NOT_EXIST", f"There is no scan task {task_id!r}.")

    async def finding_events(
        self, *, since: datetime | None = None, cursor: str = "", limit: int = 0
    ) -> tuple[tuple[bytes, ...], str]:
        return (), cursor

    async def open_findings(self, *, instance: str = "", page_size: int = 0, page_token: str = "") -> Page[bytes]:
        return Page(items=())


def _is_wanted(task: Task, wanted: TaskFilter) -> bool:
    path = RepositoryName(namespace=task.namespace, name=task.repository).path
    return (
        wanted.state in (None, task.state)
        and task.namespace in (wanted.namespaces or (task.namespace,))
        and wanted.repository in ("", path)
        and (wanted.since is None or wanted.since <= task.created_at)
    )


def _matches(finding: Finding, wanted: FindingFilter) -> bool:
    return (
        (not wanted.kinds or finding.kind in wanted.kinds)
        and (not wanted.severities or finding.severity in wanted.severities)
        and wanted.id_contains.lower() in finding.id.lower()
    )
