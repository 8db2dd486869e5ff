"""`drydock fix` as people and pipelines run it, through the gateway's door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.fixer.api import FixState, Stage
from services.fixer.failure import FixFailure, FixReason
from services.kernel.model.digest import digest_of
from tests.commandline import Ran, drydock
from tests.fakes.fixer import a_fix_task
from tests.integration.test_gateway_doors import Gateway, gateway

pytestmark = pytest.mark.slow

ID = a_fix_task().task_id


@pytest.fixture
async def running(database: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(database, tmp_path / "admin.token") as opened:
        yield opened


async def fix(running: Gateway, *arguments: str) -> Ran:
    env = {"DRYDOCK_SERVER": running.doors.grpc, "DRYDOCK_TOKEN": running.admin}
    return await drydock("fix", *arguments, env=env)


async def test_what_is_typed_is_what_is_ordered(running: Gateway) -> None:
    digest = digest_of(b"image")
    ran = await fix(
        running,
        *("create", "lab", f"team/app:1.0@{digest}", "--finding", "CVE-1", "--finding", "CVE-2", "--overwrite"),
        *("--target", "tgt-1", "--output", "json"),
    )
    assert (ran.status, ran.json["task_id"], ran.json["state"]) == (0, ID, "PENDING"), ran.stderr
    [wanted] = running.fixer.asked
    assert (wanted.instance, wanted.namespace, wanted.repository, wanted.tag) == ("lab", "team", "app", "1.0")
    assert (wanted.digest, wanted.findings, wanted.overwrite) == (digest, ("CVE-1", "CVE-2"), True)
    assert running.fixer.targets == ("tgt-1",)


async def test_whoever_waits_sees_how_far_it_is_and_how_it_ended(running: Gateway) -> None:
    running.fixer.tasks = [
        a_fix_task(),
        a_fix_task(state=FixState.RUNNING, stage=Stage.FETCHING, progress_message="fetching"),
        a_fix_task(state=FixState.PARTIAL, stage=Stage.PROVING, message="2 left."),
    ]
    ran = await fix(running, "create", "lab", "team/app:1.0", "--wait", "30s")
    assert ran.status == 1
    assert "RUNNING, FETCHING, fetching" in ran.stderr
    assert "FINDINGS_LEFT" in ran.stderr
    assert "PARTIAL" in ran.stdout


async def test_a_refusal_is_told_with_what_to_do(running: Gateway) -> None:
    running.fixer.failure = FixFailure(
        FixReason.ENGINE_CANNOT_FIX, "TRIVY alone scanned it.", hint="Scan it anew."
    )
    for command in ("create", "preview"):
        ran = await fix(running, command, "lab", "team/app:1.0", "--output", "json")
        assert (ran.status, ran.error["reason"], ran.error["hint"]) == (3, "ENGINE_CANNOT_FIX", "Scan it anew.")


async def test_previews_lists_and_single_fixes_are_shown(running: Gateway) -> None:
    ran = await fix(running, "preview", "lab", "team/app:1.0")
    assert (ran.status, "team/app:1.0_fixd" in ran.stdout) == (0, True), ran.stderr
    running.fixer.tasks = [a_fix_task(state=FixState.REVERTED, fixed_tag="1.0_fixd")]
    shown = await fix(running, "show", ID)
    assert (shown.status, "REVERTED" in shown.stdout) == (0, True), shown.stderr
    listed = await fix(
        running, "list", "--instance", "lab", "--state", "reverted", "--tag", "1.0", "--output", "json"
    )
    assert [row["task_id"] for row in listed.json] == [ID], listed.stderr
    assert running.fixer.filters[-1].state is FixState.REVERTED
    assert (await fix(running, "cancel", ID)).status == 0
    assert (await fix(running, "revert", ID, "--wait", "5s")).status == 0
    missing = await fix(running, "show", "nonsense", "--output", "json")
    assert (missing.status, missing.error["reason"]) == (1, "FIX_TASK_NOT_EXIST")


async def test_help_has_examples() -> None:
    for command in ("preview", "create", "show", "list", "cancel", "revert"):
        ran = await drydock("fix", command, "--help")
        assert (ran.status, f"drydock fix {command}" in ran.stdout) == (0, True)
