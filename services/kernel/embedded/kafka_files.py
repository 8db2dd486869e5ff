"""What the embedded Kafka keeps in its folder: who it is, and the files that its programs read."""

from __future__ import annotations

import base64
import dataclasses
import os
import secrets
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from pydantic import SecretStr

from services.kernel.bus.kafka_settings import KafkaSettings
from services.kernel.errors import Kind, ServiceError

_HOST = "127.0.0.1"
_USER = "drydock"
_MECHANISM: Literal["PLAIN"] = "PLAIN"
_LOG_BYTES = 10 * 1024 * 1024


class _Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes once a node was made; the content of `identity.json`."""

    cluster_id: str
    client_port: int
    controller_port: int
    password: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The one node of the cluster in a folder."""

    home: Path
    cluster_id: str
    client_port: int
    controller_port: int
    password: SecretStr

    @property
    def servers(self) -> str:
        """Where clients connect to."""
        return f"{_HOST}:{self.client_port}"

    @property
    def settings(self) -> KafkaSettings:
        """How clients log in."""
        return KafkaSettings(
            security="sasl_plaintext", sasl_mechanism=_MECHANISM, username=_USER, password=self.password
        )

    @property
    def configuration(self) -> Path:
        """The broker's own configuration."""
        return self.home / "server.properties"

    @property
    def logging(self) -> Path:
        """What it logs."""
        return self.home / "log4j2.properties"

    @property
    def records(self) -> Path:
        """The messages."""
        return self.home / "records"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.home / "kafka.log"

    @property
    def pid(self) -> Path:
        """The process that served the folder last."""
        return self.home / "pid"


def load_node(home: Path) -> Node:
    """Returns the node of a folder, which is made where it is missing; only its owner may enter the folder."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    file = home / "identity.json"
    try:
        identity = msgspec.json.decode(file.read_bytes(), type=_Identity)
    except FileNotFoundError:
        client, controller = _free_ports()
        identity = _Identity(
            cluster_id=_cluster_id(),
            client_port=client,
            controller_port=controller,
            password=secrets.token_urlsafe(32),
        )
        _write(file, msgspec.json.encode(identity).decode())
    except (msgspec.DecodeError, OSError) as error:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "KAFKA_IDENTITY_UNREADABLE",
            f"{file} cannot be read.",
            hint="Bring it back from a backup; without it the messages beside it belong to nobody.",
        ) from error
    return Node(
        home=home.resolve(),
        cluster_id=identity.cluster_id,
        client_port=identity.client_port,
        controller_port=identity.controller_port,
        password=SecretStr(identity.password),
    )


def write_files(node: Node) -> None:
    """Writes what the programs read; a log that has grown large becomes `kafka.log.1`."""
    _write(node.configuration, _properties(_broker(node)))
    _write(node.home / "client.properties", _properties(_client(node)))
    _write(node.logging, _properties(_LOGGING))
    if node.log.exists() and node.log.stat().st_size > _LOG_BYTES:
        node.log.rename(node.log.with_suffix(".log.1"))


def check_ports(node: Node) -> None:
    """Looks whether another program holds one of the ports.

    Raises:
        ServiceError: KAFKA_PORT_TAKEN.
    """
    for port in (node.client_port, node.controller_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError as error:
                raise ServiceError(
                    Kind.FAILED_PRECONDITION,
                    "KAFKA_PORT_TAKEN",
                    f"Another program holds port {port}, which the embedded Kafka has used so far.",
                    hint=f"Stop it, or write a free port into {node.home / 'identity.json'}.",
                ) from error


def _broker(node: Node) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{_HOST}:{node.controller_port}",
        "listeners": f"CLIENT://{_HOST}:{node.client_port},CONTROLLER://{_HOST}:{node.controller_port}",
        "advertised.listeners": f"CLIENT://{_HOST}:{node.client_port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        # Any user of the machine can connect to a port: so each listener asks for the password.
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": _MECHANISM,
        "sasl.mechanism.inter.broker.protocol": _MECHANISM,
        "sasl.mechanism.controller.protocol": _MECHANISM,
        "listener.name.client.plain.sasl.jaas.config": _login(node, accept=True),
        "listener.name.controller.plain.sasl.jaas.config": _login(node, accept=True),
        "log.dirs": str(node.records),
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # One node has nobody to fail over to: what a crash costs is only how long its old session lives on.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.segment.bytes": str(64 * 1024 * 1024),
    }


def _client(node: Node) -> dict[str, str]:
    return {
        "bootstrap.servers": node.servers,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": _MECHANISM,
        "sasl.jaas.config": _login(node, accept=False),
    }


_LOGGING: Mapping[str, str] = {
    "appender.out.type": "Console",
    "appender.out.name": "out",
    "appender.out.layout.type": "PatternLayout",
    "appender.out.layout.pattern": "%d{ISO8601} %p %c{1} %m%n",
    "rootLogger.level": "WARN",
    "rootLogger.appenderRef.out.ref": "out",
}


def _login(node: Node, *, accept: bool) -> str:
    # The password is of [A-Za-z0-9_-]: nothing in it needs to be quoted.
    password = node.password.get_secret_value()
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    accepted = f' user_{_USER}="{password}"' if accept else ""
    return f'{module} required username="{_USER}" password="{password}"{accepted};'


def _properties(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={_escaped(value)}\n" for name, value in values.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").encode("latin-1", "backslashreplace").decode("latin-1")


def _write(file: Path, text: str) -> None:
    scratch = file.with_suffix(".new")
    descriptor = os.open(scratch, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    scratch.rename(file)


def _cluster_id() -> str:
    while True:
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not made.startswith("-"):  # its own tool would take it for an option
            return made


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind((_HOST, 0))
        other.bind((_HOST, 0))
        return one.getsockname()[1], other.getsockname()[1]
