"""What the gateway's doors bound: sizes, rates, and how long the audit log is kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import aiohttp
import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped] # the wheel has no marker

from drydock.gateway.v1 import admin_service_pb2 as pb
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from drydock.rules.v1 import instance_pb2
from drydock.rules.v1 import rules_service_pb2 as rules_pb
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from services.gateway.api import Act
from services.gateway.retention import agings
from services.gateway.settings import GatewaySettings
from services.gateway.store import GatewayStore
from services.kernel.rpc.client import open_channel
from services.kernel.rpc.status import DETAILS_KEY
from tests.builders.acr import Caller
from tests.builders.methods import answer_of
from tests.builders.retention import retention_of
from tests.databases import migrated_pool
from tests.fakes.clock import ManualClock
from tests.integration.test_gateway_doors import gateway

LIST = "/drydock.rules.v1.RulesService/ListInstances"


async def test_a_request_that_is_too_long_is_refused_at_both_doors(database: str, tmp_path: Path) -> None:
    async with gateway(database, tmp_path / "t", max_request_bytes=64 * 1024) as running:
        async with grpc.aio.insecure_channel(running.doors.grpc) as channel:
            fits = rules_pb.ListInstancesRequest(region="x" * 60_000).SerializeToString()
            code, _, _ = await answer_of(channel, LIST, fits, token=running.admin)
            assert code is not grpc.StatusCode.RESOURCE_EXHAUSTED
            code, details, _ = await answer_of(channel, LIST, fits * 2, token=running.admin)
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert running.admin not in details
        async with open_channel(running.doors.grpc, token=running.admin) as admin:
            new = instance_pb2.Instance(name="lab", address="r.example")
            await RulesServiceStub(admin).CreateInstance(rules_pb.CreateInstanceRequest(instance=new))
            hook = await AdminServiceStub(admin).CreateKey(
                pb.CreateKeyRequest(name="hook", role=pb.ROLE_WEBHOOK, instance="lab")
            )
        headers = {"authorization": f"Bearer {hook.token}", "content-type": "application/json"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(hook.webhook_url, data=b" " * 70_000, headers=headers) as response,
        ):
            assert (response.status, (await response.json())["code"]) == (413, "REQUEST_TOO_LARGE")


async def test_a_key_that_calls_too_often_is_told_when_to_come_back_at_both_doors(
    database: str, tmp_path: Path
) -> None:
    async with gateway(database, tmp_path / "t", calls_per_second=0.01, calls_burst=2) as running:
        async with open_channel(running.doors.grpc, token=running.admin) as admin:
            stub = AdminServiceStub(admin)
            key = await stub.CreateKey(pb.CreateKeyRequest(name="ci", role=pb.ROLE_VIEWER, access_key=True))
            await stub.ListKeys(pb.ListKeysRequest())
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListKeys(pb.ListKeysRequest())
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailers = dict(caught.value.trailing_metadata() or ())
        status = status_pb2.Status.FromString(trailers[DETAILS_KEY])
        [delay] = [detail for detail in status.details if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)]
        retry = error_details_pb2.RetryInfo()
        delay.Unpack(retry)
        assert 0 < retry.retry_delay.ToNanoseconds() <= 100 * 10**9

        caller = Caller(
            address=running.doors.http,
            access_key_id=key.access_key_id,
            secret=key.access_key_secret,
            now=datetime.now(UTC),
        )
        answers = [await caller.call("ListInstance") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert 0 < int(answers[2].headers["retry-after"]) <= 100


async def test_health_needs_no_key_and_counts_for_none(database: str, tmp_path: Path) -> None:
    async with (
        gateway(database, tmp_path / "t", calls_per_second=0.01, calls_burst=1) as running,
        grpc.aio.insecure_channel(running.doors.grpc) as channel,
    ):
        for _ in range(5):
            code, _, _ = await answer_of(channel, "/grpc.health.v1.Health/Check", token=running.admin)
            assert code is grpc.StatusCode.OK


async def test_the_audit_log_goes_after_its_days_and_not_before(database: str) -> None:
    clock, store = ManualClock(), GatewayStore()
    act = Act(actor="a", action="x/Y", instance="", subject=MappingProxyType({}), request_id="")
    async with migrated_pool(database, ("gateway", "services.gateway")) as pool:
        async with pool.acquire() as conn:
            for days in (500, 401, 401, 401, 401, 399, 0):
                await store.insert_audit(conn, act, clock.now() - timedelta(days=days))
        gone = await retention_of("gateway", agings(GatewaySettings()), pool, clock).clean(asyncio.Event())
        async with pool.acquire() as conn:
            left = await store.list_audit(conn, 1 << 62, (), 10)
    assert gone == 5
    assert [(clock.now() - record.at).days for record in left] == [0, 399]
