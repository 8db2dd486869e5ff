"""The status call tells the last commit, through every gateway, however many ask."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import grpc
import pytest

from drydock.acr.v20181201 import container_registry_pb2 as acr
from drydock.acr.v20181201.container_registry_pb2_grpc import ContainerRegistryStub
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import digest_of
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName
from services.kernel.model.repository_id import repository_id
from services.kernel.rpc.client import open_channel
from services.scanner.api import State
from services.scanner.records import ImageAddress, Outcome, TaskRecord
from services.scanner.store import ScannerStore
from tests.commandline import drydock_up
from tests.running import Client

pytestmark = pytest.mark.slow

REPOSITORY = "team/app"


@pytest.fixture
async def gateways(database: str, tmp_path: Path) -> AsyncIterator[list[Client]]:
    """Clients of two processes on one database."""
    async with drydock_up(tmp_path / "one", database) as one, drydock_up(tmp_path / "two", database) as two:
        # Each start mints the administrator's token anew: the last one holds, at both doors.
        token = two.admin_token_file.read_text().strip()
        async with open_channel(one.grpc, token=token) as first, open_channel(two.grpc, token=token) as second:
            yield [Client(channel=first, running=one), Client(channel=second, running=two)]


async def a_task(database: str, instance_id: str) -> str:
    """Saves a task that no worker touches, and returns its id."""
    name = RepositoryName(namespace="team", name="app")
    image = ImageAddress(
        instance_id=instance_id,
        repo_id=repository_id(instance_id, name),
        namespace="team",
        repository="app",
        tag="1.0",
        digest=digest_of(b"one"),
    )
    task = TaskRecord(
        task_id=str(uuid.uuid4()),
        image=image,
        engine=Engine.SECURITY_CENTER,
        scan_id=str(uuid.uuid4()),
        outcome=Outcome(state=State.PENDING),
        rule_ids=(),
        target_ids=(),
        created_at=datetime.now(UTC),
        ended_at=None,
    )
    connection = await asyncpg.connect(database)
    try:
        await ScannerStore().insert_tasks(connection, [task])
        await ScannerStore().point_tag(connection, image, 1, task.task_id, task.created_at)
    finally:
        await connection.close()
    return task.task_id


async def test_a_commit_is_told_by_the_next_call_through_both_of_two_processes(
    gateways: list[Client], database: str
) -> None:
    instance_id = await gateways[0].instance(RegistryAccess(address="127.0.0.1:1", plain_http=True))
    task_id = await a_task(database, instance_id)
    asking = True

    async def keep_asking(client: Client) -> None:
        while asking:
            await client.status(instance_id, REPOSITORY, "1.0")

    connection = await asyncpg.connect(database)
    told: list[list[str]] = []
    async with asyncio.TaskGroup() as group:
        for client in gateways * 10:
            group.create_task(keep_asking(client))
        for state in ("RUNNING", "RETRYING") * 40:
            await connection.execute("UPDATE scanner.task SET state = $1 WHERE task_id = $2", state, task_id)
            answers = [await client.status(instance_id, REPOSITORY, "1.0") for client in gateways]
            told.append([answer.status for answer in answers])
        asking = False
    await connection.close()
    assert told == [["SCANNING"] * 2, ["RETRYING"] * 2] * 40


async def test_a_name_that_cannot_be_harms_only_its_own_caller(gateways: list[Client], database: str) -> None:
    client = gateways[0]
    instance_id = await client.instance(RegistryAccess(address="127.0.0.1:1", plain_http=True))
    await a_task(database, instance_id)

    async def hostile(text: str) -> grpc.StatusCode:
        stub = ContainerRegistryStub(client.channel)
        request = acr.GetRepoTagScanStatusRequest(instance_id=instance_id, repo_id=text, tag="1.0")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetRepoTagScanStatus(request)
        return caught.value.code()

    for _ in range(5):
        async with asyncio.TaskGroup() as group:
            innocent = [group.create_task(client.status(instance_id, REPOSITORY, "1.0")) for _ in range(5)]
            others = [group.create_task(hostile(text)) for text in ("\0", "crr-\0", "é\u202e")]
        assert [task.result().status for task in innocent] == ["SCANNING"] * 5
        assert {task.result() for task in others} == {grpc.StatusCode.NOT_FOUND}
