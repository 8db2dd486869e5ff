"""The ACR door of gateways that are processes of their own."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drydock.gateway.v1 import admin_service_pb2 as admin
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from services.kernel.model.access import RegistryAccess
from services.standalone import Running
from tests.builders.acr import Caller
from tests.processes import fleet
from tests.running import client_of

pytestmark = pytest.mark.slow


async def test_a_signature_counts_once_whichever_gateway_it_comes_to(tmp_path: Path, database: str) -> None:
    async with fleet(tmp_path, database, "rules", "scanner", "notifier", "gateway", "gateway") as started:
        first, second = started.served[3:]
        await started.start_all()
        running = Running(
            grpc=first.grpc,
            http=first.http,
            monitoring=first.monitoring,
            admin_token_file=started.admin_token_file,
        )
        async with client_of(running) as client:
            instance_id = await client.instance(RegistryAccess(address="127.0.0.1:1", plain_http=True))
            request = admin.CreateKeyRequest(name="sdk", role=admin.ROLE_OPERATOR, access_key=True)
            made = await AdminServiceStub(client.channel).CreateKey(request)
        here = Caller(
            address=first.http,
            access_key_id=made.access_key_id,
            secret=made.access_key_secret,
            now=datetime.now(UTC),
        )
        there = dataclasses.replace(here, address=second.http)
        names = {"InstanceId": instance_id, "RepoNamespaceName": "team", "RepoName": "app"}

        written = await here.call("CreateRepository", {**names, "RepoType": "PRIVATE", "Summary": "s"})
        read = await there.call("GetRepository", names)
        headers = here.signed("ListRepository", {"InstanceId": instance_id})
        once = await here.call("ListRepository", {"InstanceId": instance_id}, headers=headers)
        twice = await there.call("ListRepository", {"InstanceId": instance_id}, headers=headers)
        scan = {"InstanceId": instance_id, "RepoId": read.body["RepoId"], "Tag": "1.0"}
        never = await there.call("GetRepoTagScanStatus", scan)

    assert (written.status, read.status, once.status) == (200, 200, 200)
    assert (read.body["RepoId"], read.body["Summary"]) == (written.body["RepoId"], "s")
    assert (twice.status, twice.body["Code"]) == (400, "SignatureNonceUsed")
    assert (never.status, never.body["IsSuccess"], never.body["Code"]) == (200, False, "IMAGE_NOT_SCANNED")
