"""What the notifier offers to other services: the only file of it that they may import."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from services.kernel.model.page import Page

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
