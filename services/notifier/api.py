"""What the notifier offers to other services: the only file of it that they may import."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from services.kernel.model.page import Page
from services.kernel.model.severity import Severity

MAX_CHECKED_TARGETS = 100


class TargetKind(enum.Enum):
    """How a target is told."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Somebody to be told."""

    target_id: str
    name: str
    kind: TargetKind
    url: str = dataclasses.field(repr=False)
    """Often a secret; kept sealed."""
    created_at: datetime


class Occasion(enum.Enum):
    """When a target is told."""

    COMPLETED = "COMPLETED"
    """Any scan is complete, that of a clean image too."""
    FINDINGS = "FINDINGS"
    """A complete scan found something that is severe enough, or nothing could be judged."""
    MALICIOUS_SAMPLE = "MALICIOUS_SAMPLE"
    """A complete scan found a malicious sample."""
    FAILED = "FAILED"
    """A scan failed; not one that somebody called off."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What a target is told of, and when. Its scope narrows what its rules say; it never widens it."""

    occasions: frozenset[Occasion] = frozenset({Occasion.FINDINGS, Occasion.FAILED})
    min_severity: Severity = Severity.UNKNOWN
    """Less severe findings are no occasion."""
    new_only: bool = False
    """Whether findings and samples that the scan before had are no occasion."""
    instances: tuple[str, ...] = ()
    """Only images of these, by id; all when empty."""
    namespaces: tuple[str, ...] = ()
    """Only images of these; all when empty."""
    repositories: tuple[str, ...] = ()
    """Only images of these, as `NAMESPACE/REPO`; all when empty."""
    tag_pattern: str = ""
    """RE2 for the whole tag; all when empty, images without a tag too."""
    window_seconds: int = 0
    """Length of the windows whose news are told together; 0: each at once."""


class NotifierApi(Protocol):
    """Targets. Errors: TARGET_NOT_EXIST, TARGET_ALREADY_EXIST, INVALID_*."""

    async def create_target(self, *, name: str, kind: TargetKind, url: str) -> Target:
        """Saves a target; the URL is checked, not called."""
        ...

    async def list_targets(self, *, page_size: int = 0, page_token: str = "") -> Page[Target]:
        """Lists targets by name."""
        ...

    async def delete_target(self, target: str) -> None:
        """Deletes a target by id or name; deliveries under way to it end as CANCELLED.

        Rules and tasks may still name it: nothing is delivered to it any more, and nothing else changes.
        """
        ...

    async def check_targets(self, target_ids: Collection[str]) -> None:
        """Returns when every id, at most `MAX_CHECKED_TARGETS`, is that of a target.

        Raises:
            ServiceError: TARGET_NOT_EXIST (INVALID_ARGUMENT, field `target_ids`) naming the first that is none;
                TOO_MANY_TARGETS.
        """
        ...

    async def get_subscription(self, target: str) -> Subscription:
        """Returns what a target, by id or name, is told of; what it was never given is the default."""
        ...

    async def set_subscription(self, target: str, subscription: Subscription) -> Subscription:
        """Replaces what a target is told of, from the next event on. What waits for its window still waits for it.

        Raises:
            ServiceError: INVALID_SUBSCRIPTION, INVALID_TAG_PATTERN.
        """
        ...
