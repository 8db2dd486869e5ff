"""A whole Drydock in the test's own process, reached through its doors."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from drydock.acr.v20181201 import container_registry_pb2 as acr
from drydock.acr.v20181201.container_registry_pb2_grpc import ContainerRegistryStub
from drydock.gateway.v1 import admin_service_pb2 as admin
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from drydock.notifier.v1 import notifier_service_pb2 as notifier
from drydock.notifier.v1.notifier_service_pb2_grpc import NotifierServiceStub
from drydock.rules.v1 import instance_pb2, rules_service_pb2, scan_rule_pb2
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from drydock.scanner.v1 import scan_pb2, scanner_service_pb2
from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceStub
from services.gateway.settings import GatewaySettings
from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import RepositoryName
from services.kernel.model.repository_id import repository_id
from services.kernel.rpc.client import open_channel
from services.kernel.run import Process, live
from services.kernel.settings import KernelSettings
from services.lab.events import Endpoint
from services.standalone import Running, compose


@asynccontextmanager
async def running_drydock(data: Path, database_url: str, *, kafka: str = "") -> AsyncIterator[Running]:
    """Runs every service on free ports until the end of the block; `kafka` as `drydock up --kafka` has it."""
    stop = asyncio.Event()
    started: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
    settings = KernelSettings(data_dir=data, database_url=database_url, kafka=kafka)
    doors = GatewaySettings(grpc_listen="127.0.0.1:0", http_listen="127.0.0.1:0", monitoring_listen="127.0.0.1:0")

    @asynccontextmanager
    async def composed(process: Process) -> AsyncIterator[None]:
        async with compose(process, settings, doors) as running:
            started.set_result(running)
            yield

    async def run() -> None:
        try:
            await live(composed, drain_seconds=5, until=stop)
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    task = asyncio.create_task(run())
    try:
        async with asyncio.timeout(60):
            running = await started
        yield running
    finally:
        stop.set()
        await task


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What a person or CI does, over gRPC with the admin's token."""

    channel: grpc.aio.Channel
    running: Running

    async def instance(
        self,
        access: RegistryAccess,
        name: str = "lab",
        *,
        default_rule: bool = True,
        engine: str = "security-center",
    ) -> str:
        """Registers a registry and returns its id; the engine is named, whatever is installed here."""
        answer = await RulesServiceStub(self.channel).CreateInstance(
            rules_service_pb2.CreateInstanceRequest(
                instance=instance_pb2.Instance(
                    name=name, address=access.address, plain_http=access.plain_http, username=access.username
                ),
                password=access.password.get_secret_value(),
                engine=engine,
                no_default_rule=not default_rule,
            )
        )
        return answer.instance.instance_id

    async def move(self, instance_id: str, address: str) -> None:
        """Says where the registry is now."""
        await RulesServiceStub(self.channel).UpdateInstance(
            rules_service_pb2.UpdateInstanceRequest(
                instance=instance_pb2.Instance(instance_id=instance_id, address=address),
                update_mask=FieldMask(paths=["address"]),
            )
        )

    async def webhook(self, instance_id: str) -> Endpoint:
        """Returns where the registry's notifications go, with their token."""
        answer = await AdminServiceStub(self.channel).CreateKey(
            admin.CreateKeyRequest(name=f"hook-{instance_id}", role=admin.ROLE_WEBHOOK, instance=instance_id)
        )
        return Endpoint(
            url=f"http://{self.running.http}/webhooks/distribution/{instance_id}",
            headers={"Authorization": f"Bearer {answer.token}"},
        )

    async def target(self, url: str, name: str = "receiver") -> str:
        """Saves a target and returns its id."""
        answer = await NotifierServiceStub(self.channel).CreateTarget(
            notifier.CreateTargetRequest(
                target=notifier.Target(name=name, kind=notifier.TARGET_KIND_HTTP, url=url)
            )
        )
        return answer.target.target_id

    async def rule(self, instance_id: str, *target_ids: str, pattern: str = ".*") -> str:
        """Saves an AUTO rule for the whole instance and returns its id."""
        answer = await RulesServiceStub(self.channel).CreateScanRule(
            rules_service_pb2.CreateScanRuleRequest(
                rule=scan_rule_pb2.ScanRule(
                    instance_id=instance_id,
                    name=f"rule {pattern}",
                    scope=scan_rule_pb2.SCOPE_INSTANCE,
                    tag_pattern=pattern,
                    target_ids=target_ids,
                )
            )
        )
        return answer.rule.rule_id

    async def status(self, instance_id: str, repository: str, tag: str) -> acr.GetRepoTagScanStatusResponse:
        """Asks for the status as the reference product's clients do."""
        namespace, _, name = repository.rpartition("/")
        repo_id = repository_id(instance_id, RepositoryName(namespace=namespace or "_", name=name))
        return await ContainerRegistryStub(self.channel).GetRepoTagScanStatus(
            acr.GetRepoTagScanStatusRequest(instance_id=instance_id, repo_id=repo_id, tag=tag)
        )

    async def wait(self, instance_id: str, repository: str, tag: str, *, digest: str = "") -> scan_pb2.Task:
        """Polls until the tag's newest task (on that digest) has ended, and returns it."""
        namespace, _, name = repository.rpartition("/")
        image = scan_pb2.ImageRef(instance=instance_id, namespace=namespace or "_", repository=name, tag=tag)
        async with asyncio.timeout(60):
            while True:
                try:
                    answer = await ScannerServiceStub(self.channel).GetImageStatus(
                        scanner_service_pb2.GetImageStatusRequest(image=image)
                    )
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.NOT_FOUND:
                        raise
                else:
                    ended = answer.task.state in (scan_pb2.STATE_COMPLETE, scan_pb2.STATE_FAILED)
                    if ended and digest in ("", answer.task.digest):
                        return answer.task
                await asyncio.sleep(0.05)

    async def tasks(self, instance_id: str) -> list[scan_pb2.Task]:
        """Lists the tasks of an instance."""
        request = scanner_service_pb2.ListScanTasksRequest(instance=instance_id, page_size=1000)
        return list((await ScannerServiceStub(self.channel).ListScanTasks(request)).tasks)

    async def task(self, task_id: str) -> scan_pb2.Task:
        """Returns a task with its platforms."""
        request = scanner_service_pb2.GetScanTaskRequest(task_id=task_id)
        return (await ScannerServiceStub(self.channel).GetScanTask(request)).task

    async def findings(
        self, instance_id: str, repository: str, tag: str
    ) -> scanner_service_pb2.ListFindingsResponse:
        """Lists what was found."""
        namespace, _, name = repository.rpartition("/")
        image = scan_pb2.ImageRef(instance=instance_id, namespace=namespace or "_", repository=name, tag=tag)
        return await ScannerServiceStub(self.channel).ListFindings(
            scanner_service_pb2.ListFindingsRequest(image=image, page_size=1000)
        )


@asynccontextmanager
async def client_of(running: Running) -> AsyncIterator[Client]:
    """Opens a client with the admin's token."""
    token = running.admin_token_file.read_text().strip()
    async with open_channel(running.grpc, token=token) as channel:
        yield Client(channel=channel, running=running)
