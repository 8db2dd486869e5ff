"""Ends of fixes: what the notifier reads of them, and who is told: pure."""

from __future__ import annotations

import dataclasses
import enum
from datetime import datetime

from services.kernel.reasons import Reason
from services.notifier.api import Occasion, Subscription
from services.notifier.events import News
from services.notifier.filters import Decision, Pass, Tell, covers

_MET = {
    News.FIX_FINISHED: frozenset({Occasion.COMPLETED, Occasion.FINDINGS}),
    News.FIX_FAILED: frozenset({Occasion.FAILED}),
}
"""Whoever hears of findings of an image hears that they are gone."""


class FixEnd(enum.Enum):
    """How a fix ended."""

    SUCCEEDED = "SUCCEEDED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixEvent:
    """A fix ended."""

    event_id: str
    task_id: str
    state: FixEnd
    instance_id: str
    repo_id: str
    namespace: str
    repository: str
    tag: str
    digest: str
    """What the tag held when the fix was asked for."""
    fixed_tag: str
    fixed_digest: str
    backup_tag: str
    reason: str
    message: str
    fixed: int
    still_present: int
    not_fixable: int
    new_findings: int
    scan_task_id: str
    created_by: str
    target_ids: tuple[str, ...]
    """Those that the order names."""
    rule_ids: tuple[str, ...]
    rule_target_ids: tuple[str, ...]
    """Those of the rules that cover the image."""
    occurred_at: datetime


def news_in_fix(event: FixEvent) -> News | None:
    """Returns what the end of a fix is told as; None for one that somebody called off, who knows."""
    if event.state is not FixEnd.FAILED:
        return News.FIX_FINISHED
    return None if event.reason == Reason.CANCELLED.code else News.FIX_FAILED


def decide_fix(subscription: Subscription, event: FixEvent, target_id: str) -> Decision:
    """Returns what becomes of the end of a fix for a target.

    Its scope narrows both ways of being named; its occasions only that of rules: an order names whom it means.
    """
    news = news_in_fix(event)
    if news is None or not covers(subscription, event):
        return Pass()
    met = _MET[news] & subscription.occasions
    return Tell(occasions=met) if met or target_id in event.target_ids else Pass()
