"""The services as processes of their own: they find each other, survive each other, and end in order."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from drydock.notifier.v1 import subscription_pb2
from drydock.notifier.v1.notifier_service_pb2_grpc import NotifierServiceStub
from drydock.scanner.v1 import scan_pb2
from services.kernel.model.access import RegistryAccess
from services.lab.faults import Delay
from services.lab.push import push_image
from services.lab.receiver import Received, serve_receiver
from tests.acceptance.test_push_to_verdict import an_image
from tests.builders.certificates import Authority
from tests.processes import Fleet, fleet
from tests.registries import RunningRegistry, lab_registry
from tests.running import Client, client_of

pytestmark = pytest.mark.slow
NOWHERE = RegistryAccess(address="127.0.0.1:1", plain_http=True)
BUDGET_SECONDS = 10.0
"""The fleet drains for five seconds; the rest is for closing on a busy machine."""


@asynccontextmanager
async def scene(client: Client, *target_urls: str) -> AsyncIterator[tuple[str, RunningRegistry]]:
    """An instance whose registry notifies the gateway, and whose every push is told to the targets."""
    instance_id = await client.instance(NOWHERE, default_rule=False)
    await client.rule(instance_id, *[await client.target(url) for url in target_urls])
    async with lab_registry(notify=await client.webhook(instance_id)) as registry:
        await client.move(instance_id, registry.access.address)
        yield instance_id, registry


async def end_all(started: Fleet) -> None:
    """Tells everybody to stop at once: each ends by itself, in time, and well."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    statuses = await asyncio.gather(*(served.end() for served in started.served))
    assert statuses == [0] * len(started.served), [served.log.read_text()[-2000:] for served in started.served]
    assert loop.time() - began < BUDGET_SECONDS


async def test_pushes_are_scanned_and_told_once_by_any_number_of_copies(tmp_path: Path, database: str) -> None:
    roles = ("rules", "scanner", "scanner", "notifier", "notifier", "gateway")
    async with fleet(tmp_path, database, *roles) as started, serve_receiver() as receiver:
        await started.start_all()
        async with client_of(started.running) as client, scene(client, receiver.url) as (instance_id, registry):
            for number in range(6):
                digest = await push_image(registry.access, "team/app", f"v{number}", an_image(salt=str(number)))
                task = await client.wait(instance_id, "team/app", f"v{number}", digest=digest)
                assert task.state == scan_pb2.STATE_COMPLETE, task
            found = await client.findings(instance_id, "team/app", "v5")
            assert "CVE-2019-10906" in {finding.id for finding in found.findings}
            assert (await client.status(instance_id, "team/app", "v5")).status == "COMPLETE"
            for number in range(6):
                await receiver.wait_for(lambda got, tag=f"v{number}": tag_of(got) == tag, 30)  # type: ignore[misc] # bound early
            status, metrics = await started.served[-1].get("/metrics")
            assert status == 200
            assert 'drydock_peer_call_duration_seconds_count{code="OK",peer="scanner"}' in metrics
            await end_all(started)
        assert Counter(map(tag_of, receiver.received)) == {f"v{number}": 1 for number in range(6)}
    # Both scanners had one data folder; neither left anything of its own behind.
    assert [path.name for path in (tmp_path / "data-scanner" / "spool").iterdir()] == [".lock"]


def tag_of(received: Received) -> str:
    body = json.loads(received.body)
    assert body["status"] == "COMPLETE"
    return str(body["tag"])


async def test_what_is_new_is_asked_across_processes(tmp_path: Path, database: str) -> None:
    roles = ("rules", "scanner", "notifier", "gateway")
    async with fleet(tmp_path, database, *roles) as started, serve_receiver() as receiver:
        await started.start_all()
        async with client_of(started.running) as client, scene(client, receiver.url) as (instance_id, registry):
            await NotifierServiceStub(client.channel).SetSubscription(
                subscription_pb2.SetSubscriptionRequest(
                    target="receiver",
                    subscription=subscription_pb2.Subscription(
                        occasions=[subscription_pb2.OCCASION_FINDINGS], new_only=True
                    ),
                )
            )
            digest = await push_image(registry.access, "team/app", "v1", an_image())
            await client.wait(instance_id, "team/app", "v1", digest=digest)
            await receiver.wait_for(lambda got: tag_of(got) == "v1", 60)
            await end_all(started)
        [told] = receiver.received
        body = json.loads(told.body)
        assert body["comparison"]["earlier_task_id"] == ""
        assert body["comparison"]["new"]["total"] == body["findings"]["total"] > 0
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", told.headers["traceparent"])


