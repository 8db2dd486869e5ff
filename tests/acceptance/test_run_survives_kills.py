"""A run of a rule while its processes are killed: every tag is scanned and told of, once."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from drydock.rules.v1 import rules_service_pb2 as pb
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from drydock.scanner.v1.scan_pb2 import RUN_STATE_COMPLETE, RUN_STATE_RUNNING, Run
from drydock.scanner.v1.scanner_service_pb2 import GetScanTaskRequest, ListScanTasksRequest
from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceStub
from services.kernel.errors import ServiceError
from services.kernel.rpc.client import translated_errors
from services.lab.faults import Delay
from services.lab.push import open_push, push_image, push_manifest
from services.lab.receiver import serve_receiver
from tests.acceptance.test_push_to_verdict import an_image
from tests.processes import Served, fleet
from tests.registries import lab_registry
from tests.running import Client, client_of

pytestmark = pytest.mark.slow

ROLES = ("notifier", "gateway", "rules", "rules", "scanner")
TAGS = frozenset(f"v{number}" for number in range(250))


@pytest.mark.timeout(240)
async def test_a_run_whose_processes_are_killed_asks_scans_and_tells_once(tmp_path: Path, database: str) -> None:
    async with (
        fleet(tmp_path, database, *ROLES, rules_run_lease_seconds="3") as started,
        serve_receiver() as receiver,
        lab_registry() as registry,
    ):
        image = an_image()
        await push_image(registry.access, "team/app", "latest", image)
        async with open_push(registry.access) as pushing:
            for tag in TAGS:
                await push_manifest(pushing, "team/app", tag, image.media_type, image.manifest)
        assert registry.lab is not None
        registry.lab.faults.add("/v2/team/app/manifests/*", Delay(0.1))  # three seconds in all, eight at a time
        _, _, *victims = started.served
        await started.start_all()
        async with client_of(started.running) as client:
            instance_id = await client.instance(registry.access, default_rule=False)
            rule_id = await client.rule(instance_id, await client.target(receiver.url), pattern="v.*")
            rules = RulesServiceStub(client.channel)
            run_id = (await rules.RunScanRule(pb.RunScanRuleRequest(rule_id=rule_id))).run.run_id
            for number, victim in enumerate(victims):
                await at_least(client, run_id, 20 * (number + 1))
                await kill(victim)
            run = await at_least(client, run_id, len(TAGS), ended=True)
            tasks = await ScannerServiceStub(client.channel).ListScanTasks(
                ListScanTasksRequest(run_id=run_id, page_size=1000)
            )
        await receiver.wait_for(lambda _: len(receiver.received) >= len(TAGS), 60)
        assert (run.state, run.images, run.complete) == (RUN_STATE_COMPLETE, len(TAGS), len(TAGS)), run
        assert Counter(task.tag for task in tasks.tasks) == dict.fromkeys(TAGS, 1)
        assert Counter(json.loads(got.body)["tag"] for got in receiver.received) == dict.fromkeys(TAGS, 1)


async def kill(victim: Served) -> None:
    assert await victim.end(signal.SIGKILL) == -signal.SIGKILL
    await victim.start()
    await victim.until_ready()


async def at_least(client: Client, run_id: str, images: int, *, ended: bool = False) -> Run:
    """Waits until so many images were asked for, through the moments in which nobody answers."""
    scanner = ScannerServiceStub(client.channel)
    while True:
        try:
            with translated_errors():
                run = (await scanner.GetScanTask(GetScanTaskRequest(task_id=run_id))).run
        except ServiceError as error:
            if error.kind.name not in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                raise
        else:
            if run.images >= images and (not ended or run.state != RUN_STATE_RUNNING):
                return run
        await asyncio.sleep(0.1)
