"""An embedded Apache Kafka: one KRaft node in a data folder, on loopback, for those who know its password."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.kernel.bus.kafka_settings import KafkaSettings, client_arguments
from services.kernel.embedded.java import find_java
from services.kernel.embedded.kafka_files import Node, check_ports, load_node, write_files
from services.kernel.embedded.kafka_jars import default_folder, ensure_jars
from services.kernel.embedded.keeper import kept_running
from services.kernel.embedded.process import only_one, stop, tail, tied_to_us
from services.kernel.errors import Kind, ServiceError

log = structlog.get_logger()

_MEMORY = ("-Xms64m", "-Xmx512m", "-XX:MaxMetaspaceSize=192m", "-XX:MaxDirectMemorySize=128m")
_JVM = (*_MEMORY, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")
_SIGNALS = (signal.SIGTERM, signal.SIGKILL)
_FORMAT_SECONDS = 60.0
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A running broker, and how to reach it."""

    servers: str
    settings: KafkaSettings
    server: subprocess.Popen[bytes] = dataclasses.field(repr=False)
    """As it was started; another one may have taken its place since."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A node that is formatted and ready to be started."""

    node: Node
    java: Path
    jars: tuple[Path, ...]


@asynccontextmanager
async def embedded_kafka(data: Path, *, jars: Path | None = None) -> AsyncIterator[Broker]:
    """Starts the broker that lives in `data/kafka`, and stops it at exit.

    It ends with this process even when that is killed (`PR_SET_PDEATHSIG`), is started again when it ends before,
    keeps its ports and its password, and loses nothing that it confirmed. Tools find what they need to log in in
    `data/kafka/client.properties`.

    Raises:
        ServiceError: DATA_FOLDER_IN_USE; NO_JAVA; KAFKA_JARS_MISSING; KAFKA_PORT_TAKEN; KAFKA_DID_NOT_START with
            the end of its log.
    """
    with only_one(data / "kafka"):
        installation = await asyncio.to_thread(install, data / "kafka", jars or default_folder())
        await _await_end_of_predecessor(installation.node)
        check_ports(installation.node)
        node = installation.node
        async with kept_running(
            "kafka",
            start=lambda: start(installation),
            await_ready=lambda server: await_ready(_broker(node, server), node),
            stop=lambda server: stop(server, _SIGNALS, name="kafka", seconds=_STOP_SECONDS),
        ) as server:
            log.info("kafka.started", servers=node.servers, pid=server.pid)
            yield _broker(node, server)


def _broker(node: Node, server: subprocess.Popen[bytes]) -> Broker:
    return Broker(servers=node.servers, settings=node.settings, server=server)


def install(home: Path, jar_folder: Path) -> Installation:
    """Makes sure of Java, jars, files and a formatted folder. Idempotent."""
    java = find_java()
    jars = ensure_jars(jar_folder)
    node = load_node(home)
    write_files(node)
    installation = Installation(node=node, java=java, jars=jars)
    if not (node.records / "meta.properties").exists():
        _format(installation)
    return installation


def start(installation: Installation) -> subprocess.Popen[bytes]:
    """Starts the broker; the calling thread must live as long as it is to."""
    node = installation.node
    command = _java(installation, "kafka.Kafka", str(node.configuration))
    with node.log.open("ab") as output:
        server = subprocess.Popen(  # noqa: S603 - our own program, our own arguments
            command,
            cwd=node.home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us; we then stop the broker in order
            preexec_fn=tied_to_us(signal.SIGTERM),  # noqa: PLW1509 - two system calls; a clean shutdown
        )
    node.pid.write_text(str(server.pid))
    return server


async def await_ready(broker: Broker, node: Node) -> None:
    """Returns once the broker answers to clients that log in.

    Raises:
        ServiceError: KAFKA_DID_NOT_START.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _START_SECONDS
    while not await _answers(broker):
        if broker.server.poll() is not None or loop.time() > give_up:
            raise _did_not_start(tail(node.log))
        await asyncio.sleep(_LOOK_SECONDS)


async def _answers(broker: Broker) -> bool:
    admin = AIOKafkaAdminClient(**client_arguments(broker.servers, broker.settings))
    try:
        async with asyncio.timeout(5):
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, TimeoutError, OSError):
        return False
    finally:
        await admin.close()


def _format(installation: Installation) -> None:
    node = installation.node
    arguments = ("format", "-t", node.cluster_id, "-c", str(node.configuration), "--ignore-formatted")
    try:
        done = subprocess.run(  # noqa: S603 - our own program, our own arguments
            _java(installation, "kafka.tools.StorageTool", *arguments),
            cwd=node.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=_FORMAT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise _did_not_start("formatting its folder takes too long") from error
    if done.returncode != 0:
        raise _did_not_start(done.stderr or done.stdout)


def _java(installation: Installation, main: str, *arguments: str) -> list[str]:
    return [
        str(installation.java),
        *_JVM,
        f"-Dlog4j2.configurationFile={installation.node.logging}",
        "-cp",
        os.pathsep.join(map(str, installation.jars)),
        main,
        *arguments,
    ]


async def _await_end_of_predecessor(node: Node) -> None:
    """Waits for a broker whose starter was killed: it may still be shutting down on the same folder."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _STOP_SECONDS
    signals = list(_SIGNALS)
    while (pid := _living_broker(node)) is not None:
        if loop.time() > give_up:
            if not signals:
                raise _did_not_start(f"an older broker, process {pid}, does not end")
            number = signals.pop(0)
            log.warning("kafka.orphan_stopped", pid=pid, signal=number)
            with suppress(ProcessLookupError):
                os.kill(pid, number)  # the folder's lock is ours, so nobody else needs it
            give_up = loop.time() + _STOP_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)


def _living_broker(node: Node) -> int | None:
    """Returns the process that serves the folder already; a stale note of one that is gone counts as none."""
    try:
        pid = int(node.pid.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(node.configuration) in command.split(b"\0") else None


def _did_not_start(output: str) -> ServiceError:
    return ServiceError(
        Kind.INTERNAL,
        "KAFKA_DID_NOT_START",
        f"The embedded Kafka did not start: {output.strip()[-800:]}",
        hint="Mend what its log names, or give the brokers of your own with --kafka HOST:PORT.",
    )
