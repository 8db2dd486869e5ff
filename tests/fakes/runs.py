"""Rules that know one run, of which the test says what was asked for."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime

from services.kernel.errors import ServiceError, not_found
from services.rules.api import RulePreview, RuleRun, RunNote, RunState

RUN = str(uuid.UUID(int=7))


class FakeRuns:
    def __init__(self, requested: int = 0) -> None:
        self.run: RuleRun | None = RuleRun(
            run_id=RUN,
            rule_id="crscnr-1",
            instance_id="cri-1",
            state=RunState.ASKED,
            reason="",
            message="",
            scheduled=False,
            repositories=1,
            tags=requested,
            waiting=0,
            requested=requested,
            unresolved=0,
            vanished=0,
            notes=(),
            created_at=datetime(2026, 11, 26, tzinfo=UTC),
            ended_at=None,
        )
        self.ended = self.refused = 0
        self.refuses_to_end: ServiceError | None = None

    def says(self, *, notes: tuple[RunNote, ...] = (), **changes: object) -> None:
        assert self.run is not None
        self.run = dataclasses.replace(self.run, notes=notes, **changes)  # type: ignore[arg-type] # its fields

    async def preview_rule(self, rule_id: str) -> RulePreview:
        raise AssertionError(rule_id)

    async def run_rule(self, rule_id: str, *, request_id: str = "") -> RuleRun:
        raise AssertionError(rule_id + request_id)

    async def get_run(self, run_id: str) -> RuleRun:
        if self.run is None or run_id != RUN:
            raise not_found("RUN_NOT_EXIST", "There is no such run.")
        return self.run

    async def cancel_run(self, run_id: str) -> RuleRun:
        await self.get_run(run_id)
        self.says(state=RunState.CANCELLED)
        return await self.get_run(run_id)

    async def resume_run(self, run_id: str) -> RuleRun:
        await self.get_run(run_id)
        self.says(state=RunState.ASKED, ended_at=None, unresolved=0)
        return await self.get_run(run_id)

    async def end_run(self, run_id: str) -> None:
        await self.get_run(run_id)
        if self.refuses_to_end:
            self.refused += 1
            raise self.refuses_to_end
        self.ended += 1
        self.says(ended_at=datetime(2026, 11, 26, 1, tzinfo=UTC))
