"""Rows of the fixer, as values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime

from services.fixer.api import FixState, Stage
from services.fixer.order import FixOrder, FixResult, Pushed
from services.kernel.model.digest import Digest
from services.kernel.model.reference import RepositoryName


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewFix:
    """A task to be saved."""

    order: FixOrder
    repo_id: str
    target_ids: tuple[str, ...]
    rule_ids: tuple[str, ...]
    rule_target_ids: tuple[str, ...]
    created_by: str
    traceparent: str
    created_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Findings over all platforms, by what became of them."""

    fixed: int = 0
    still_present: int = 0
    not_fixable: int = 0
    new_findings: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixRecord:
    """A task as it is kept."""

    task_id: str
    instance_id: str
    repo_id: str
    namespace: str
    repository: str
    tag: str
    digest: Digest
    findings: tuple[str, ...]
    overwrite: bool
    target_ids: tuple[str, ...]
    rule_ids: tuple[str, ...]
    rule_target_ids: tuple[str, ...]
    created_by: str
    traceparent: str
    state: FixState
    outcome: FixState | None
    """How the fix ended, whatever came later; None while it has not."""
    stage: Stage | None
    progress_message: str
    progress_done: int
    progress_total: int
    reason: str
    message: str
    hint: str
    pushed: Pushed | None
    """What was about to be written; None before."""
    result: FixResult | None = dataclasses.field(repr=False)
    """None before the end, after a failure, and in lists."""
    scan_task_id: str
    attached: Mapping[str, str]
    tally: Tally
    revert_reason: str
    revert_message: str
    attempts: int
    cancel_asked: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    reverted_at: datetime | None

    @property
    def order(self) -> FixOrder:
        """What was asked for."""
        return FixOrder(
            task_id=self.task_id,
            instance_id=self.instance_id,
            repository=RepositoryName(namespace=self.namespace, name=self.repository),
            tag=self.tag,
            digest=self.digest,
            findings=self.findings,
            overwrite=self.overwrite,
        )

    @property
    def past_cancel(self) -> bool:
        """Whether a tag may have been written, now or by an attempt that died."""
        return self.pushed is not None or self.stage in (Stage.PUSHING, Stage.PROVING)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on a task until the heartbeat stops; `fence` proves it."""

    task_id: str
    fence: int
    attempts: int
    """This one included."""
