"""What a scanner tells of itself: at once, again and again, and whatever its rules or rules' service do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from services.kernel.errors import Kind, ServiceError
from services.kernel.model.engine import Engine
from services.rules.engines.api import Part, PartHealth, ScannerReport
from services.scanner.engines import EngineHealth
from services.scanner.selfreport import SelfReport
from tests.fakes.clock import ManualClock

EVERY = 0.02
READY = PartHealth(part=Part.RULE_PACKS, ready=True, version="r1")


class Rules:
    """Remembers reports, or refuses them."""

    def __init__(self) -> None:
        self.reports: list[ScannerReport] = []
        self.failure: Exception | None = None
        self.tries = 0

    async def report_scanner(self, report: ScannerReport) -> None:
        self.tries += 1
        if self.failure is not None:
            raise self.failure
        self.reports.append(report)

    def parts(self) -> dict[Part, PartHealth]:
        return {part.part: part for part in self.reports[-1].parts}


class Packs:
    """Rules that take as long to compile as a test says."""

    def __init__(self) -> None:
        self.compiled = asyncio.Event()
        self.health = READY

    async def look(self) -> PartHealth:
        await self.compiled.wait()
        return self.health


class Watch:
    """Advisories as a test has them."""

    def __init__(self) -> None:
        self.trouble: ServiceError | None = None
        self.meta: Any = Meta()


class Meta:
    sample, version, facts_at = False, "v1", datetime(2026, 11, 24, tzinfo=UTC)

    def is_stale(self, now: datetime, max_age: timedelta) -> bool:
        return now - self.facts_at > max_age

    def stale_families(self, now: datetime, max_age: timedelta) -> tuple[str, ...]:
        return ("Debian",) if self.is_stale(now, max_age) else ()


class Trivy:
    def health(self) -> tuple[EngineHealth, ...]:
        return (
            EngineHealth(engine=Engine.TRIVY, ready=False, reason="TRIVY_MISSING", message="There is no trivy."),
            EngineHealth(engine=Engine.SECURITY_CENTER, ready=True),
        )


class Scene:
    def __init__(self) -> None:
        self.rules, self.packs, self.watch, self.clock = Rules(), Packs(), Watch(), ManualClock()

    @contextlib.asynccontextmanager
    async def running(self, *, trivy: Trivy | None = None) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        rules: Any = self.rules
        packs: Any = self.packs
        watch: Any = self.watch
        report = SelfReport(
            node_id="scanner-1",
            rules=rules,
            watch=watch,
            packs=packs,
            clock=self.clock,
            max_age=timedelta(days=7),
            every_seconds=EVERY,
            engines=trivy,
        )
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            tasks.create_task(report.run(stopping))
            yield
            stopping.set()

    async def until(self, reports: int) -> None:
        while len(self.rules.reports) < reports:
            await asyncio.sleep(EVERY / 4)


async def test_reports_go_on_while_rules_compile_and_tell_of_them_as_soon_as_they_have() -> None:
    scene = Scene()
    async with scene.running():
        await scene.until(3)
        assert set(scene.rules.parts()) == {Part.ADVISORIES}
        assert (scene.rules.reports[0].node_id, scene.rules.reports[0].valid_seconds) == ("scanner-1", EVERY * 5)
        scene.packs.compiled.set()
        while Part.RULE_PACKS not in scene.rules.parts():
            await asyncio.sleep(EVERY / 4)
        assert scene.rules.parts()[Part.RULE_PACKS] == READY


async def test_a_report_that_is_lost_is_followed_by_another() -> None:
    scene = Scene()
    scene.rules.failure = ServiceError(Kind.UNAVAILABLE, "PEER_UNAVAILABLE", "It cannot be reached.")
    async with scene.running():
        while scene.rules.tries < 3:
            await asyncio.sleep(EVERY / 4)
        scene.rules.failure = ConnectionResetError()
        while scene.rules.tries < 6:
            await asyncio.sleep(EVERY / 4)
        scene.rules.failure = None
        await scene.until(1)


async def test_advisories_are_told_with_their_trouble_and_their_age() -> None:
    scene = Scene()
    async with scene.running():
        await scene.until(1)
        told = scene.rules.parts()[Part.ADVISORIES]
        assert (told.ready, told.reason, told.database_version) == (True, "", "v1")
        scene.clock.advance(8 * 86_400)
        await scene.until(len(scene.rules.reports) + 2)
        assert (scene.rules.parts()[Part.ADVISORIES].ready, scene.rules.parts()[Part.ADVISORIES].reason) == (
            True,
            "STALE_ADVISORIES",
        )
        scene.watch.trouble = ServiceError(
            Kind.UNAVAILABLE, "ADVISORIES_UNREADABLE", "It is gone.", hint="Import."
        )
        await scene.until(len(scene.rules.reports) + 2)
        gone = scene.rules.parts()[Part.ADVISORIES]
        assert (gone.ready, gone.reason, gone.message) == (False, "ADVISORIES_UNREADABLE", "It is gone. Import.")


async def test_trivy_is_told_as_its_engine_says_and_our_own_engine_by_its_parts() -> None:
    scene = Scene()
    async with scene.running(trivy=Trivy()):
        await scene.until(1)
        trivy = scene.rules.parts()[Part.TRIVY]
        assert (trivy.ready, trivy.reason, trivy.message) == (False, "TRIVY_MISSING", "There is no trivy.")
        assert set(scene.rules.parts()) == {Part.TRIVY, Part.ADVISORIES}
