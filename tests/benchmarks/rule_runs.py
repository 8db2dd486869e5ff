"""A rule over two thousand tags of a real registry: counted beforehand, begun, and done."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
import time
from pathlib import Path

from drydock.rules.v1 import rules_service_pb2 as pb
from drydock.rules.v1 import scan_rule_pb2
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from drydock.scanner.v1.scan_pb2 import RUN_STATE_RUNNING, Run
from drydock.scanner.v1.scanner_service_pb2 import GetScanTaskRequest
from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceStub
from services.kernel.model.access import RegistryAccess
from services.lab.push import open_push, push_image, push_manifest
from tests.benchmarks.figures import Figure, Result
from tests.benchmarks.stage import Stage, whole_drydock
from tests.builders.images import an_image
from tests.registries import real_registry, registry_program

TAGS = 2_000
ROUNDS = 5
_AT_ONCE = 16
_LOOK_SECONDS = 0.03
_LOOK_SLOWLY_SECONDS = 0.2
_END_SECONDS = 300.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Times:
    """Seconds from the call that started a run."""

    answered: float
    begun: float
    asked: float
    ended: float


async def measure() -> Result:
    """Previews and runs a rule whose images are all of known content but in the first run."""
    with tempfile.TemporaryDirectory(prefix="drydock-bench-registry-") as folder:
        async with real_registry(registry_program(), Path(folder)) as registry, whole_drydock() as stage:
            await _fill(registry.access)
            rule_id = await _a_rule(stage, registry.access)
            first = await _run(stage, rule_id)
            previews, runs = [], []
            for _ in range(ROUNDS):
                previews.append(await _preview(stage, rule_id))
                runs.append(await _run(stage, rule_id))
    return Result(
        question=(
            f"A rule over {TAGS:,} tags of one repository in a real registry, one image under all of them, "
            "through `drydock up`: from the call to the preview's answer, to the moment from which on GetScanTask "
            "shows the first image begun, to the last image asked for, and to the run's end."
        ),
        figures=(
            Figure(what="preview answered", rounds=tuple(previews), unit="s", bar="< 1"),
            Figure(what="run answered", rounds=tuple(run.answered for run in runs), unit="s"),
            Figure(what="first image begun, content not known", rounds=(first.begun,), unit="s", bar="< 2"),
            Figure(what="first image begun", rounds=tuple(run.begun for run in runs), unit="s", bar="< 2"),
            Figure(what="last image asked for", rounds=tuple(run.asked for run in runs), unit="s"),
            Figure(what="run ended", rounds=tuple(run.ended for run in runs), unit="s"),
            Figure(
                what="images scanned, known content",
                rounds=tuple(TAGS / run.ended * 60 for run in runs),
                unit="images/min",
                bar=">= 1,500",
            ),
        ),
    )


async def _fill(access: RegistryAccess) -> None:
    image = an_image()
    await push_image(access, "team/app", "v0", image)
    turn = asyncio.Semaphore(_AT_ONCE)
    async with open_push(access) as client, asyncio.TaskGroup() as group:

        async def push(number: int) -> None:
            async with turn:
                await push_manifest(client, "team/app", f"v{number}", image.media_type, image.manifest)

        for number in range(1, TAGS):
            group.create_task(push(number))


async def _a_rule(stage: Stage, access: RegistryAccess) -> str:
    rule = scan_rule_pb2.ScanRule(
        instance_id=await stage.client.instance(access, default_rule=False),
        name="all",
        scope=scan_rule_pb2.SCOPE_INSTANCE,
        tag_pattern="v[0-9]+",
        trigger=scan_rule_pb2.TRIGGER_MANUAL,
    )
    rules = RulesServiceStub(stage.client.channel)
    return str((await rules.CreateScanRule(pb.CreateScanRuleRequest(rule=rule))).rule.rule_id)


async def _preview(stage: Stage, rule_id: str) -> float:
    began = time.perf_counter()
    answer = await RulesServiceStub(stage.client.channel).PreviewScanRule(
        pb.PreviewScanRuleRequest(rule_id=rule_id)
    )
    seconds = time.perf_counter() - began
    assert (answer.preview.matching, answer.preview.complete) == (TAGS, True), answer
    return seconds


async def _run(stage: Stage, rule_id: str) -> _Times:
    began = time.perf_counter()
    rules = RulesServiceStub(stage.client.channel)
    run_id = (await rules.RunScanRule(pb.RunScanRuleRequest(rule_id=rule_id))).run.run_id
    answered = time.perf_counter() - began
    begun = asked = 0.0
    async with asyncio.timeout(_END_SECONDS):
        while True:
            run = await _look(stage, run_id)
            now = time.perf_counter() - began
            if not begun and run.running + run.retrying + run.complete + run.failed:
                begun = now
            if not asked and run.enumerated:
                asked = now
            if run.state != RUN_STATE_RUNNING:
                break
            await asyncio.sleep(_LOOK_SLOWLY_SECONDS if begun else _LOOK_SECONDS)
    assert (run.images, run.complete) == (TAGS, TAGS), run
    await _ended(stage, run_id)
    return _Times(answered=answered, begun=begun, asked=asked, ended=now)


async def _look(stage: Stage, run_id: str) -> Run:
    scanner = ScannerServiceStub(stage.client.channel)
    return (await scanner.GetScanTask(GetScanTaskRequest(task_id=run_id))).run


async def _ended(stage: Stage, run_id: str) -> None:
    """Waits until rules knows of the end, too: before that it starts no other run of the rule."""
    while not (await _look(stage, run_id)).HasField("end_time"):
        await asyncio.sleep(_LOOK_SLOWLY_SECONDS)
