"""The embedded Kafka: its folder, its ports, its end and the end of whoever started it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import sys
from pathlib import Path

import msgspec
import pytest

from services.kernel.bus.interface import Message
from services.kernel.bus.kafka import open_kafka_bus
from services.kernel.bus.kafka_topics import Topic
from services.kernel.embedded.java import find_java
from services.kernel.embedded.kafka import Broker, embedded_kafka
from services.kernel.embedded.kafka_files import load_node
from services.kernel.embedded.kafka_jars import ensure_jars, locked_jars
from services.kernel.errors import ServiceError
from tests.buses import JARS

TOPIC = "drydock.test.v1"


async def publish(broker: Broker, value: bytes) -> None:
    topics = [Topic(name=TOPIC)]
    async with open_kafka_bus(broker.servers, broker.settings, keep_days=1, topics=topics) as bus:
        await bus.publish([Message(topic=TOPIC, key=b"k", value=value)])


async def kept(broker: Broker) -> list[bytes]:
    topics = [Topic(name=TOPIC)]
    async with open_kafka_bus(broker.servers, broker.settings, keep_days=1, topics=topics) as bus:
        return [each.record.message.value for each in (await bus.browse(TOPIC, limit=100)).kept]


@pytest.mark.slow
async def test_messages_ports_and_password_outlive_a_restart(tmp_path: Path) -> None:
    async with embedded_kafka(tmp_path, jars=JARS) as first:
        await publish(first, b"one")
    assert first.server.poll() is not None
    async with embedded_kafka(tmp_path, jars=JARS) as second:
        assert second.servers == first.servers
        assert second.settings == first.settings
        assert await kept(second) == [b"one"]


@pytest.mark.slow
async def test_a_broker_that_is_killed_comes_back_with_all_that_it_confirmed(tmp_path: Path) -> None:
    async with embedded_kafka(tmp_path, jars=JARS) as broker:
        await publish(broker, b"one")
        broker.server.kill()
        broker.server.wait()
        assert await kept(broker) == [b"one"]


@pytest.mark.slow
async def test_a_second_one_on_the_same_folder_is_refused_and_the_first_one_lives_on(tmp_path: Path) -> None:
    async with embedded_kafka(tmp_path, jars=JARS) as first:
        with pytest.raises(ServiceError) as caught:
            async with embedded_kafka(tmp_path, jars=JARS):
                pass
        assert caught.value.reason == "DATA_FOLDER_IN_USE"
        await publish(first, b"one")


@pytest.mark.slow
async def test_only_loopback_and_only_its_owner_can_reach_it(tmp_path: Path) -> None:
    async with embedded_kafka(tmp_path, jars=JARS) as broker:
        password = broker.settings.password.get_secret_value()
        home = tmp_path / "kafka"
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        secret = [
            file for file in home.iterdir() if file.is_file() and password in file.read_text(errors="replace")
        ]
        assert {file.name for file in secret} == {"identity.json", "server.properties", "client.properties"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in secret} == {0o600}
        assert password.encode() not in Path(f"/proc/{broker.server.pid}/cmdline").read_bytes()
        assert password not in repr(broker)
        assert listening(broker.server.pid) <= {"127.0.0.1"}


def listening(pid: int) -> set[str]:
    """Returns the addresses at which a process listens, of IPv4 and of IPv4 in IPv6."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            name = str(link.readlink())
        except FileNotFoundError:  # closed since it was listed
            continue
        if name.startswith("socket:["):
            inodes.add(name[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                raw = bytes.fromhex(fields[1].partition(":")[0][-8:])[::-1]
                found.add(socket.inet_ntoa(raw))
    assert found
    return found


_SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from services.kernel.embedded.kafka import embedded_kafka
from tests.integration.test_kernel_embedded_kafka import publish
from tests.buses import JARS

async def main(data):
    async with embedded_kafka(Path(data), jars=JARS) as broker:
        await publish(broker, b"one")
        print("pid", broker.server.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.slow
async def test_a_killed_supervisor_takes_the_broker_along_and_the_next_one_finds_everything(
    tmp_path: Path,
) -> None:
    root = Path(__file__).parents[2]
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _SUPERVISOR,
        str(tmp_path),
        env={"PYTHONPATH": f"{root}:{root / 'protos' / 'gen'}", "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
    )
    assert supervisor.stdout is not None
    async with asyncio.timeout(60):
        line = b""
        while not line.startswith(b"pid "):
            line = await supervisor.stdout.readline()
            assert line, "the supervisor ended"
    supervisor.send_signal(signal.SIGKILL)
    await supervisor.wait()
    async with embedded_kafka(tmp_path, jars=JARS) as broker:  # at once: the old one may still be shutting down
        assert not Path(f"/proc/{int(line.split()[1])}/cmdline").exists() or _is_zombie(int(line.split()[1]))
        assert await kept(broker) == [b"one"]


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.slow
async def test_a_broker_that_does_not_start_says_why(tmp_path: Path) -> None:
    node = load_node(tmp_path / "kafka")
    node.records.mkdir()
    (node.records / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=7\n")
    with pytest.raises(ServiceError) as caught:
        async with embedded_kafka(tmp_path, jars=JARS):
            pass
    assert caught.value.reason == "KAFKA_DID_NOT_START"
    assert "node" in caught.value.message.lower()


@pytest.mark.slow
async def test_a_port_that_another_program_took_is_named(tmp_path: Path) -> None:
    node = load_node(tmp_path / "kafka")
    with socket.socket() as other:
        other.bind(("127.0.0.1", node.client_port))
        other.listen()
        with pytest.raises(ServiceError) as caught:
            async with embedded_kafka(tmp_path, jars=JARS):
                pass
    assert caught.value.reason == "KAFKA_PORT_TAKEN"
    assert str(node.client_port) in caught.value.message


def test_a_damaged_identity_is_not_replaced(tmp_path: Path) -> None:
    load_node(tmp_path)
    (tmp_path / "identity.json").write_bytes(msgspec.json.encode({"cluster_id": "x"}))
    with pytest.raises(ServiceError) as caught:
        load_node(tmp_path)
    assert caught.value.reason == "KAFKA_IDENTITY_UNREADABLE"


@pytest.mark.slow
def test_a_jar_that_is_not_the_locked_one_is_fetched_anew(tmp_path: Path) -> None:
    ensure_jars(JARS)
    folder = shutil.copytree(JARS, tmp_path / "jars")
    damaged = folder / locked_jars()[0].file_name
    whole = damaged.read_bytes()
    damaged.write_bytes(whole + b"x")
    ensure_jars(folder)
    assert damaged.read_bytes() == whole


def test_a_jar_that_was_changed_on_its_way_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jgo.maven._core import Artifact

    changed = tmp_path / "changed.jar"
    changed.write_bytes(b"another program")
    monkeypatch.setattr(Artifact, "resolve", lambda artifact: changed)
    with pytest.raises(ServiceError) as caught:
        ensure_jars(tmp_path / "jars")
    assert caught.value.reason == "KAFKA_JAR_CHANGED"
    assert not list((tmp_path / "jars").glob("*.jar"))


def test_jars_that_cannot_be_fetched_are_told_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jgo.maven._core import Artifact

    def fail(artifact: object) -> Path:
        raise OSError("no network")

    monkeypatch.setattr(Artifact, "resolve", fail)
    with pytest.raises(ServiceError) as caught:
        ensure_jars(tmp_path)
    assert caught.value.reason == "KAFKA_JARS_MISSING"
    assert "make kafka" in caught.value.hint


def test_without_a_java_that_is_new_enough_it_says_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    monkeypatch.setattr("services.kernel.embedded.java.find_spec", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError) as caught:
        find_java()
    assert caught.value.reason == "NO_JAVA"
    assert f"{old} is 11" in caught.value.message


def test_the_lock_names_each_jar_once_with_its_hash() -> None:
    jars = locked_jars()
    assert len({jar.file_name for jar in jars}) == len(jars) == 46
    assert all(len(jar.sha256) == 64 for jar in jars)
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {"4.1.0"}
