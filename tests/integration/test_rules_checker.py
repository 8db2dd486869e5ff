"""The schedule of looks at registries: each by one copy at a time, soon after a change, and told to metrics."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from services.kernel.clock import SystemClock
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.wakeup import Wakeups
from services.registry.trial import Trial
from services.rules.api import Edition, InstanceChange
from services.rules.engines.checker import Check, Checker
from services.rules.engines.metrics import EngineMetrics
from services.rules.engines.store import EngineStore
from services.rules.settings import RulesSettings
from tests.builders.engines import some_engines
from tests.builders.rules import BOX, RulesBench, new_instance, rules_bench
from tests.fakes.look import FakeLook


class Scene:
    """Rules whose registry a test holds in its hand, and any number of copies that look at it."""

    def __init__(self, rules: RulesBench, url: str, look: FakeLook) -> None:
        self.rules = rules
        self.look = look
        self._url = url
        self.engines = some_engines(rules.pool, SystemClock(), box=BOX, look=look)

    @asynccontextmanager
    async def copies(
        self, *checks: Check, every_seconds: float = 60.0
    ) -> AsyncIterator[tuple[CollectorRegistry, ...]]:
        """Runs a copy for each check; yields what they measure."""
        stopping, wakeups = asyncio.Event(), Wakeups(self._url)
        measured = tuple(CollectorRegistry() for _ in checks)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wakeups.run(stopping))
            for check, registry in zip(checks, measured, strict=True):
                checker = Checker(
                    pool=self.rules.pool,
                    store=EngineStore(),
                    check=check,
                    wakeups=wakeups,
                    clock=SystemClock(),
                    metrics=EngineMetrics(registry),
                    settings=RulesSettings(engine_check_seconds=every_seconds, engine_checks=4),
                )
                tasks.create_task(checker.run(stopping))
            try:
                yield measured
            finally:
                stopping.set()


@pytest.fixture
async def scene(database: str) -> AsyncIterator[Scene]:
    look = FakeLook()
    async with rules_bench(database, clock=SystemClock(), registry_look=look) as rules:
        yield Scene(rules, database, look)


async def until(condition: object, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator] # a function without arguments
            await asyncio.sleep(0.02)


def counted(registry: CollectorRegistry, condition: str, status: str) -> float:
    labels = {"engine": "SECURITY_CENTER", "condition": condition, "status": status}
    return registry.get_sample_value("drydock_rules_engine_conditions", labels) or 0.0


async def test_each_instance_is_looked_at_by_one_of_several_copies(scene: Scene) -> None:
    seen: Counter[str] = Counter()

    async def check(instance_id: str) -> None:
        seen[instance_id] += 1

    made = {(await scene.rules.api.create_instance(new_instance(f"i{n}"))).instance_id for n in range(30)}
    await scene.rules.api.create_instance(new_instance("personal", edition=Edition.PERSONAL))
    async with scene.copies(check, check, check):
        await until(lambda: sum(seen.values()) >= len(made))
        await asyncio.sleep(0.3)  # a second look would come now
    assert seen == dict.fromkeys(made, 1)


async def test_a_new_instance_and_a_changed_one_are_looked_at_soon(scene: Scene) -> None:
    async with scene.copies(scene.engines.check):
        await scene.rules.api.create_instance(new_instance())
        await until(lambda: len(scene.look.asked) == 1)
        await scene.rules.api.update_instance("prod", InstanceChange(address="moved:5000"))
        await until(lambda: len(scene.look.asked) == 2)
    assert scene.look.asked == [("registry.example:5000", True), ("moved:5000", True)]


async def test_a_registry_that_breaks_shows_in_the_metrics_and_so_does_its_mending(scene: Scene) -> None:
    await scene.rules.api.create_instance(new_instance())
    async with scene.copies(scene.engines.check, every_seconds=1.0) as (registry,):
        await until(lambda: counted(registry, "RegistryReachable", "True") == 1)
        scene.look.trial = Trial(silent=ScanFailure(Reason.REGISTRY_UNREACHABLE, "gone"))
        await until(lambda: counted(registry, "RegistryReachable", "False") == 1)
        assert counted(registry, "RegistryReachable", "True") == 0
        assert counted(registry, "CredentialsValid", "Unknown") == 1
        scene.look.trial = Trial(pulled="a:1")
        await until(lambda: counted(registry, "RegistryReachable", "True") == 1)


async def test_a_check_that_breaks_stops_no_other_and_comes_again(scene: Scene) -> None:
    broken = (await scene.rules.api.create_instance(new_instance("broken"))).instance_id
    well = (await scene.rules.api.create_instance(new_instance("well"))).instance_id
    seen: Counter[str] = Counter()

    async def check(instance_id: str) -> None:
        seen[instance_id] += 1
        if instance_id == broken:
            raise ValueError("a bug of ours")

    async with scene.copies(check, every_seconds=1.0):
        await until(lambda: seen[broken] >= 2 and seen[well] >= 2)


async def test_a_look_that_hangs_is_given_up_when_the_process_stops(scene: Scene) -> None:
    begun = asyncio.Event()

    async def hangs(instance_id: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    await scene.rules.api.create_instance(new_instance())
    async with asyncio.timeout(20), scene.copies(hangs):
        await begun.wait()