async def test_a_service_that_restarts_is_found_again_by_all_others(tmp_path: Path, database: str) -> None:
    files = {name: str(path) for name, path in Authority().write(tmp_path).items()}
    async with fleet(tmp_path, database, "gateway", "scanner", "notifier", "rules", **files) as started:
        gateway, scanner, _, rules = started.served
        await started.start_all()
        async with client_of(started.running) as client, scene(client) as (instance_id, registry):
            for victim in (rules, scanner):
                assert await victim.end(signal.SIGKILL) == -signal.SIGKILL
                with pytest.raises(grpc.aio.AioRpcError, match="cannot be reached"):
                    await client.tasks(victim.role)  # a name that rules is asked about, then the scanner
                assert await gateway.obstacles() == {}
                await victim.start()
                await victim.until_ready()
                async with asyncio.timeout(5):
                    await client.tasks(instance_id)
                digest = await push_image(registry.access, "team/app", victim.role, an_image(salt=victim.role))
                task = await client.wait(instance_id, "team/app", victim.role, digest=digest)
                assert task.state == scan_pb2.STATE_COMPLETE, task
        assert await gateway.end() == 0
        token = started.admin_token_file.read_text()
        await gateway.start()
        await gateway.until_ready()
        assert started.admin_token_file.read_text() == token
        async with client_of(started.running) as client:
            assert len(await client.tasks(instance_id)) == 2
        await end_all(started)


async def test_a_scan_in_hand_of_a_scanner_that_stops_is_finished_by_another(
    tmp_path: Path, database: str
) -> None:
    roles = ("rules", "notifier", "gateway", "scanner", "scanner")
    async with fleet(tmp_path, database, *roles, drain_seconds="2") as started:
        *others, second = started.served
        first = others[-1]
        await started.start_all(others)
        async with client_of(started.running) as client, scene(client) as (instance_id, registry):
            assert registry.lab is not None
            built = an_image()
            # A layer's, and not when it is pushed: rules pulls the configuration, too, and a push asks by HEAD.
            layer = f"/v2/team/app/blobs/{built.layers[-1].digest}"
            registry.lab.faults.add(layer, Delay(60), times=1, methods=("GET",))
            digest = await push_image(registry.access, "team/app", "1.0", built)
            async with asyncio.timeout(30):
                while [task.state for task in await client.tasks(instance_id)] != [scan_pb2.STATE_RUNNING]:
                    await asyncio.sleep(0.05)
            await started.start(second)
            await second.until_ready()
            assert await first.end() == 0
            task = await client.wait(instance_id, "team/app", "1.0", digest=digest)
            assert task.state == scan_pb2.STATE_COMPLETE, task
            assert len(await client.tasks(instance_id)) == 1


async def test_a_process_waits_for_its_schema_and_says_so(tmp_path: Path, empty_database: str) -> None:
    async with fleet(tmp_path, empty_database, "notifier", "notifier") as started:
        waiting, impatient = started.served
        for served in started.served:
            await started.start(served)
        for served in started.served:
            await served.until({"start": "starting", "schema": "drydock migrate"})
        assert (await waiting.get("/healthz"))[0] == 200
        assert await impatient.end() == 0
        await started.migrate()
        await waiting.until_ready()
        assert await waiting.end() == 0


async def test_a_process_waits_for_its_database_and_ends_when_told_to(tmp_path: Path) -> None:
    nowhere = "postgresql://drydock:hunter2@127.0.0.1:1/drydock"
    async with fleet(tmp_path, nowhere, "rules") as started:
        [rules] = started.served
        await started.start(rules)
        await rules.until({"start": "starting", "database": "does not answer", "schema": "starting"})
        assert (await rules.get("/healthz"))[0] == 200
        assert await rules.end() == 0
        assert "hunter2" not in rules.log.read_text()


async def test_a_process_with_another_service_token_gets_nowhere(tmp_path: Path, database: str) -> None:
    async with fleet(tmp_path, database, "rules", "notifier", "scanner", "gateway") as started:
        strangers = [served for served in started.served if served.role in ("scanner", "gateway")]
        for served in started.served:
            await started.start(served, **({"service_token": "hunter2-hunter2"} if served in strangers else {}))
        scanner, gateway = strangers
        await scanner.until({"peer rules": "does not take this process"})
        refused = "does not take this process"
        await gateway.until({"peer rules": refused, "peer notifier": refused})
        async with client_of(started.running) as client:
            with pytest.raises(grpc.aio.AioRpcError, match="does not take this process"):
                await client.instance(NOWHERE)
        for served in started.served:
            assert "hunter2" not in served.log.read_text()
        await end_all(started)
