"""Runs of rules for tests: asked for step by step, of the lab's registry."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from services.kernel.ids import RandomIds
from services.kernel.model.access import RegistryAccess
from services.kernel.outbox import Outbox
from services.kernel.wakeup import Wakeups
from services.lab.push import open_push, push_image, push_manifest
from services.lab.registry import LabRegistry
from services.rules.api import RuleRun
from services.rules.metrics import RulesMetrics, RunFate
from services.rules.runs.application import Runs
from services.rules.runs.asking import Asking
from services.rules.runs.runner import Runner
from services.rules.runs.store import RunStore
from services.rules.runs.timetable import Timetable
from services.rules.settings import RulesSettings
from tests.builders.images import an_image
from tests.builders.rules import RulesBench, new_instance, rules_bench
from tests.builders.runs_application import SOURCE, a_runs
from tests.fakes.clock import ManualClock
from tests.registries import lab_registry

GRACE_SECONDS = 7 * 86_400.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunsBench:
    """Rules with an instance `prod` on a lab registry."""

    rules: RulesBench
    lab: LabRegistry
    access: RegistryAccess
    clock: ManualClock
    url: str
    runs: Runs
    registry: CollectorRegistry
    metrics: RulesMetrics

    async def push(self, repository: str, *tags: str) -> None:
        """Pushes an image of its own for each repository, under all of these tags."""
        image = an_image(repository)
        await push_image(self.access, repository, tags[0], image)
        async with open_push(self.access) as client:
            for tag in tags[1:]:
                await push_manifest(client, repository, tag, image.media_type, image.manifest)

    def runner(self, outbox: Outbox | None = None, **settings: float) -> Runner:
        """A runner that asks; pauses take no time unless told otherwise."""
        chosen = RulesSettings(**{"run_retry_first_seconds": 0, **settings})  # type: ignore[arg-type] # its fields
        pool = self.rules.pool
        asking = Asking(
            pool=pool,
            store=RunStore(),
            rules=self.rules.store,
            outbox=outbox or Outbox("rules"),
            clock=self.clock,
            limits=SOURCE.limits,
            lease_seconds=chosen.run_lease_seconds,
            at_once=chosen.run_questions,
            max_images=chosen.max_run_images,
        )
        return Runner(
            owner="test",
            pool=pool,
            store=RunStore(),
            asking=asking,
            access=self.rules.api.registry_access,
            source=SOURCE,
            wakeups=Wakeups(self.url),
            clock=self.clock,
            settings=chosen,
            metrics=self.metrics,
            random_source=random.Random(1),
        )

    def timetable(self) -> Timetable:
        """A timetable by the manual clock."""
        return Timetable(
            pool=self.rules.pool,
            store=RunStore(),
            rules=self.rules.store,
            runs=self.runs,
            clock=self.clock,
            ids=RandomIds(),
            metrics=self.metrics,
            grace_seconds=GRACE_SECONDS,
        )

    def counted(self, fate: RunFate) -> float:
        """How many runs had this fate."""
        return self.registry.get_sample_value("drydock_rules_runs_total", {"fate": fate.value}) or 0.0

    async def asked(self, run_id: str, runner: Runner | None = None) -> RuleRun:
        """Has a run asked for until it asks no more."""
        runner = runner or self.runner()
        async with asyncio.timeout(30):
            while (run := await self.rules.api.get_run(run_id)).state.value == "ASKING":
                await runner.once()
        return run

    async def images(self) -> Sequence[str]:
        """What was asked for, sorted, doubles included."""
        return sorted(f"{one.repository.path}:{one.tag}" for one in await self.rules.requests())

    async def row(self, query: str, *arguments: object) -> Mapping[str, object]:
        found = await self.rules.pool.fetchrow(query, *arguments)
        assert found is not None
        return dict(found)


@asynccontextmanager
async def runs_bench(url: str) -> AsyncIterator[RunsBench]:
    clock, counters = ManualClock(), CollectorRegistry()
    async with lab_registry() as registry, rules_bench(url, clock=clock) as rules:
        assert registry.lab is not None
        await rules.api.create_instance(
            new_instance(address=registry.access.address, plain_http=True, default_rule=False)
        )
        yield RunsBench(
            rules=rules,
            lab=registry.lab,
            access=registry.access,
            clock=clock,
            url=url,
            runs=a_runs(rules.pool, clock, RandomIds()),
            registry=counters,
            metrics=RulesMetrics(counters),
        )
