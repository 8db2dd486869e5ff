"""Runs of rules as they are typed, against a running Drydock and a real registry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.kernel.model.access import RegistryAccess
from services.lab.faults import Delay
from services.lab.image import build_image
from services.lab.layer import LayerBuilder
from services.lab.push import open_push, push_image, push_manifest
from tests.commandline import Ran, drydock
from tests.registries import StartRegistry, lab_registry
from tests.running import running_drydock

pytestmark = pytest.mark.slow

TAGS = tuple(f"v{number}" for number in range(40))


class Desk:
    """A shell beside a running Drydock, and an instance `prod` with forty tags and one that matches no rule."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env

    async def __call__(self, *arguments: str, output: str = "json") -> Ran:
        return await drydock(*arguments, "--output", output, env=self._env)

    async def rule(self, tag: str = "v.*", *more: str) -> str:
        made = await self("rule", "create", "prod", f"r {tag}", "--scope", "instance", "--tag", tag, *more)
        assert made.status == 0, made.stderr
        return str(made.json["rule_id"])

    async def show(self, run_id: str, word: str) -> Mapping[str, Any]:
        """Shows a run again and again until it is in that state."""
        async with asyncio.timeout(60):
            while True:
                shown = (await self("task", "show", run_id)).json
                if shown["state"] == word:
                    return shown  # type: ignore[no-any-return] # what was printed
                await asyncio.sleep(0.2)


@asynccontextmanager
async def desk_at(access: RegistryAccess, data: Path, database: str) -> AsyncIterator[Desk]:
    """Pushes the tags, runs a Drydock, and makes the instance."""
    metadata = "Metadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n\n"
    layer = LayerBuilder().file("lib/site-packages/Jinja2-2.10.dist-info/METADATA", metadata).build()
    image = build_image([layer])
    async with running_drydock(data, database) as running:
        await push_image(access, "team/app", "latest", image)
        async with open_push(access) as client:
            for tag in TAGS:
                await push_manifest(client, "team/app", tag, image.media_type, image.manifest)
        desk = Desk({"DRYDOCK_SERVER": running.grpc, "DRYDOCK_DATA_DIR": str(data)})
        address = ("--address", access.address, "--plain-http")
        made = await desk("instance", "create", "prod", *address, "--no-default-rule")
        assert made.status == 0, made.stderr
        yield desk


@pytest.fixture
async def desk(tmp_path: Path, database: str, each_registry: StartRegistry) -> AsyncIterator[Desk]:
    async with each_registry() as registry, desk_at(registry.access, tmp_path, database) as made:
        yield made


async def test_a_rule_is_previewed_run_and_waited_for(desk: Desk) -> None:
    rule_id = await desk.rule("v.*", "--trigger", "manual")

    preview = (await desk("rule", "preview", rule_id)).json
    ran = await desk("rule", "run", rule_id, "--wait", "60s")

    assert (preview["repositories"], preview["tags"], preview["matching"]) == (1, 41, 40)
    assert ran.status == 0, ran.stderr
    run = ran.json
    assert (run["state"], run["images"], run["complete"], run["failed"]) == ("COMPLETE", 40, 40, 0)
    assert run["findings"]["HIGH"] + run["findings"]["MEDIUM"] >= 40
    some = await desk("task", "list", "--run", run["run_id"], "--limit", "1")
    assert (len(some.json), json.loads(some.stderr)["remark"]) == (1, "There are more than 1: raise --limit.")
    everything = await desk("task", "list", "--run", run["run_id"])
    listed = everything.json
    assert everything.stderr == ""
    assert {task["tag"] for task in listed} == set(TAGS)
    assert {task["state"] for task in listed} == {"COMPLETE"}
    assert (await desk("rule", "show", rule_id)).json["last_run_id"] == run["run_id"]
    assert (await desk("status", "prod", "team/app:v7")).json["run_id"] == run["run_id"]
    for filters, count in (
        (("--rule", rule_id, "--tag", "v7"), 1),
        (("--repository", "team/app", "--state", "complete", "--since", "1h"), 40),
        (("--repository", "team/none"), 0),
        (("--engine", "trivy"), 0),
        (("--until", "1h"), 0),
        (("--limit", "3"), 3),
    ):
        assert len((await desk("task", "list", *filters)).json) == count, filters


async def test_a_run_of_nothing_is_no_clean_one(desk: Desk) -> None:
    ran = await desk("rule", "run", await desk.rule("none"), "--wait", "60s")
    assert (ran.status, ran.json["state"], ran.json["images"]) == (5, "COMPLETE", 0)
    assert "NOTHING_MATCHED" in ran.stderr


async def test_a_run_is_called_off_and_tried_again(tmp_path: Path, database: str) -> None:
    async with lab_registry() as registry, desk_at(registry.access, tmp_path, database) as desk:
        assert registry.lab is not None
        registry.lab.faults.add("/v2/team/app/manifests/v*", Delay(3), methods=("HEAD",))  # it takes its time
        started = (await desk("rule", "run", await desk.rule())).json
        called_off = (await desk("task", "cancel", started["run_id"])).json
        registry.lab.faults.clear()
        cancelled = await desk.show(started["run_id"], "CANCELLED")
        again = await desk("task", "rerun", started["run_id"], "--wait", "60s")
        refused = await desk("task", "rerun", started["run_id"])

    assert called_off["images"] < len(TAGS)
    assert cancelled["complete"] + cancelled["failed"] == cancelled["images"]
    assert again.status == 0, again.stderr
    assert (again.json["state"], again.json["complete"]) == ("COMPLETE", 40)
    assert (refused.status, "TASK_NOT_FAILED" in refused.stderr) == (1, True)


async def test_schedules_are_typed_shown_and_taken_away(desk: Desk) -> None:
    rule_id = await desk.rule("v.*", "--schedule", "30 2 * * MON")
    shown = (await desk("rule", "show", rule_id)).json
    bad = await desk("rule", "update", rule_id, "--schedule", "whenever")
    gone = (await desk("rule", "update", rule_id, "--no-schedule")).json

    assert (shown["schedule"], "T02:30:00Z" in shown["next_run_time"]) == ("30 2 * * MON", True)
    assert (bad.status, "INVALID_SCHEDULE" in bad.stderr) == (2, True)
    assert (gone["schedule"], gone["next_run_time"]) == ("", None)


async def test_help_shows_how_it_is_typed(desk: Desk) -> None:
    for command, example in (
        (("rule", "run"), "drydock rule run"),
        (("rule", "preview"), "drydock rule preview"),
        (("task", "list"), "--state failed"),
        (("task", "cancel"), "drydock task cancel"),
        (("task", "rerun"), "drydock task rerun"),
    ):
        shown = await drydock(*command, "--help", env={})
        assert example in shown.stdout
