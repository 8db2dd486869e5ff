"""A notifier that remembers targets: the door is tested in front of it."""

from __future__ import annotations

from datetime import UTC, datetime

from services.kernel.errors import not_found
from services.kernel.model.page import Page
from services.notifier.api import Target, TargetKind


class FakeNotifier:
    def __init__(self) -> None:
        self._targets: dict[str, Target] = {}

    async def create_target(self, *, name: str, kind: TargetKind, url: str) -> Target:
        target = Target(
            target_id=f"tgt-{name}", name=name, kind=kind, url=url, created_at=datetime(2026, 11, 24, tzinfo=UTC)
        )
        self._targets[name] = target
        return target

    async def list_targets(self, *, page_size: int = 0, page_token: str = "") -> Page[Target]:
        del page_size, page_token
        return Page(items=tuple(self._targets[name] for name in sorted(self._targets)))

    async def delete_target(self, target: str) -> None:
        if self._targets.pop(target, None) is None:
            raise not_found("TARGET_NOT_EXIST", f"There is no target {target!r}.")
