"""The commands against a running Drydock, with an image in a registry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import jsonschema
import pytest

from services.kernel.model.access import RegistryAccess
from services.lab.faults import Status
from services.lab.image import build_image
from services.lab.layer import LayerBuilder
from services.lab.push import push_image
from services.lab.registry import LabRegistry, serve_registry
from tests.builders.malware import EICAR
from tests.builders.notifier import answering, serve_site
from tests.commandline import Ran, drydock
from tests.running import running_drydock

pytestmark = pytest.mark.slow

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"


class Shell:
    """Types commands at one server, with `--output json` unless told otherwise."""

    def __init__(self, env: dict[str, str], *, http: str = "") -> None:
        self._env = env
        self.http = http

    def as_(self, token: str) -> Shell:
        """Returns the same shell with another key."""
        return Shell({**self._env, "DRYDOCK_TOKEN": token}, http=self.http)

    async def __call__(self, *arguments: str, stdin: str = "", output: str = "json") -> Ran:
        return await drydock(*arguments, "--output", output, env=self._env, stdin=stdin)


@pytest.fixture
async def shell(tmp_path: Path, database: str) -> AsyncIterator[Shell]:
    """A shell beside a running Drydock, which it finds as people do: by server and data folder."""
    async with running_drydock(tmp_path, database) as running:
        yield Shell({"DRYDOCK_SERVER": running.grpc, "DRYDOCK_DATA_DIR": str(tmp_path)}, http=running.http)


@pytest.fixture
async def registry() -> AsyncIterator[LabRegistry]:
    """A registry with one image, `team/app:1.0`, that notifies nobody."""
    async with serve_registry() as registry:
        metadata = "Metadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n\n"
        layer = LayerBuilder().file("lib/site-packages/Jinja2-2.10.dist-info/METADATA", metadata).build()
        access = RegistryAccess(address=registry.address, plain_http=True)
        await push_image(access, "team/app", "1.0", build_image([layer]))
        yield registry


async def create_lab(shell: Shell, registry: LabRegistry) -> None:
    """Saves the registry as `lab`; the engine is named, whatever is installed here."""
    where = ("--address", registry.address, "--plain-http", "--engine", "security-center")
    assert (await shell("instance", "create", "lab", *where)).status == 0


async def test_instances_are_created_listed_changed_and_deleted(shell: Shell) -> None:
    created = (
        await shell("instance", "create", "prod", "--address", "registry.example.com:5000", "--region", "eu")
    ).json
    assert created["instance_id"].startswith("cri-")
    assert created["webhook_url"] == f"http://{shell.http}/webhooks/distribution/{created['instance_id']}"
    assert created["webhook_token"].startswith("ddk_")
    assert (created["edition"], created["engine"], created["plain_http"]) == (
        "ENTERPRISE",
        "SECURITY_CENTER",
        False,
    )
    assert [item["name"] for item in (await shell("instance", "list")).json] == ["prod"]
    assert (await shell("instance", "list", "--region", "us")).json == []

    changed = await shell(
        "instance", "update", "prod", "--plain-http", "--username", "u", "--password-stdin", stdin="secret\n"
    )
    assert (changed.json["plain_http"], changed.json["username"], changed.json["region"]) == (True, "u", "eu")
    assert "secret" not in changed.stdout + changed.stderr

    assert (await shell("instance", "delete", "prod")).status == 0
    gone = await shell("instance", "show", "prod")
    assert (gone.status, gone.error["reason"]) == (1, "INSTANCE_NOT_EXIST")


async def test_an_engine_is_shown_activated_and_switched_or_refused(shell: Shell, registry: LabRegistry) -> None:
    # Whoever creates a personal instance authorizes nothing: there is nothing that it may be scanned with.
    where = ("--address", registry.address, "--plain-http", "--edition", "personal", "--region", "eu")
    await shell("instance", "create", "lab", *where, "--engine", "security-center")
    personal = await shell("instance", "engines", "lab")
    assert (personal.status, personal.error["reason"]) == (1, "EDITION_NOT_SUPPORTED")
    await shell("instance", "update", "lab", "--edition", "enterprise")

    checked = await shell("instance", "activate", "lab", "security-center")
    lacking = [one for one in checked.json["conditions"] if one["status"] != "TRUE"]
    assert (checked.status, [one["type"] for one in lacking]) == (1, ["Authorized"])
    assert set(lacking[0]) == {"type", "status", "reason", "message", "last_transition_time"}
    active = await shell("instance", "activate", "lab", "security-center", "--authorize")
    assert (active.status, active.json["state"], active.json["authorized_by"]) == (0, "ACTIVE", "admin")

    refused = await shell("instance", "switch", "lab", "trivy")
    assert (refused.status, refused.error["reason"], refused.error["field"]) == (1, "ENGINE_NOT_READY", "engine")
    assert refused.error["metadata"]["conditions"] == "TrivyReady"
    same = await shell("instance", "switch", "lab", "security-center")
    assert (same.status, same.json["in_use"]) == (0, True)
    unknown = await shell("instance", "switch", "lab", "clair")
    assert (unknown.status, unknown.error["reason"]) == (2, "INVALID_ENGINE")

    engines = (await shell("instance", "engines", "lab")).json
    assert [(one["engine"], one["in_use"]) for one in engines] == [("SECURITY_CENTER", True), ("TRIVY", False)]
    table = (await shell("instance", "engines", "lab", output="table")).stdout
    assert table.splitlines()[0].split() == [
        "ENGINE",
        "IN",
        "USE",
        "STATE",
        "CONDITION",
        "STATUS",
        "SINCE",
        "REASON",
        "MESSAGE",
    ]
    assert "team/app:1.0 could be pulled." in table
    assert (await shell("instance", "regions")).json == [{"region": "eu", "instances": 1}]

    audit = (await shell("audit", "--instance", "lab", "--limit", "2")).json
    assert [(one["action"], one["outcome"]) for one in audit] == [
        ("RulesService/SwitchScanEngine", "INVALID_ENGINE"),
        ("RulesService/SwitchScanEngine", "OK"),
    ]


async def test_an_instance_is_synced_with_its_registry(shell: Shell, registry: LabRegistry) -> None:
    await shell("instance", "create", "prod", "--address", registry.address, "--plain-http")
    assert (await shell("instance", "show", "prod")).json["sync_status"]["state"] == "OFF"
    early = await shell("instance", "sync", "prod", "now")
    assert (early.status, early.error["reason"]) == (1, "SYNC_OFF")

    on = await shell("instance", "sync", "prod", "on", "--wait", "1m")
    assert (on.status, on.json["state"], on.json["repositories"], on.json["tags"]) == (0, "WAITING", 1, 1)
    await shell("status", "prod", "team/app:1.0", "--wait", "1m")
    [tag] = (await shell("instance", "tags", "prod", "team/app")).json
    assert (tag["tag"], tag["pull_time"]) == ("1.0", None)

    async with aiohttp.ClientSession(f"http://{registry.address}") as session:
        await session.delete("/v2/team/app/manifests/1.0")
    again = await shell("instance", "sync", "now", "prod", "--wait", "1m")
    assert (again.status, again.json["walk"], again.json["tags"]) == (0, 2, 0)
    async with asyncio.timeout(30):
        while not (removals := (await shell("instance", "sync", "prod", "status")).json["removals"]):
            await asyncio.sleep(0.2)
    assert [(removal["cause"], removal["tag"]) for removal in removals] == [("TAG_DELETED", "1.0")]
    assert (await shell("instance", "tags", "prod", "team/app")).json == []
    deleted = await shell("status", "prod", "team/app:1.0")
    assert (deleted.status, deleted.error["reason"]) == (1, "IMAGE_NOT_SCANNED")
    assert "is deleted" in deleted.error["message"]

    registry.faults.add("/v2/_catalog", Status(code=500))
    put_off = await shell("instance", "sync", "prod", "now", "--wait", "1m")
    assert (put_off.status, put_off.json["state"], put_off.error["reason"]) == (5, "DELAYED", "REGISTRY_ERROR")
    shown = (await shell("instance", "show", "prod")).json
    assert (shown["sync"], shown["sync_status"]["reason"]) == (True, "REGISTRY_ERROR")
    assert (await shell("instance", "sync", "prod", "off")).json["state"] == "OFF"
    assert (await shell("instance", "sync", "prod", "often")).status == 2


async def test_an_operator_gets_the_instance_and_is_told_who_makes_its_webhook_key(shell: Shell) -> None:
    token = (await shell("key", "create", "op", "--role", "operator")).json["token"]
    ran = await shell.as_(token)("instance", "create", "prod", "--address", "registry.example.com")
    assert (ran.status, ran.error["reason"]) == (0, "ROLE_INSUFFICIENT")
    assert (ran.json["name"], ran.json["webhook_url"], ran.json["webhook_token"]) == ("prod", None, None)

    asked = ran.error["hint"].partition("drydock ")[2].split()
    made = (await shell(*asked)).json
    assert made["webhook_url"].endswith(f"/webhooks/distribution/{ran.json['instance_id']}")
    assert made["token"].startswith("ddk_")


async def test_the_door_may_be_named_otherwise(shell: Shell) -> None:
    where = ("--address", "a.example.com", "--webhook-base", "https://hooks.example.com/")
    created = (await shell("instance", "create", "prod", *where)).json
    assert created["webhook_url"] == f"https://hooks.example.com/webhooks/distribution/{created['instance_id']}"


async def test_a_new_instance_has_the_rule_every_push_unless_told_not_to(shell: Shell) -> None:
    await shell("instance", "create", "with", "--address", "a.example.com")
    await shell("instance", "create", "without", "--address", "b.example.com", "--no-default-rule")
    (rule,) = (await shell("rule", "list", "with")).json
    assert (rule["scope"], rule["trigger"], rule["tag_pattern"]) == ("INSTANCE", "AUTO", ".*")
    assert (await shell("rule", "list", "without")).json == []


async def test_what_a_target_is_told_of_is_said_and_changed(shell: Shell) -> None:
    await shell("target", "create", "chat", "--kind", "http", "--url", "http://127.0.0.1:9/x")
    assert (await shell("target", "when", "chat")).json["occasions"] == ["FINDINGS", "FAILED"]
    instance = (await shell("instance", "create", "prod", "--address", "127.0.0.1:9", "--plain-http")).json
    what = ("--on", "findings", "--on", "malicious", "--min-severity", "high", "--new-only")
    where = ("--instance", "prod", "--namespace", "team", "--repo", "team/app", "--tag", "v.*", "--together", "1h")
    changed = (await shell("target", "when", "chat", *what, *where)).json
    assert changed == (await shell("target", "when", "chat")).json
    assert changed == {
        "occasions": ["FINDINGS", "MALICIOUS_SAMPLE"],
        "min_severity": "HIGH",
        "new_only": True,
        "instance_ids": [instance["instance_id"]],
        "namespaces": ["team"],
        "repositories": ["team/app"],
        "tag_pattern": "v.*",
        "window_seconds": 3600,
    }
    other = (await shell("target", "when", "chat", "--all-findings", "--together", "0s")).json
    assert (other["new_only"], other["window_seconds"], other["namespaces"]) == (False, 0, ["team"])
    assert (await shell("target", "when", "chat", "--reset")).json["namespaces"] == []
    refused = await shell("target", "when", "chat", "--on", "failed", "--new-only")
    assert (refused.status, refused.error["reason"]) == (2, "INVALID_SUBSCRIPTION")


async def test_a_dead_delivery_is_listed_shown_and_replayed(shell: Shell, registry: LabRegistry) -> None:
    async with serve_site(answering(404, text="nobody here")) as site:
        await create_lab(shell, registry)
        target = (await shell("target", "create", "chat", "--kind", "http", "--url", site.url)).json
        await shell("target", "when", "chat", "--on", "completed")
        what = ("--scope", "instance", "--tag", ".*", "--trigger", "manual", "--target", target["target_id"])
        rule = (await shell("rule", "create", "lab", "all", *what)).json
        assert (await shell("rule", "run", rule["rule_id"], "--wait", "60s")).status == 0
        async with asyncio.timeout(30):
            while not (listed := (await shell("delivery", "list", "--state", "dead", "--target", "chat")).json):
                await asyncio.sleep(0.1)
        [dead] = listed
        assert (dead["state"], dead["reason"], dead["target"]) == ("DEAD", "TARGET_REFUSES", "chat")
        shown = (await shell("delivery", "show", dead["delivery_id"])).json
        assert shown["body"]["delivery_id"] == dead["delivery_id"]
        assert [(each["http_status"], each["excerpt"]) for each in shown["tries"]] == [(404, "nobody here")]
        table = (await shell("delivery", "show", dead["delivery_id"], output="table")).stdout
        assert "TIME" in table
        assert f'  "delivery_id": "{dead["delivery_id"]}",' in table.splitlines()
        site.answer = answering(204)
        replayed = (await shell("delivery", "replay", dead["delivery_id"])).json
        assert (replayed["state"], replayed["replays"]) == ("PENDING", 1)
        async with asyncio.timeout(30):
            while not (await shell("delivery", "list", "--state", "delivered")).json:
                await asyncio.sleep(0.1)
        assert [hit.headers["Drydock-Delivery"] for hit in site.hits] == [dead["delivery_id"]] * 2
        assert site.hits[0].body == site.hits[1].body
    again = await shell("delivery", "replay", dead["delivery_id"])
    assert (again.status, again.error["reason"]) == (1, "DELIVERY_NOT_DEAD")
    assert (await shell("delivery", "replay", "--target", "chat")).json == {"replayed": 0}
    assert (await shell("delivery", "replay")).status == 2
    viewer = (await shell("key", "create", "eyes", "--role", "viewer")).json
    refused = await shell.as_(viewer["token"])("delivery", "list")
    assert refused.error["reason"] == "ROLE_INSUFFICIENT"


async def test_who_wants_new_findings_only_is_told_what_the_scan_before_did_not_have(
    shell: Shell, registry: LabRegistry
) -> None:
    async with serve_site() as site:
        await create_lab(shell, registry)
        target = (await shell("target", "create", "chat", "--kind", "http", "--url", site.url)).json
        await shell("target", "when", "chat", "--on", "findings", "--new-only")
        what = ("--scope", "instance", "--tag", ".*", "--trigger", "manual", "--target", target["target_id"])
        rule = (await shell("rule", "create", "lab", "all", *what)).json
        for hits in (1, 2):
            assert (await shell("rule", "run", rule["rule_id"], "--wait", "60s")).status == 0
            async with asyncio.timeout(30):
                while len(site.hits) < hits:
                    await asyncio.sleep(0.1)
    first, second = (json.loads(hit.body) for hit in site.hits)
    assert first["comparison"]["earlier_task_id"] == ""
    assert first["comparison"]["new"]["total"] == first["findings"]["total"] > 0
    assert len(first["comparison"]["examples"]) == first["findings"]["total"]
    # The sample advisories cannot judge all: nobody can say that nothing is new, so it is told.
    assert second["comparison"]["earlier_task_id"] == first["task_id"]
    assert second["comparison"]["new"]["total"] == 0
    assert second["comparison"]["doubt"] == second["reason"] != ""


async def test_event_rules_are_made_listed_and_deleted(shell: Shell) -> None:
    await shell("target", "create", "chat", "--kind", "http", "--url", "http://127.0.0.1:9/x")
    instance = (await shell("instance", "create", "prod", "--address", "127.0.0.1:9", "--plain-http")).json
    what = ("--target", "chat", "--namespace", "team", "--repo", "app", "--tag", "v.*")
    made = (await shell("event-rule", "create", "prod", "all", *what)).json
    assert (made["instance_id"], made["scope"], made["repo_names"]) == (instance["instance_id"], "REPO", ["app"])
    assert (await shell("event-rule", "list", "prod")).json == [made]
    assert (await shell("event-rule", "records", "prod")).json == []
    assert (await shell("event-rule", "delete", "prod", made["rule_id"])).status == 0
    assert (await shell("event-rule", "list", "prod")).json == []


async def test_rules_and_targets_are_created_changed_and_deleted(shell: Shell) -> None:
    await shell("instance", "create", "prod", "--address", "a.example.com", "--no-default-rule")
    target = (await shell("target", "create", "chat", "--kind", "http", "--url", "http://127.0.0.1:9/x")).json
    assert (await shell("target", "list")).json == [target]

    signed = await shell(
        "target", "update", "chat", "--secret-stdin", "--format", "cloudevents-binary", stdin="s3cr3t\n"
    )
    assert signed.status == 0, signed.stderr
    assert (signed.json["has_secret"], signed.json["format"]) == (True, "CLOUDEVENTS_BINARY")
    assert "s3cr3t" not in signed.stdout
    assert (await shell("target", "update", "chat")).status == 2
    plain = await shell("target", "update", "chat", "--no-secret", "--format", "json")
    assert plain.json == target

    where = ("--scope", "repo", "--namespace", "team", "--repo", "app", "--repo", "web")
    what = ("--tag", "v.*", "--trigger", "manual", "--target", target["target_id"])
    created = await shell("rule", "create", "prod", "releases", *where, *what)
    rule = created.json
    assert (rule["scope"], rule["namespaces"], rule["repo_names"]) == ("REPO", ["team"], ["app", "web"])
    assert rule["target_ids"] == [target["target_id"]]
    assert rule["scan_type"] == "VUL"
    none = await shell("rule", "create", "prod", "x", "--scope", "instance", "--tag", ".*", "--target", "tgt-none")
    assert (none.status, none.error["reason"], none.error["field"]) == (2, "TARGET_NOT_EXIST", "target_ids")
    everything = ("--scope", "instance", "--tag", ".*", "--scan-type", "sbom")
    assert (await shell("rule", "create", "prod", "inventories", *everything)).json["scan_type"] == "SBOM"

    changed = (await shell("rule", "update", rule["rule_id"], "--tag", "r.*", "--no-target")).json
    assert (changed["tag_pattern"], changed["target_ids"], changed["repo_names"]) == ("r.*", [], ["app", "web"])
    widened = (await shell("rule", "update", rule["rule_id"], "--scope", "instance")).json
    assert (widened["namespaces"], widened["repo_names"]) == ([], [])

    wrong = await shell("rule", "create", "prod", "bad", "--scope", "instance", "--tag", "(")
    assert (wrong.status, wrong.error["reason"]) == (2, "INVALID_TAG_PATTERN")
    assert (await shell("rule", "delete", rule["rule_id"])).status == 0
    assert (await shell("target", "delete", "chat")).status == 0


async def test_a_revoked_key_is_gone_from_the_list(shell: Shell) -> None:
    created = (await shell("key", "create", "ci", "--role", "viewer")).json
    assert (created["role"], created["token"][:4]) == ("VIEWER", "ddk_")
    assert "ci" in [key["name"] for key in (await shell("key", "list")).json]
    rotated = await shell("key", "rotate", "ci")
    assert rotated.status == 0, rotated.stderr
    assert rotated.json["token"] != created["token"]
    assert (await shell("key", "revoke", "ci")).status == 0
    assert "ci" not in [key["name"] for key in (await shell("key", "list")).json]


async def test_a_task_is_started_waited_for_and_its_findings_listed(shell: Shell, registry: LabRegistry) -> None:
    await create_lab(shell, registry)
    unknown = await shell("status", "lab", "team/app:1.0")
    assert unknown.status == 1

    task = await shell("task", "create", "lab", "team/app:1.0", "--wait", "1m")
    assert (task.status, task.json["state"]) == (0, "COMPLETE")
    assert sum(task.json["findings"].values()) > 0
    status = await shell("status", "lab", "team/app:1.0", "--wait", "1m")
    assert status.json["digest"] == task.json["digest"]
    assert [item["task_id"] for item in (await shell("task", "list", "--instance", "lab")).json] == [
        task.json["task_id"]
    ]
    assert (await shell("task", "show", task.json["task_id"])).json["platforms"][0]["platform"] == "linux/amd64"

    findings = (await shell("findings", "list", "lab", "team/app:1.0", "--kind", "application")).json
    assert len(findings) == sum(task.json["findings"].values())
    assert findings[0]["package"]["name"].lower() == "jinja2"
    worst = (await shell("findings", "list", "lab", "team/app:1.0", "--worst-first", "--limit", "1")).json
    assert worst[0]["severity"] == findings[-1]["severity"]


async def test_findings_on_content_are_listed_by_their_kind(shell: Shell, registry: LabRegistry) -> None:
    key = "AKIA" + "4HZQTWNYBLK73RDV"
    layer = LayerBuilder().file("root/.aws/credentials", key).file("srv/eicar", EICAR).build()
    image = build_image([layer, LayerBuilder().whiteout("root/.aws/credentials").build()])
    await push_image(RegistryAccess(address=registry.address, plain_http=True), "team/app", "2.0", image)
    await create_lab(shell, registry)
    await shell("task", "create", "lab", "team/app:2.0", "--wait", "1m")

    (baseline,) = (await shell("findings", "list", "lab", "team/app:2.0", "--kind", "baseline")).json
    assert (baseline["id"], baseline["match"], baseline["deleted"]) == ("aws-access-key-id", "AKIA********", True)
    assert (baseline["package"], baseline["path"]) == (None, "/root/.aws/credentials")
    (malicious,) = (await shell("findings", "list", "lab", "team/app:2.0", "--kind", "malicious")).json
    assert (malicious["id"], malicious["path"], malicious["md5"]) == (
        "eicar-test-file",
        "/srv/eicar",
        "44d88612fea8a8f36de82e1278abb02f",
    )
    table = await shell("findings", "list", "lab", "team/app:2.0", output="table")
    assert "/root/.aws/credentials (deleted)" in table.stdout
    assert key[4:] not in table.stdout


async def test_the_report_of_a_scan_is_printed_as_its_schema_has_it(shell: Shell, registry: LabRegistry) -> None:
    await create_lab(shell, registry)
    before = await shell("report", "lab", "team/app:1.0")
    assert (before.status, before.stdout, before.error["reason"]) == (1, "", "REPO_NOT_EXIST")
    task = (await shell("task", "create", "lab", "team/app:1.0", "--wait", "1m")).json

    printed = await shell("report", "lab", "team/app:1.0", "--platform", "linux/amd64")
    jsonschema.validate(printed.json, json.loads(SCHEMA.read_text()))
    assert printed.json["image"]["digest"] == task["digest"]
    assert [package["name"] for package in printed.json["inventory"]["packages"]] == ["Jinja2"]
    assert len(printed.json["findings"]) == sum(task["findings"].values())
    bill = await shell("report", "lab", "team/app:1.0", output="cyclonedx")
    assert bill.json["metadata"]["component"]["hashes"][0]["content"] == task["digest"].partition(":")[2]
    assert datetime.fromisoformat(bill.json["metadata"]["timestamp"]) <= datetime.now(UTC)
    other = await shell("report", "lab", "team/app:1.0", "--platform", "linux/s390x")
    assert (other.status, other.stdout, other.error["reason"]) == (1, "", "PLATFORM_NOT_EXIST")


async def test_an_image_that_is_not_there_is_exit_status_3(shell: Shell, registry: LabRegistry) -> None:
    await create_lab(shell, registry)
    ran = await shell("task", "create", "lab", "team/app:2.0")
    assert (ran.status, ran.stdout) == (3, "")
    assert ran.error["reason"] in ("TAG_NOT_EXIST", "IMAGE_NOT_FOUND")


async def test_waiting_for_what_nobody_scans_ends_undecided(shell: Shell) -> None:
    await shell("instance", "create", "prod", "--address", "a.example.com")
    ran = await shell("status", "prod", "team/app:1.0", "--wait", "1s")
    assert (ran.status, ran.stdout) == (5, "")
    assert ran.error["reason"] == "WAIT_TIMED_OUT"


async def test_a_wrong_token_is_refused(shell: Shell) -> None:
    ran = await drydock("instance", "list", env={**shell._env, "DRYDOCK_TOKEN": "ddk_wrong"})
    assert ran.status == 1
    assert "UNAUTHENTICATED" in ran.stderr or "token" in ran.stderr


async def test_a_gate_waits_for_the_scan_and_says_what_the_tag_holds(shell: Shell, registry: LabRegistry) -> None:
    await create_lab(shell, registry)
    early = await shell("gate", "lab", "team/app:1.0")
    assert (early.status, early.json["decision"]) == (5, "UNDECIDED")
    assert early.error["reason"] == "IMAGE_NOT_SCANNED"

    task = (await shell("task", "create", "lab", "team/app:1.0")).json
    failed = await shell("gate", "lab", "team/app:1.0", "--wait", "30s", "--fail-on", "medium")
    assert (failed.status, failed.json["decision"]) == (1, "FAIL")
    assert (failed.json["digest"], failed.json["task_id"]) == (task["digest"], task["task_id"])
    assert "CVE-2019-10906" in {finding["id"] for finding in failed.json["failing"]}

    # The sample of advisories is never enough to let anything pass.
    undecided = await shell("gate", "lab", "team/app:1.0", "--fail-on", "critical", "--ignore-unknown")
    assert (undecided.status, undecided.json["decision"]) == (5, "UNDECIDED")
    assert "SAMPLE_ADVISORIES" in {reason["code"] for reason in undecided.json["reasons"]}

    shown = await shell("gate", "lab", "team/app:1.0", "--fail-on", "medium", output="table")
    assert "FAIL" in shown.stdout.splitlines()
    assert "[GATE_FAILED]" in shown.stderr


async def test_a_gate_on_what_is_not_there_is_no_verdict(shell: Shell, registry: LabRegistry) -> None:
    await create_lab(shell, registry)
    ran = await shell("gate", "lab", "team/app:2.0", "--wait", "30s")
    assert (ran.status, ran.stdout, ran.error["reason"]) == (3, "", "TAG_NOT_EXIST")


async def test_a_gate_on_an_image_that_could_not_be_scanned_says_so(shell: Shell, registry: LabRegistry) -> None:
    await create_lab(shell, registry)
    registry.faults.add("/v2/team/app/blobs/*", Status(code=403))
    await shell("task", "create", "lab", "team/app:1.0", "--wait", "30s")
    ran = await shell("gate", "lab", "team/app:1.0")
    assert (ran.status, ran.json["decision"], ran.error["reason"]) == (3, "UNDECIDED", "SCAN_FAILED")
