"""What the notifier reads from the bus, and which of it is worth telling."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import datetime

from services.kernel.reasons import Reason


class State(enum.Enum):
    """What became of a scan task."""

    SCANNING = "SCANNING"
    RETRYING = "RETRYING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


class News(enum.Enum):
    """Kinds of notification, in the words of their receivers."""

    SCAN_COMPLETED = "scan.completed"
    SCAN_FAILED = "scan.failed"
    SCAN_DIGEST = "scan.digest"
    """Several of the others, told together."""
    FIX_FINISHED = "fix.finished"
    """A fix ended, and the image is fixed, whole or in part."""
    FIX_FAILED = "fix.failed"
    TARGET_TEST = "target.test"
    """Nothing happened: somebody asks whether it arrives."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reevaluated:
    """What newer advisories changed about an image that nobody scanned again."""

    previous_version: str
    """Of the advisories that the earlier verdict rested on."""
    new: Mapping[str, int]
    """Findings by severity that were not there before."""
    malicious: int
    """Malicious samples among these."""
    gone: Mapping[str, int]
    changed: int
    """Findings of which something else is said now."""
    first: bool
    """Whether the earlier verdict rested on nothing: what is new then is no news."""
    superseded: bool
    """Whether the tag has another digest by now."""

    @property
    def is_news(self) -> bool:
        """Whether people are told unless they ask for more: something new is wrong with what a tag has."""
        return bool(sum(self.new.values())) and not self.first and not self.superseded


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScanEvent:
    """A scan task changed its state."""

    event_id: str
    task_id: str
    state: State
    instance_id: str
    repo_id: str
    namespace: str
    repository: str
    tag: str
    digest: str
    engine: str
    reason: str
    message: str
    findings: Mapping[str, int]
    """By severity."""
    coverage: str
    advisories_version: str
    rule_ids: tuple[str, ...]
    target_ids: tuple[str, ...]
    occurred_at: datetime
    reevaluated: Reevaluated | None = None
    """Set when nobody scanned: all else says how the image stands since."""


def news_in(event: ScanEvent) -> News | None:
    """Returns what an event may be told as: the end of a scan.

    What somebody called off is no news: whoever did so knows, and a run of a rule may have thousands of images. Of
    what newer advisories changed, only what is new is: the first that are loaded are new to every image there is.
    """
    if event.reevaluated is not None and not event.reevaluated.is_news:
        return None
    if event.state is State.FAILED:
        return None if event.reason == Reason.CANCELLED.code else News.SCAN_FAILED
    return News.SCAN_COMPLETED if event.state is State.COMPLETE else None
