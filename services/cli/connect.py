"""The way to a running gateway: its address, the token, and one place where calls fail."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from services.cli import tls
from services.cli.failure import UNREACHABLE, Exit, reported
from services.cli.output import Output, Record, show_record, show_records, show_remark
from services.kernel.errors import Kind, ServiceError

if TYPE_CHECKING:
    import grpc

    from drydock.acr.v20181201.container_registry_pb2_grpc import ContainerRegistryAsyncStub
    from drydock.fixer.v1.fixer_service_pb2_grpc import FixerServiceAsyncStub
    from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from drydock.notifier.v1.notifier_service_pb2_grpc import NotifierServiceAsyncStub
    from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceAsyncStub
    from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceAsyncStub

T = TypeVar("T")
CALL_SECONDS = 30.0
"""Every single call is given up after so long."""
_PAGE = 1000
_TOKEN_BYTES = 4096


class Client:
    """The services behind the gateway; a stub is loaded when it is first used."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    @cached_property
    def rules(self) -> RulesServiceAsyncStub:
        """Instances and rules."""
        from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub

        return RulesServiceStub(self._channel)

    @cached_property
    def scanner(self) -> ScannerServiceAsyncStub:
        """Tasks and findings."""
        from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceStub

        return ScannerServiceStub(self._channel)

    @cached_property
    def fixer(self) -> FixerServiceAsyncStub:
        """Repaired images."""
        from drydock.fixer.v1.fixer_service_pb2_grpc import FixerServiceStub

        return FixerServiceStub(self._channel)

    @cached_property
    def notifier(self) -> NotifierServiceAsyncStub:
        """Targets."""
        from drydock.notifier.v1.notifier_service_pb2_grpc import NotifierServiceStub

        return NotifierServiceStub(self._channel)

    @cached_property
    def admin(self) -> AdminServiceAsyncStub:
        """Access keys."""
        from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub

        return AdminServiceStub(self._channel)

    @cached_property
    def registry(self) -> ContainerRegistryAsyncStub:
        """The interface of the reference product."""
        from drydock.acr.v20181201.container_registry_pb2_grpc import ContainerRegistryStub

        return ContainerRegistryStub(self._channel)


def call(
    work: Callable[[Client], Awaitable[T]],
    *,
    server: str,
    data: Path,
    output: Output,
    otherwise: Exit = Exit.FAILED,
) -> T:
    """Connects, does the work, and returns what it returns; a failure ends the process with its exit status."""
    with reported(output, otherwise=otherwise):
        return asyncio.run(_connected(work, server, read_token(data)))


def shown(work: Callable[[Client], Awaitable[Record]], *, server: str, data: Path, output: Output) -> None:
    """Does the work as `call` does, and prints the one thing that it returns."""
    show_record(output, call(work, server=server, data=data, output=output))


def listed(
    fetch: Callable[[Client, int, str], Awaitable[tuple[list[Record], str]]],
    columns: Sequence[str],
    *,
    server: str,
    data: Path,
    output: Output,
    limit: int | None = None,
) -> None:
    """Fetches pages as `every_page` does, prints all that is in them, and says so when there are more."""

    async def work(client: Client) -> tuple[list[Record], bool]:
        return await every_page(partial(fetch, client), limit)

    records, more = call(work, server=server, data=data, output=output)
    show_records(output, records, columns)
    if more:
        show_remark(output, f"There are more than {limit}: raise --limit.")


async def every_page(
    fetch: Callable[[int, str], Awaitable[tuple[list[T], str]]], limit: int | None
) -> tuple[list[T], bool]:
    """Collects pages until the last one, or until there are `limit` items; returns whether there are more, too.

    `fetch` gets a page size and a page token, and returns the items and the next token.
    """
    items: list[T] = []
    token = ""
    while True:
        size = _PAGE if limit is None else min(_PAGE, limit - len(items))
        page, token = await fetch(size, token)
        items += page
        if not token or (limit is not None and len(items) >= limit):
            return items, bool(token)


def read_token(data: Path) -> str:
    """Returns the token of `DRYDOCK_TOKEN`, else of `DATA/admin.token`; empty when there is neither.

    Raises:
        ServiceError: TOKEN_UNREADABLE when the file is there but is not ours to read.
    """
    token = os.environ.get("DRYDOCK_TOKEN", "").strip()
    if token:
        return token
    path = data.expanduser() / "admin.token"
    try:
        with path.open("rb") as file:
            return file.read(_TOKEN_BYTES).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ServiceError(
            Kind.PERMISSION_DENIED,
            "TOKEN_UNREADABLE",
            f"The token file {path} cannot be read.",
            hint="Set DRYDOCK_TOKEN, or run as the user that runs `drydock up`.",
        ) from error


async def _connected(work: Callable[[Client], Awaitable[T]], server: str, token: str) -> T:
    from services.kernel.rpc.client import open_channel, translated_errors

    try:
        with translated_errors():
            async with open_channel(
                server, token=token, deadline_seconds=CALL_SECONDS, credentials=tls.credentials()
            ) as channel:
                return await work(Client(channel))
    except ServiceError as error:
        if error.reason in UNREACHABLE:
            raise _out_of_reach(error, server) from error
        raise


def _out_of_reach(error: ServiceError, server: str) -> ServiceError:
    """Says which address it was, and what starts a server."""
    return ServiceError(
        error.kind,
        error.reason,
        f"The server at {server} cannot be reached or does not answer.",
        hint="Start one with `drydock up`, or name another with --server or DRYDOCK_SERVER."
        + ("" if tls.spoken() else " Where it speaks TLS, set DRYDOCK_TLS_CA."),
        metadata={"server": server},
    )
