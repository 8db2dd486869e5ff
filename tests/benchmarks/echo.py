"""The yardstick of the status call: grpc.aio servers that answer the same five strings and know nothing.

`python -m tests.benchmarks.echo bare` has no interceptor at all; `dressed` has the gateway's, with a guard that
lets everybody in: request id, deadline, error mapping and metrics stay. Prints its address.
"""

from __future__ import annotations

import asyncio
import sys

import grpc
import uvloop
from prometheus_client import CollectorRegistry

from drydock.acr.v20181201 import container_registry_pb2 as pb
from drydock.acr.v20181201 import container_registry_pb2_grpc as rpc
from services.kernel.ids import RandomIds
from services.kernel.log import configure_logs
from services.kernel.rpc.interceptors import CallInterceptor, RpcMetrics
from services.kernel.rpc.server import Service, serve
from tests.builders.guards import Anyone

_ID = "6DD5E0A1-4C2C-4E50-9C5B-0D6D6F1A0A55"


class Echo(rpc.ContainerRegistryServicer):
    """Answers without looking."""

    async def GetRepoTagScanStatus(
        self, request: pb.GetRepoTagScanStatusRequest, context: object
    ) -> pb.GetRepoTagScanStatusResponse:
        return pb.GetRepoTagScanStatusResponse(
            code="success", is_success=True, request_id=_ID, status="COMPLETE", scan_service="SAS_SCAN_SERVICE"
        )


async def main(kind: str) -> None:
    """Serves until it is killed."""
    configure_logs(level="warning")
    interceptors: list[grpc.aio.ServerInterceptor] = []
    if kind == "dressed":
        metrics = RpcMetrics(CollectorRegistry())
        interceptors.append(CallInterceptor(guard=Anyone(), ids=RandomIds(), metrics=metrics))
    echo = Echo()  # type: ignore[abstract] # one method is enough to be measured
    service = Service(
        name="drydock.acr.v20181201.ContainerRegistry",
        add=lambda server: rpc.add_ContainerRegistryServicer_to_server(echo, server),
    )
    async with serve("127.0.0.1:0", [service], interceptors=interceptors) as running:
        print(running.address, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
