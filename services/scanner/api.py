"""What the scanner offers to other services: the only file of it that they may import."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.page import Page
from services.kernel.model.report import Coverage
from services.kernel.model.severity import Severity
from services.scanner.run import ReasonCount as ReasonCount  # noqa: PLC0414 - they are offered here
from services.scanner.run import Run as Run  # noqa: PLC0414
from services.scanner.run import RunState as RunState  # noqa: PLC0414
from services.scanner.state import State as State  # noqa: PLC0414 - it is offered here

if TYPE_CHECKING:  # what gates say speaks of findings as they stand here
    from services.scanner.gate.api import GateAnswer, GatePolicy


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageQuery:
    """Names an image of an instance: by repository id or by namespace and name; by tag, digest or task."""

    instance: str
    """Id or name."""
    repo_id: str = ""
    namespace: str = ""
    repository: str = ""
    tag: str = ""
    digest: Digest | None = None
    """When given, nothing is ever answered from another digest; with a tag, nothing that is not the tag's."""
    task_id: str = ""
    """When given, it alone decides; what else is given must agree with it."""
    engine: Engine | None = None
    """When given, nothing is ever answered from another engine's scan."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformScan:
    """One platform of a task's image, by one engine."""

    scan_id: str
    platform: str
    digest: str
    state: State
    reason: str
    message: str
    engine: Engine | None = None
    """Who scans it; None where an older scanner does not tell."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a person or a rule started on one image."""

    task_id: str
    instance_id: str
    repo_id: str
    namespace: str
    repository: str
    tag: str
    digest: Digest
    engine: Engine
    state: State
    reason: str
    message: str
    coverage: Coverage | None
    """None until COMPLETE."""
    findings: Mapping[Severity, int]
    """Distinct over all platforms; empty until COMPLETE."""
    advisories_version: str
    rule_ids: tuple[str, ...]
    created_at: datetime
    ended_at: datetime | None
    platforms: tuple[PlatformScan, ...] = ()
    """Filled by `get_task` only."""
    run_id: str = ""
    """Run of a rule that it belongs to; empty for none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageStanding:
    """How an image stands."""

    digest: Digest
    task: Task | None
    """The newest on the digest, with its platforms; None while there is none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks are wanted; empty means all."""

    instance: str = ""
    """Id or name."""
    state: State | None = None
    run_id: str = ""
    rule_id: str = ""
    engine: Engine | None = None
    repository: str = ""
    """`NAMESPACE/REPO`."""
    namespaces: tuple[str, ...] = ()
    """Only of these, at most 100."""
    tag: str = ""
    since: datetime | None = None
    """Asked for at this moment or later."""
    until: datetime | None = None
    """Asked for before this moment."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """Which findings are wanted; empty means all."""

    kinds: frozenset[FindingKind] = frozenset()
    severities: frozenset[Severity] = frozenset()
    id_contains: str = ""
    platform: str = ""
    descending: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFinding:
    """A finding and the platforms that have it."""

    finding: Finding
    platforms: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All matching findings of one finished task, in order."""

    task: Task
    """The task whose result this is: the last complete one of the same digest."""
    findings: tuple[PlacedFinding, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Something that is gone, and what went with it."""

    removal_id: str
    instance_id: str
    repo_id: str
    namespace: str
    repository: str
    tag: str
    """Empty when a digest or a whole repository went."""
    digest: str
    """That the tag had, or that was deleted by itself; empty for a whole repository."""
    cause: str
    noted_at: datetime
    due_at: datetime
    """The end of the grace period."""
    ended_at: datetime | None = None
    """When the last of its results went; None: not yet."""
    tasks: int = 0
    reports: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeenTag:
    """A tag as last seen."""

    tag: str
    digest: str
    seen_at: datetime | None
    """Up to when the registry vouched for its digest; None when only a task is known."""
    pulled_at: datetime | None
    """When it, or its digest, was last pulled; None when nobody told."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a complete task found, held against the scan before it."""

    task_id: str
    earlier_task_id: str
    """What it was compared with; empty where there was none: then all is new."""
    doubt: str
    """Why "nothing new" cannot be said of it, as a reason code; empty where it can."""
    found: Mapping[FindingKind, Mapping[Severity, int]]
    """How many findings there are of each kind, distinct over all platforms."""
    new: Mapping[FindingKind, Mapping[Severity, int]]
    """How many of them the earlier scan did not have."""
    examples: tuple[Finding, ...]
    """Some of those that are new, worst first."""


class ScannerApi(Protocol):
    """Tasks, their states and their findings.

    Errors of every call that names an image: INSTANCE_NOT_EXIST, REPO_NOT_EXIST, SCAN_TASK_NOT_EXIST,
    IMAGE_NOT_SCANNED (NOT_FOUND), TASK_DOES_NOT_MATCH and INVALID_* (INVALID_ARGUMENT).
    """

    async def create_task(
        self,
        image: ImageQuery,
        *,
        engine: Engine | None = None,
        target_ids: tuple[str, ...] = (),
        request_id: str = "",
        access: RegistryAccess | None = None,
    ) -> Task:
        """Asks the registry for the tag's digest, saves a task on it and returns at once.

        With an access of the caller's own the scan alone asks the registry, in that way, for this task only; the
        image is named by its digest then, and by no tag. Nothing of it is kept once the task has ended.

        A scan of the same content that runs or is finished is shared. Idempotent by `request_id` (a UUID).

        Raises:
            ServiceError: EDITION_NOT_SUPPORTED, ENGINE_NOT_READY, TARGET_NOT_EXIST, NOTIFIER_UNAVAILABLE,
                TAG_MOVED (the named digest is not the tag's), TAG_NOT_EXIST, DIGEST_NOT_EXIST (asked by digest
                alone), REPO_NOT_EXIST (where the registry tells it apart), or a registry reason such as
                REGISTRY_UNAUTHORIZED.
        """
        ...

    async def get_task(self, task_id: str) -> Task | Run:
        """Returns one task with its platforms, or one run of a rule with its progress."""
        ...

    async def list_tasks(
        self, wanted: TaskFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[Task]:
        """Lists tasks, newest first."""
        ...

    async def cancel_task(self, task_id: str) -> Task | Run:
        """Calls off a task, or a run with all its open tasks: FAILED with the reason CANCELLED.

        A scan that others wait for goes on for them; one that is being worked on is finished and kept. The tasks
        of a run end soon after. What has ended stays as it is. Idempotent.
        """
        ...

    async def rerun_task(self, task_id: str) -> Task | Run:
        """Tries a failed task again, or what failed in a run, as the same tasks. Idempotent while they are open.

        Raises:
            ServiceError: TASK_NOT_FAILED (FAILED_PRECONDITION) for what is complete; RUN_UNDER_WAY when another
                run of the rule has not ended.
        """
        ...

    async def image_status(self, image: ImageQuery) -> Task:
        """Returns the newest task of a tag or digest: one indexed read, never the registry."""
        ...

    async def wait_for_end(self, image: ImageQuery, seconds: float) -> Task:
        """Returns the newest task on an image once it has ended, or as it stands when the time is up.

        Without a digest or a task the registry is asked for the tag's digest first; a task that is yet to come is
        waited for, too. Whoever gives up, or loses the connection, asks again and is told the same.

        Raises:
            ServiceError: IMAGE_NOT_SCANNED when there was none until then; TOO_MANY_WAITERS (RESOURCE_EXHAUSTED);
                STOPPING (UNAVAILABLE); TAG_NOT_EXIST, or a registry reason such as REGISTRY_UNAUTHORIZED.
        """
        ...

    def watch(self, image: ImageQuery) -> AsyncIterator[ImageStanding]:
        """Yields how an image stands, at once and at every change, up to the end of its newest task.

        Raises:
            ServiceError: as `wait_for_end`, IMAGE_NOT_SCANNED excepted.
        """
        ...

    async def evaluate_gate(self, image: ImageQuery, policy: GatePolicy, platform: str = "") -> GateAnswer:
        """Holds the newest task on what a tag is at present against a policy, at once.

        Where no engine is named, what the other one's newest complete task on the digest found counts, too.

        What nobody can tell is UNDECIDED and no error: an image not scanned, a scan under way or failed, a
        registry that does not answer.

        Raises:
            ServiceError: INVALID_VEX, VEX_TOO_LARGE, PLATFORM_NOT_EXIST, TAG_NOT_EXIST.
        """
        ...

    async def findings(self, image: ImageQuery, wanted: FindingFilter) -> Findings:
        """Returns the findings of the last complete task on the image's digest, and of its tag where one is named.

        Raises:
            ServiceError: SCAN_NOT_COMPLETE (FAILED_PRECONDITION) while there is no complete one.
        """
        ...

    async def report(self, image: ImageQuery, platform: str = "") -> bytes:
        """Returns one platform's report as JSON; where several engines scanned it, what they say together.

        Raises:
            ServiceError: PLATFORM_AMBIGUOUS when none is named and there are several; PLATFORM_NOT_EXIST.
        """
        ...

    async def finding_events(
        self, *, since: datetime | None = None, cursor: str = "", limit: int = 0
    ) -> tuple[tuple[bytes, ...], str]:
        """Returns events of findings behind a cursor, each a line of JSON, and the cursor behind them.

        Without a cursor: those told since a moment, else every one that the bus keeps. None is no end: more come.
        Those of one finding are in order; one may come twice, with the same id.

        Raises:
            ServiceError: INVALID_PAGE_TOKEN, INVALID_PAGE_SIZE, BUS_UNAVAILABLE.
        """
        ...

    async def open_findings(self, *, instance: str = "", page_size: int = 0, page_token: str = "") -> Page[bytes]:
        """Lists findings that are open in the stream, each as an event on a line of JSON."""
        ...

    async def list_tags(
        self, *, instance: str, namespace: str, repository: str, page_size: int = 0, page_token: str = ""
    ) -> Page[SeenTag]:
        """Lists the tags of a repository by name; none of one that nobody has seen."""
        ...

    async def list_removals(self, *, instance: str, page_size: int = 0, page_token: str = "") -> Page[Removal]:
        """Lists what went of an instance, newest first; that may be one that was deleted, by its id."""
        ...

    async def compare(self, task_id: str) -> Comparison:
        """Holds what a complete task found against the newest earlier complete scan by the same engine.

        That is one of the same repository and tag, else of the same digest in the repository, that was asked for
        before this one and could judge something. A finding is known when that one had it of the same package and
        file, whatever the package's version.

        Raises:
            ServiceError: SCAN_TASK_NOT_EXIST; SCAN_NOT_COMPLETE; REPORT_NOT_EXIST when its report is gone.
        """
        ...
