"""The way of a fix, and the service around it, as a test wants them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

from services.fixer.api import (
    FixFilter,
    FixPreview,
    FixRequest,
    FixState,
    FixTask,
    PlatformFix,
    Stage,
    Verdict,
)
from services.fixer.order import (
    FindingOutcome,
    FixOrder,
    FixPlan,
    FixResult,
    PlatformPlan,
    Progress,
    Pushed,
)
from services.fixer.plan.outcome import FindingRef, NotFixable
from services.fixer.plan.packages import Candidate, InstalledPackage, Upgrade
from services.kernel.errors import not_found
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.page import Page
from services.kernel.model.platform import Platform
from services.scanner.api import ImageQuery, ImageStanding
from tests.fakes.scanner import FakeScanner

FIXED = digest_of(b"fixed")
BACKUP = "1.0_drydock-backup"
PLATFORM = Platform(os="linux", architecture="amd64")


def a_finding_ref(identifier: str = "CVE-2024-0001", package: str = "openssl") -> FindingRef:
    return FindingRef(
        id=identifier,
        package=package,
        version="1.0",
        fixed_version="1.1",
        path="/var/lib/dpkg/status",
        severity="HIGH",
    )


def an_upgrade(name: str = "openssl", *because: FindingRef) -> Upgrade:
    return Upgrade(
        installed=InstalledPackage(
            name=name, version="1.0", architecture="amd64", source=name, source_version="1.0"
        ),
        candidate=Candidate(
            name=name,
            version="1.1",
            architecture="amd64",
            source=name,
            source_version="1.1",
            url=f"http://repo/{name}.deb",
            size=10,
            sha256="0" * 64,
            fields={"Depends": "libc6"},
        ),
        because=because,
    )


def a_plan(*, left_over: NotFixable | None = None, verdict: Verdict = Verdict.FIXED) -> PlatformPlan:
    """One upgrade and its finding; with `left_over`, another finding that stays."""
    first = a_finding_ref()
    outcomes = [FindingOutcome(finding=first, verdict=verdict)]
    if left_over is not None:
        stays = FindingOutcome(
            finding=a_finding_ref("CVE-2024-0002", "zlib1g"),
            verdict=Verdict.NOT_FIXABLE,
            why=left_over,
            message="There is no newer one.",
        )
        outcomes.append(stays)
    return PlatformPlan(
        platform=PLATFORM,
        digest=digest_of(b"image"),
        system="dpkg",
        upgrades=(an_upgrade("openssl", first),),
        outcomes=tuple(outcomes),
    )


def a_result(plan: PlatformPlan | None = None, *, tag: str = "1.0_fixd") -> FixResult:
    return FixResult(
        platforms=(dataclasses.replace(plan or a_plan(), fixed_digest=FIXED, layer_bytes=1024),),
        tag=tag,
        digest=FIXED,
        previous="",
        backup_tag=BACKUP,
        scan_task_id="scan-1",
        new_findings=0,
        attached={"vex": digest_of(b"vex")},
    )


Step = Callable[[FixOrder], Awaitable[None]]


class FakeWork:
    """Goes through all stages; a test may stop it, or have it fail, before any of them."""

    def __init__(self) -> None:
        self.result = a_result()
        self.before: dict[Stage, Step] = {}
        """What is done before a stage is told."""
        self.after_push: Step | None = None
        """What is done between `about_to_push` and the writing of the tag."""
        self.written: list[str] = []
        """Tags, as often as they were written."""
        self.resumed: list[Pushed | None] = []
        self.cleaned = 0
        """How often it was cancelled and cleaned up."""
        self.orders: list[FixOrder] = []
        self.reverted: list[FixResult] = []
        self.revert_failure: Exception | None = None
        self.preview_failure: Exception | None = None

    async def preview(self, order: FixOrder) -> FixPlan:
        self.orders.append(order)
        if self.preview_failure is not None:
            raise self.preview_failure
        return FixPlan(platforms=(a_plan(left_over=NotFixable.NO_FIXED_VERSION),), tag=self.result.tag)

    async def run(self, order: FixOrder, progress: Progress) -> FixResult:
        self.orders.append(order)
        try:
            for stage in (Stage.PLANNING, Stage.FETCHING, Stage.BUILDING, Stage.PUSHING):
                await self._step(self.before.get(stage), order)
                await progress.stage(stage, stage.value.lower(), done=1, of=4)
            self.resumed.append(await progress.pushed_before())
            if self.resumed[-1] is None:
                pushed = Pushed(
                    tag=self.result.tag, digest=self.result.digest, previous="sha256:old", backup_tag=BACKUP
                )
                await progress.about_to_push(pushed)
            await self._step(self.after_push, order)
            if self.result.tag not in self.written:
                self.written.append(self.result.tag)
            await self._step(self.before.get(Stage.PROVING), order)
            await progress.stage(Stage.PROVING, "proving")
        except asyncio.CancelledError:
            self.cleaned += 1
            raise
        return self.result

    async def revert(self, order: FixOrder, result: FixResult) -> Digest:
        self.orders.append(order)
        self.reverted.append(result)
        if self.revert_failure is not None:
            raise self.revert_failure
        return order.digest

    async def _step(self, step: Step | None, order: FixOrder) -> None:
        if step is not None:
            await step(order)


class MovedTag(FakeScanner):
    """A scanner whose registry has another digest under the tag than what was scanned."""

    def __init__(self, present: Digest) -> None:
        super().__init__()
        self.present = present

    async def watch(self, image: ImageQuery) -> AsyncIterator[ImageStanding]:
        self.asked.append(image)
        yield ImageStanding(digest=self.present, task=None)

    async def findings(self, image: ImageQuery, wanted: object) -> object:  # type: ignore[override] # never any
        del wanted
        raise not_found("IMAGE_NOT_SCANNED", f"{image.digest} was never scanned.")


def a_fix_task(**changes: object) -> FixTask:
    task = FixTask(
        task_id="6dd5e0a1-4c2c-4e50-9c5b-0d6d6f1a0a56",
        instance_id="cri-x",
        repo_id="crr-x",
        namespace="team",
        repository="app",
        tag="1.0",
        digest=digest_of(b"image"),
        findings=(),
        overwrite=False,
        target_ids=(),
        created_by="ops",
        state=FixState.PENDING,
        stage=None,
        progress_message="",
        progress_done=0,
        progress_total=0,
        reason="",
        message="",
        hint="",
        fixed_tag="",
        fixed_digest="",
        backup_tag="",
        previous_digest="",
        scan_task_id="",
        attached={},
        fixed=0,
        still_present=0,
        not_fixable=0,
        new_findings=0,
        revert_reason="",
        revert_message="",
        attempts=0,
        cancelling=False,
        created_at=datetime(2026, 11, 26, tzinfo=UTC),
        started_at=None,
        ended_at=None,
        reverted_at=None,
    )
    return dataclasses.replace(task, **changes)  # type: ignore[arg-type] # the test names fields of FixTask


class FakeFixer:
    """Answers with the tasks that a test gives it: each reading of a task takes the next."""

    def __init__(self, *tasks: FixTask) -> None:
        self.tasks = list(tasks or (a_fix_task(),))
        self.asked: list[FixRequest] = []
        self.targets: tuple[str, ...] = ()
        self.filters: list[FixFilter] = []
        self.failure: Exception | None = None
        self.platforms: tuple[PlatformFix, ...] = ()

    async def preview_fix(self, wanted: FixRequest) -> FixPreview:
        self.asked.append(wanted)
        if self.failure is not None:
            raise self.failure
        return FixPreview(
            instance_id="cri-x",
            repo_id="crr-x",
            namespace=wanted.namespace,
            repository=wanted.repository,
            tag=wanted.tag,
            digest=digest_of(b"image"),
            fixed_tag=f"{wanted.tag}_fixd",
            platforms=self.platforms,
        )

    async def create_fix(
        self, wanted: FixRequest, *, target_ids: tuple[str, ...] = (), request_id: str = ""
    ) -> FixTask:
        del request_id
        self.asked.append(wanted)
        self.targets = target_ids
        if self.failure is not None:
            raise self.failure
        return self.tasks[0]

    async def get_fix(self, task_id: str) -> FixTask:
        if not self.tasks or self.tasks[0].task_id != task_id:
            raise not_found("FIX_TASK_NOT_EXIST", f"There is no fix task {task_id!r}.")
        return self.tasks.pop(0) if len(self.tasks) > 1 else self.tasks[0]

    async def list_fixes(
        self, wanted: FixFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[FixTask]:
        del page_size, page_token
        self.filters.append(wanted or FixFilter())
        return Page(items=tuple(self.tasks))

    async def cancel_fix(self, task_id: str) -> FixTask:
        return await self.get_fix(task_id)

    async def revert_fix(self, task_id: str) -> FixTask:
        return await self.get_fix(task_id)
