"""Real buses for tests: over PostgreSQL, and over a Kafka broker that lives as long as the session."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

from services.kernel.bus.interface import Bus
from services.kernel.bus.kafka import KafkaBus, open_kafka_bus
from services.kernel.bus.kafka_consumer import Membership
from services.kernel.bus.kafka_settings import KafkaSettings
from services.kernel.bus.kafka_topics import with_graves
from services.kernel.bus.postgres import PostgresBus
from services.kernel.embedded.kafka import Broker, Installation, await_ready, install, start
from services.kernel.embedded.process import stop
from services.kernel.ids import RandomIds
from services.kernel.wakeup import Wakeups
from tests.databases import migrated_pool

JARS = Path(__file__).parents[1] / ".cache" / "kafka-jars"
"""Kept between runs: the second one needs no network."""
MEMBERSHIP = Membership(session_seconds=6.0, yield_seconds=1.0)
"""As impatient as a broker allows."""

OpenBus = Callable[[str], AbstractAsyncContextManager[Bus]]
"""Opens a bus that has the topic, and the one for its dead letters."""

_numbers = itertools.count(1)


def fresh_topic() -> str:
    """Returns a name that no other test of this session uses."""
    return f"drydock.test{os.getpid()}.n{next(_numbers)}.v1"


@asynccontextmanager
async def postgres_bus(url: str) -> AsyncIterator[PostgresBus]:
    """Opens the bus in a database of its own."""
    async with migrated_pool(url, ("bus", "services.kernel.bus")) as pool:
        wakeups = Wakeups(url)
        stopping = asyncio.Event()
        listening = asyncio.create_task(wakeups.run(stopping))
        try:
            yield PostgresBus(pool, url, wakeups, RandomIds())
        finally:
            stopping.set()
            await listening


class SessionBroker:
    """A real broker that tests may kill, freeze and start again."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def servers(self) -> str:
        return self.installation.node.servers

    @property
    def settings(self) -> KafkaSettings:
        return self.installation.node.settings

    def start(self) -> None:
        """Starts the broker, unless it runs."""
        if self._server is None or self._server.poll() is not None:
            self._server = start(self.installation)

    async def ready(self) -> None:
        """Starts it if need be, and waits until it answers."""
        self.start()
        assert self._server is not None
        broker = Broker(servers=self.servers, settings=self.settings, server=self._server)
        await await_ready(broker, self.installation.node)

    def kill(self) -> None:
        """Ends it as a power cut does."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def freeze(self) -> None:
        """Makes it silent, with every connection open."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._server.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Lets it go on."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        assert self._server is not None
        self.thaw()
        stop(self._server, (signal.SIGTERM, signal.SIGKILL), name="kafka", seconds=20)

    @asynccontextmanager
    async def bus(
        self, *topics: str, membership: Membership = MEMBERSHIP, publish_seconds: float = 20.0
    ) -> AsyncIterator[KafkaBus]:
        """Opens a bus of its own on the broker."""
        await self.ready()
        settings = self.settings.model_copy(update={"publish_seconds": publish_seconds})
        async with open_kafka_bus(
            self.servers, settings, keep_days=1, topics=with_graves(topics), membership=membership
        ) as bus:
            yield bus


@contextmanager
def session_broker(folder: Path) -> Iterator[SessionBroker]:
    """Runs a broker in the folder until the end of the block."""
    broker = SessionBroker(install(folder, JARS))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
