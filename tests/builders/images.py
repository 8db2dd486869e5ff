"""Images, sources and receivers that several tests arrange the same way."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator

import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.kernel.clock import Clock
from services.kernel.model.access import RegistryAccess
from services.kernel.model.media import OCI_LAYER
from services.kernel.model.platform import Platform
from services.lab.image import LINUX_AMD64, BuiltImage, build_image
from services.lab.layer import BuiltLayer, Compression, LayerBuilder
from services.lab.loopback import LoopbackServer, listen, serving
from services.registry.interface import Descriptor, ImageSource
from services.registry.limits import RetryPolicy, SourceSettings, Timeouts
from services.registry.retry import Retrier
from services.registry.source import RegistrySource
from services.registry.wire import open_session

REPOSITORY = "team/app"


def a_layer(text: str = "layer", compression: Compression = Compression.GZIP) -> BuiltLayer:
    """A layer with one file."""
    return LayerBuilder().file("etc/motd", text).build(compression)


def a_large_layer(size: int = 1 << 20) -> BuiltLayer:
    """A layer of about that many bytes as stored."""
    return LayerBuilder().file("data", bytes(range(256)) * (size // 256)).build(Compression.NONE)


def an_image(*texts: str, platform: Platform = LINUX_AMD64) -> BuiltImage:
    """An image with one layer for each text."""
    return build_image([a_layer(text) for text in texts or ("base", "app")], platform)


def layer_descriptor(layer: BuiltLayer) -> Descriptor:
    """The descriptor of a plain or gzip layer as its manifest has it."""
    return Descriptor(media_type=f"{OCI_LAYER}+gzip", digest=layer.digest, size=len(layer.content))


class Waits:
    """A sleep that takes no time and remembers how long it should have."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


class FixedNames(AbstractResolver):
    """Leads every name to the same addresses, and remembers what it was asked for."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses
        self.asked: list[str] = []

    def lead_to(self, *addresses: str) -> None:
        """Leads elsewhere from now on."""
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        pass


@contextlib.asynccontextmanager
async def registry_source(
    access: RegistryAccess,
    *,
    repository: str = REPOSITORY,
    timeouts: Timeouts | None = None,
    attempts: int = 3,
    waits: Waits | None = None,
    names: AbstractResolver | None = None,
    clock: Clock | None = None,
    token_hosts: frozenset[str] = frozenset(),
) -> AsyncIterator[ImageSource]:
    """A source with short deadlines, whose pauses take no time."""
    policy = RetryPolicy(attempts=attempts)
    times = timeouts or Timeouts(idle_seconds=5.0, request_seconds=10.0)
    settings = SourceSettings(timeouts=times, retry=policy, token_hosts=token_hosts)
    retrier = Retrier(policy, clock=clock, sleep=waits or Waits(), draw=lambda: 1.0)
    async with open_session(names) as session:
        yield RegistrySource(session, access, repository, settings, retrier=retrier)


async def read_blob(source: ImageSource, descriptor: Descriptor) -> bytes:
    """The whole blob."""
    async with source.blob(descriptor) as chunks:
        return b"".join([chunk async for chunk in chunks])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a receiver got."""

    content_type: str
    authorization: str
    envelope: dict[str, list[dict[str, object]]]


class Receiver:
    """A webhook receiver; it answers 503 as often as it is told to."""

    def __init__(self, *, refuse_first: int = 0) -> None:
        self.refused = 0
        self._refuse_first = refuse_first
        self.arrived: asyncio.Queue[Notification] = asyncio.Queue()
        self.url = ""

    async def receive(self, request: Request) -> Response:
        """Takes one notification."""
        body = await request.body()
        if self.refused < self._refuse_first:
            self.refused += 1
            return Response(status_code=503)
        self.arrived.put_nowait(
            Notification(
                content_type=request.headers["Content-Type"],
                authorization=request.headers.get("Authorization", ""),
                envelope=msgspec.json.decode(body),
            )
        )
        return Response(status_code=200)

    async def next_event(self, action: str, *, tagged: bool = True) -> tuple[Notification, dict[str, object]]:
        """The next event with this action that is about a tag, or about anything."""
        async with asyncio.timeout(20):
            while True:
                notification = await self.arrived.get()
                for event in notification.envelope["events"]:
                    target = event["target"]
                    assert isinstance(target, dict)
                    if event["action"] == action and (not tagged or target.get("tag")):
                        return notification, event


@contextlib.asynccontextmanager
async def webhook_receiver(*, refuse_first: int = 0) -> AsyncIterator[Receiver]:
    """Runs a receiver on a free port."""
    receiver = Receiver(refuse_first=refuse_first)
    listener, address = listen()
    receiver.url = f"http://{address}/hooks"
    server = LoopbackServer(Starlette(routes=[Route("/hooks", receiver.receive, methods=["POST"])]))
    async with serving(server, listener):
        yield receiver
