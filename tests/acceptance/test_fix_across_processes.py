"""A fix from the command line to the notification, every service a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.lab.push import push_image
from services.lab.receiver import serve_receiver
from tests.acceptance.test_push_to_verdict import an_image
from tests.acceptance.test_separate_processes import end_all, scene
from tests.commandline import Ran, drydock
from tests.processes import fleet
from tests.running import client_of

pytestmark = pytest.mark.slow


async def test_a_fix_is_asked_for_tried_and_told_across_processes(tmp_path: Path, database: str) -> None:
    roles = ("gateway", "fixer", "notifier", "scanner", "rules")
    async with fleet(tmp_path, database, *roles) as started, serve_receiver() as receiver:
        await started.start_all()
        token = started.admin_token_file.read_text().strip()

        async def fix(*arguments: str) -> Ran:
            env = {"DRYDOCK_SERVER": started.running.grpc, "DRYDOCK_TOKEN": token}
            return await drydock("fix", *arguments, "--output", "json", env=env)

        async with client_of(started.running) as client, scene(client, receiver.url) as (instance_id, registry):
            unknown = await fix("create", "lab", "team/app:v1")
            assert (unknown.status, unknown.error["reason"]) == (3, "REPO_NOT_EXIST"), unknown.stderr
            digest = await push_image(registry.access, "team/app", "v1", an_image())
            await client.wait(instance_id, "team/app", "v1", digest=digest)
            wrong = await fix("create", "lab", "team/app:v1", "--finding", "CVE-1999-0001")
            assert (wrong.status, wrong.error["reason"]) == (2, "FINDING_NOT_EXIST")
            # Its one flaw is in a package of a language, of which nothing is fixed: the fix ends, and says why.
            ran = await fix("create", "lab", "team/app:v1", "--finding", "CVE-2019-10906", "--wait", "60s")
            assert (ran.status, ran.json["state"], ran.json["digest"]) == (3, "FAILED", digest), ran.stderr
            assert ran.error["reason"] == ran.json["reason"]
            assert ran.json["message"]
            assert (ran.json["fixed_tag"], ran.json["created_by"]) == ("", "admin")
            listed = await fix("list", "--instance", "lab", "--state", "failed")
            assert [task["task_id"] for task in listed.json] == [ran.json["task_id"]]
            told = await receiver.wait_for(lambda got: json.loads(got.body)["event"] == "fix.failed", 30)
            body = json.loads(told.body)
            assert (body["task_id"], body["reason"], body["tag"]) == (
                ran.json["task_id"],
                ran.json["reason"],
                "v1",
            )
            assert body["rule_ids"]
            await end_all(started)
