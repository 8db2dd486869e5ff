"""No secret of a call, good or bad, comes into a log line or a plain column."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from drydock.gateway.v1 import admin_service_pb2 as pb
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from drydock.notifier.v1 import notifier_service_pb2 as notifier
from drydock.notifier.v1.notifier_service_pb2_grpc import NotifierServiceStub
from drydock.rules.v1 import instance_pb2
from drydock.rules.v1 import rules_service_pb2 as rules_pb
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from services.gateway.tokens import mint_token
from services.kernel.errors import ServiceError
from services.kernel.rpc.client import open_channel, translated_errors
from tests.commandline import drydock, drydock_up

pytestmark = pytest.mark.slow

PASSWORD = "hunter2-hunter2"
TARGET = "http://127.0.0.1:1/robot?access_token=s3cr3t-of-the-robot"


async def test_no_secret_is_in_the_log_or_in_a_plain_column(tmp_path: Path, database: str) -> None:
    data = tmp_path / "data"
    foreign = mint_token()
    async with drydock_up(data, database) as running:
        admin_token = (await asyncio.to_thread(running.admin_token_file.read_text)).strip()
        async with open_channel(running.grpc, token=admin_token) as channel:
            admin, rules = AdminServiceStub(channel), RulesServiceStub(channel)
            new = instance_pb2.Instance(name="lab", address="127.0.0.1:1", plain_http=True, username="u")
            request = rules_pb.CreateInstanceRequest(instance=new, password=PASSWORD, engine="security-center")
            instance = (await rules.CreateInstance(request)).instance
            with pytest.raises(ServiceError), translated_errors():
                await rules.CreateInstance(request)  # a second time: refused
            target = notifier.Target(name="robot", kind=notifier.TARGET_KIND_HTTP, url=TARGET)
            await NotifierServiceStub(channel).CreateTarget(notifier.CreateTargetRequest(target=target))
            made = await admin.CreateKey(
                pb.CreateKeyRequest(name="sdk", role=pb.ROLE_CLIENT, instance="lab", access_key=True)
            )
            rotated = await admin.RotateKey(pb.RotateKeyRequest(key="sdk"))
            hook = await admin.CreateKey(
                pb.CreateKeyRequest(name="hook", role=pb.ROLE_WEBHOOK, instance=instance.instance_id)
            )
        async with open_channel(running.grpc, token=foreign) as stranger:
            with pytest.raises(ServiceError), translated_errors():
                await RulesServiceStub(stranger).ListInstances(rules_pb.ListInstancesRequest())
        async with open_channel(running.grpc, token=made.token) as limited:
            with pytest.raises(ServiceError), translated_errors():
                await RulesServiceStub(limited).CreateInstance(request)
        await over_http(running.http, hook.webhook_url, [foreign, hook.token, made.token, made.access_key_secret])
        listed = await drydock("key", "list", env={"DRYDOCK_SERVER": running.grpc, "DRYDOCK_TOKEN": rotated.token})
    log = await asyncio.to_thread(data.with_name("data.log").read_text)
    assert "key.rotated" in log  # it is that log
    rows = await every_row(database)
    assert "hook" in rows
    secrets = {
        *(foreign, admin_token, made.token, rotated.token, hook.token, PASSWORD, TARGET.partition("=")[2]),
        *(made.access_key_secret, rotated.access_key_secret),
    }
    assert all(len(secret) > 8 for secret in secrets)
    for secret in secrets:
        for where in (log, rows, listed.stdout, listed.stderr):
            assert secret not in where
            assert secret.encode().hex() not in where


async def over_http(door: str, webhook: str, tokens: list[str]) -> None:
    """Sends every token wherever a caller may put one, rightly or not."""
    async with aiohttp.ClientSession() as session:
        for token in tokens:
            for url in (webhook, f"http://{door}/", f"http://{door}/none"):
                for headers in ({"authorization": f"Bearer {token}"}, {"authorization": f"Basic {token}"}):
                    body = {"events": [], "token": token}
                    async with session.post(f"{url}?token={token}", headers=headers, json=body) as answer:
                        assert token not in await answer.text()
            query = {"AccessKeyId": token, "Signature": token, "Action": "ListInstance", "Version": "2018-12-01"}
            async with session.get(f"http://{door}/", params=query) as answer:
                assert token not in json.dumps(dict(answer.headers))


async def every_row(database: str) -> str:
    """Returns every row of every table as text: bytes in hex."""
    connection = await asyncpg.connect(database)
    try:
        tables = await connection.fetch(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        found = []
        for schema, table in tables:
            rows = await connection.fetch(f'SELECT t::text AS line FROM "{schema}"."{table}" AS t')  # noqa: S608 - names of the database itself
            found += [row["line"] for row in rows]
        return "\n".join(found)
    finally:
        await connection.close()
