"""`drydock serve --check` and `drydock migrate`, as people and pipelines run them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.fixer import servicer as fixer_door
from services.kernel.db import open_pool
from services.kernel.rpc.identity import Identity
from services.kernel.rpc.server import Service
from services.kernel.settings import KernelSettings
from services.notifier import servicer as notifier_door
from services.processes.ground import behind
from services.processes.roles import LATER, PEERS, Role
from services.rules import servicer as rules_door
from services.scanner import servicer as scanner_door
from services.schemas import SCHEMAS, schemas_needed
from tests.builders.certificates import Authority
from tests.builders.edge import real_rules
from tests.builders.ground import a_ground
from tests.builders.peers import inner_door
from tests.commandline import Ran, drydock
from tests.fakes.fixer import FakeFixer
from tests.fakes.notifier import FakeNotifier
from tests.fakes.scanner import FakeScanner

pytestmark = pytest.mark.slow
TOKEN = "hunter2-hunter2"


async def serve(*arguments: str, **settings: str) -> Ran:
    env = {"DRYDOCK_" + name.upper(): value for name, value in settings.items()}
    return await drydock("serve", *arguments, env=env)


def by_name(ran: Ran) -> dict[str, tuple[bool, str]]:
    return {check["name"]: (check["ok"], check["detail"]) for check in ran.json["checks"]}


async def test_migrate_brings_every_schema_up_to_date_once(empty_database: str) -> None:
    env = {"DRYDOCK_DATABASE_URL": empty_database}
    first, second = [await drydock("migrate", "--output", "json", env=env) for _ in range(2)]
    assert (first.status, second.status) == (0, 0), first.stderr
    assert [row["schema"] for row in first.json] == ["bus", "rules", "scanner", "fixer", "notifier", "gateway"]
    assert all(row["applied"] == row["now_at"] > 0 for row in first.json)
    assert all(row["applied"] == 0 for row in second.json)


async def test_over_kafka_no_schema_of_the_bus_is_made_or_missed(empty_database: str) -> None:
    env = {"DRYDOCK_DATABASE_URL": empty_database, "DRYDOCK_KAFKA": "127.0.0.1:1"}
    ran = await drydock("migrate", "--output", "json", env=env)
    assert [row["schema"] for row in ran.json] == ["rules", "scanner", "fixer", "notifier", "gateway"]
    checked = await serve("rules", "--check", "--output", "json", database_url=empty_database, kafka="127.0.0.1:1")
    found = by_name(checked)
    assert "schema bus" not in found
    assert [ok for name, (ok, _) in found.items() if name.startswith("schema ")] == [True] * 5
    needed = schemas_needed(KernelSettings(kafka="127.0.0.1:1"))
    async with open_pool(empty_database, application_name="tests", max_size=1) as pool:
        assert await behind(pool, needed) == {}
        assert await behind(pool, SCHEMAS) == {"bus": "0001_init"}


async def test_without_a_database_nothing_is_migrated_or_served() -> None:
    for ran in (await drydock("migrate"), await serve("rules"), await serve("rules", "--check")):
        assert (ran.status, "DATABASE_URL_MISSING" in ran.stderr) == (2, True)


async def test_a_check_is_green_when_everything_is_there(database: str, tmp_path: Path) -> None:
    await drydock("migrate", env={"DRYDOCK_DATABASE_URL": database})
    (tmp_path / "token").write_text(TOKEN)
    identity = Identity(tokens=(TOKEN,))
    async with a_ground(database) as ground:
        rules = real_rules(ground.pool, ground.clock)
        services = (
            *rules_door.inner_services(rules),
            *scanner_door.inner_services(FakeScanner()),
            *fixer_door.inner_services(FakeFixer()),
            *notifier_door.inner_services(FakeNotifier()),
        )
        ran = await checked_against(services, identity, database, tmp_path)
    assert ran.status == 0, ran.stdout
    assert (ran.json["role"], ran.json["ok"]) == ("gateway", True)
    assert [name for name, (ok, _) in by_name(ran).items() if not ok] == []
    assert {
        "peer rules",
        "peer scanner",
        "peer fixer",
        "peer notifier",
        "schema bus",
        "schema gateway",
    } <= by_name(ran).keys()
    assert TOKEN not in ran.stdout + ran.stderr
    settings = {setting["name"]: (setting["value"], setting["origin"]) for setting in ran.json["settings"]}
    assert settings["DRYDOCK_SERVICE_TOKEN"] == ("***", "given")
    assert settings["DRYDOCK_GATEWAY_GRPC_LISTEN"] == ("127.0.0.1:7070", "default")
    assert not (tmp_path / "admin.token").exists()


async def checked_against(services: Sequence[Service], identity: Identity, database: str, folder: Path) -> Ran:
    async with inner_door(services, identity=identity) as door:
        peers = {f"{role.value}_address": door.address for role in (*PEERS[Role.GATEWAY], *LATER[Role.GATEWAY])}
        return await serve(
            "gateway",
            "--check",
            "--output",
            "json",
            database_url=database,
            service_token_file=str(folder / "token"),
            admin_token_file=str(folder / "admin.token"),
            **peers,
        )


async def test_a_check_is_red_and_names_whatever_is_missing(empty_database: str, tmp_path: Path) -> None:
    async with inner_door((), identity=Identity(tokens=("another",))) as stranger:
        ran = await serve(
            "scanner",
            "--check",
            "--output",
            "json",
            database_url=empty_database,
            data_dir=str(tmp_path / "data"),
            service_token=TOKEN,
            rules_address=stranger.address,
        )
    found = by_name(ran)
    assert (ran.status, ran.json["ok"]) == (1, False)
    assert found["database"][0]
    assert found["schema scanner"] == (False, "scanner lacks 0001_init. Run `drydock migrate`. [SCHEMA_BEHIND]")
    assert "PEER_REFUSED" in found["peer rules"][1]
    assert found["inner door"] == (True, "127.0.0.1:7072, guarded by 1 service token(s)")
    assert not (tmp_path / "data").exists()


async def test_a_database_that_is_away_or_refuses_is_told_without_its_password(database: str) -> None:
    refusing = re.sub(r"/test_\d+\?", "/none?", database)
    for url, reason in (
        ("postgresql://drydock:hunter2@127.0.0.1:1/drydock?password=hunter2", "DATABASE_UNAVAILABLE"),
        (refusing, "DATABASE_REFUSED"),
        ("postgresql://drydock:hun/ter2:hunter2@127.0.0.1:1/drydock", "INVALID_DATABASE_URL"),
        ("nonsense:hunter2", "INVALID_DATABASE_URL"),
    ):
        ran = await serve("notifier", "--check", database_url=url)
        assert ran.status == 1
        assert reason in ran.stdout
        assert "hunter2" not in ran.stdout + ran.stderr


async def test_certificates_are_checked_with_all_else(database: str, tmp_path: Path) -> None:
    files = {name: str(path) for name, path in Authority().write(tmp_path).items()}
    listen = ("--grpc", "0.0.0.0:7074", "--output", "json")
    good = await serve("notifier", "--check", *listen, database_url=database, **files)
    assert by_name(good)["inner door"][1].startswith("0.0.0.0:7074, guarded by mutual TLS until ")
    bad = await serve("notifier", "--check", *listen, database_url=database, **{**files, "tls_key_file": "/none"})
    assert (bad.status, bad.error["reason"]) == (1, "TLS_FILE_UNREADABLE")
    none = await serve("notifier", "--check", *listen, database_url=database)
    assert (none.status, "INNER_DOOR_UNGUARDED" in by_name(none)["inner door"][1]) == (1, True)


async def test_beyond_loopback_nothing_is_served_without_proof(database: str) -> None:
    ran = await serve("notifier", "--grpc", "0.0.0.0:0", "--monitoring", "127.0.0.1:0", database_url=database)
    assert (ran.status, "INNER_DOOR_UNGUARDED" in ran.stderr) == (1, True)


async def test_a_setting_that_is_none_is_refused(database: str) -> None:
    misspelt = await serve("rules", "--check", database_url=database, rules_adress="127.0.0.1:1")
    assert (misspelt.status, "DRYDOCK_RULES_ADDRESS" in misspelt.stderr) == (2, True)
    no_door = await serve("rules", "--http", "127.0.0.1:0", database_url=database)
    assert (no_door.status, "HTTP door" in no_door.stderr) == (2, True)
