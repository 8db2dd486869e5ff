"""What the fixer offers to other services: the only file of it that they may import."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from services.fixer.failure import FixReason as FixReason  # noqa: PLC0414 - it is offered here
from services.fixer.order import Stage as Stage  # noqa: PLC0414 - it is offered here
from services.fixer.order import Verdict as Verdict  # noqa: PLC0414 - it is offered here
from services.kernel.model.digest import Digest
from services.kernel.model.page import Page

FIXED_SUFFIX: Final = "_fixd"
"""Ends the tags that fixes write."""
MAX_FINDINGS: Final = 1000
"""Findings that one order names."""


class FixState(enum.Enum):
    """Where a fix task stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    """An attempt failed for a passing reason; another one follows."""
    SUCCEEDED = "SUCCEEDED"
    """Everything that was asked for is fixed, and the scan of the fixed image says so."""
    PARTIAL = "PARTIAL"
    """Fixed in part: each finding says what became of it."""
    FAILED = "FAILED"
    """No fixed image that anybody vouches for."""
    REVERTING = "REVERTING"
    REVERTED = "REVERTED"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self not in _OPEN


_OPEN = frozenset({FixState.PENDING, FixState.RUNNING, FixState.RETRYING, FixState.REVERTING})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixRequest:
    """What a caller wants fixed: a tag of a repository, by its id or by namespace and name."""

    instance: str
    """Id or name."""
    repo_id: str = ""
    namespace: str = ""
    repository: str = ""
    tag: str = ""
    digest: Digest | None = None
    """When given, the tag must hold it."""
    findings: tuple[str, ...] = ()
    """Ids, or aliases, of the findings to fix; empty for all that can be."""
    overwrite: bool = False
    """Writes over the tag itself in place of making `<tag>_fixd`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixedPackage:
    """A package that is replaced by a newer one."""

    name: str
    architecture: str
    source: str
    from_version: str
    to_version: str
    findings: tuple[str, ...]
    """Ids of what it is replaced for; empty where it goes along with another package of its source."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FindingFate:
    """What became of one finding on one platform, or in a preview what will."""

    id: str
    package: str
    version: str
    fixed_version: str
    """Empty where there is none."""
    path: str
    severity: str
    verdict: Verdict
    """In a preview, FIXED means that it is to be."""
    reason: str = ""
    """Why it is NOT_FIXABLE, as a reason code."""
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFix:
    """What became of one platform, or in a preview what will."""

    platform: str
    """As in `linux/amd64`."""
    digest: str
    """Of its manifest as it was."""
    system: str
    """`dpkg`, `apk`, `rpm`; empty where the platform is left as it is."""
    packages: tuple[FixedPackage, ...]
    findings: tuple[FindingFate, ...]
    """Every finding that was asked for."""
    left_reason: str = ""
    """Why the platform is left as it is, as a reason code; empty where it is fixed."""
    message: str = ""
    fixed_digest: str = ""
    """Of its new manifest; empty in a preview, and where it is left."""
    layer_bytes: int = 0
    """Stored size of the new layer."""
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixPreview:
    """What a fix would do."""

    instance_id: str
    repo_id: str
    namespace: str
    repository: str
    tag: str
    digest: Digest
    """What the tag holds."""
    fixed_tag: str
    """The tag that would be written."""
    platforms: tuple[PlatformFix, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixTask:
    """One fix of one tag."""

    task_id: str
    instance_id: str
    repo_id: str
    namespace: str
    repository: str
    tag: str
    digest: Digest
    """What the tag held when the fix was asked for."""
    findings: tuple[str, ...]
    """Those that were asked for; empty for all that can be fixed."""
    overwrite: bool
    target_ids: tuple[str, ...]
    """Targets that the order names."""
    created_by: str
    """Name of the key that asked for it."""
    state: FixState
    stage: Stage | None
    """How far it is, or came; None before a worker took it."""
    progress_message: str
    progress_done: int
    progress_total: int
    """0 where nothing is counted."""
    reason: str
    """Of RETRYING and FAILED."""
    message: str
    """The reason as a sentence; of PARTIAL, what is left."""
    hint: str
    fixed_tag: str
    """The tag that is written; empty until it is about to be."""
    fixed_digest: str
    backup_tag: str
    """Still holds what the written tag held before; empty where that held nothing."""
    previous_digest: str
    scan_task_id: str
    """Scan of the fixed image that the verdicts rest on."""
    attached: Mapping[str, str]
    """Digests of what is attached to the fixed image, by kind."""
    fixed: int
    """Findings, over all platforms; so are the next three."""
    still_present: int
    not_fixable: int
    new_findings: int
    """Findings of the fixed image that the original has not."""
    revert_reason: str
    """Why it could not be reverted; empty where nobody tried, or it was."""
    revert_message: str
    attempts: int
    cancelling: bool
    """Whether somebody called it off, and it has not ended yet."""
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    """When the fix ended."""
    reverted_at: datetime | None
    platforms: tuple[PlatformFix, ...] = ()
    """Filled by all but `list_fixes`, once the fix has ended."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixFilter:
    """Which tasks are wanted; empty means all."""

    instance: str = ""
    """Id or name."""
    repository: str = ""
    """`NAMESPACE/REPO`."""
    namespaces: tuple[str, ...] = ()
    """Only of these, at most 100."""
    tag: str = ""
    state: FixState | None = None


class FixerApi(Protocol):
    """Fixes: previews, tasks and their ends. Nothing fixes by itself.

    Errors of every call that says what is to be fixed: INSTANCE_NOT_EXIST, EDITION_NOT_SUPPORTED, REPO_NOT_EXIST,
    TAG_NOT_EXIST; TAG_REQUIRED, TAG_IS_A_FIX, FINDING_NOT_EXIST, TOO_MANY_FINDINGS, INVALID_* (INVALID_ARGUMENT);
    ENGINE_CANNOT_FIX, IMAGE_NOT_SCANNED, SCAN_UNDER_WAY, SCAN_FAILED, IMAGE_CHANGED, TAG_MOVED, TAG_TOO_LONG; and
    a registry reason such as REGISTRY_UNAUTHORIZED.
    """

    async def preview_fix(self, wanted: FixRequest) -> FixPreview:
        """Tells what a fix would do; changes nothing anywhere.

        Raises:
            ServiceError: besides, what would end the fix (`FixReason`); TOO_MANY_PREVIEWS; PREVIEW_TIMED_OUT.
        """
        ...

    async def create_fix(
        self, wanted: FixRequest, *, target_ids: tuple[str, ...] = (), request_id: str = ""
    ) -> FixTask:
        """Saves a task on what the registry has under the tag, and returns at once.

        Idempotent by `request_id` (a UUID); the same order as that of a fix under way returns that one.

        Raises:
            ServiceError: besides, FIX_UNDER_WAY, TOO_MANY_FIXES, TARGET_NOT_EXIST, REQUEST_ID_REUSED.
        """
        ...

    async def get_fix(self, task_id: str) -> FixTask:
        """Returns one task. Raises FIX_TASK_NOT_EXIST."""
        ...

    async def list_fixes(
        self, wanted: FixFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[FixTask]:
        """Lists tasks, newest first."""
        ...

    async def cancel_fix(self, task_id: str) -> FixTask:
        """Calls off a task; one that a worker is at ends soon after. What has ended stays as it is. Idempotent.

        Raises:
            ServiceError: FIX_TASK_NOT_EXIST; FIX_PUSHING when it writes to the registry already.
        """
        ...

    async def revert_fix(self, task_id: str) -> FixTask:
        """Has what the written tag held before put back by a worker. Idempotent.

        Raises:
            ServiceError: FIX_TASK_NOT_EXIST; FIX_NOT_REVERTIBLE; FIX_UNDER_WAY when a fix of the tag is.
        """
        ...
