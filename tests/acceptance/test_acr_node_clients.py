"""The official Node clients of the reference, as they come, against a running Drydock.

`@alicloud/cr20181201` itself is only types over `callApi` of its runtime: what is sent and read is the runtime's
work. That of its 1.x and that of its 2.x are here, beside the older client, which signs in the older way.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.acr_stage import LEAKED, Account, Stage, acr_stage
from tests.nodes import node_clients, node_program

pytestmark = [pytest.mark.slow, pytest.mark.node_clients]

SCRIPT = Path(__file__).parents[1] / "fixtures" / "acr_conversation.js"
CLIENTS = ["openapiClient", "openapiCore", "popCore"]


@pytest.fixture
def clients() -> Path:
    found = node_clients()
    if found is None:
        pytest.skip("the official Node clients cannot be installed here: see what deploy/node/build.sh says")
    return found


@pytest.fixture
async def stage(clients: Path, tmp_path: Path, database: str) -> AsyncIterator[Stage]:
    async with acr_stage(tmp_path / "data", database) as stage:
        yield stage


async def talk(
    clients: Path, stage: Stage, client: str, account: Account, *calls: dict[str, Any]
) -> list[dict[str, Any]]:
    """Makes calls one after the other, and returns what came of each."""
    said = {
        "client": client,
        "account": {
            "accessKeyId": account.access_key_id,
            "accessKeySecret": account.secret,
            "endpoint": stage.endpoint,
        },
        "calls": calls,
    }
    proxies = {"http_proxy", "https_proxy", "no_proxy"}
    environment = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    process = await asyncio.create_subprocess_exec(
        *(node_program(), SCRIPT),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**environment, "NODE_PATH": str(clients / "node_modules")},
    )
    async with asyncio.timeout(90):
        out, _ = await process.communicate(json.dumps(said).encode())
    assert process.returncode == 0
    answers: list[dict[str, Any]] = json.loads(out)
    return answers


def a_call(
    action: str, method: str = "POST", until: dict[str, Any] | None = None, **parameters: Any
) -> dict[str, Any]:
    return {"action": action, "method": method, "parameters": parameters, "until": until}


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_rule_a_scan_and_all_that_it_found(stage: Stage, clients: Path, client: str) -> None:
    image: dict[str, Any] = {"InstanceId": stage.instance_id, "RepoId": stage.repo_id, "Tag": stage.tag}
    ended = {"field": "Status", "values": ["COMPLETE", "FAILED"]}
    rule: dict[str, Any] = {
        "InstanceId": stage.instance_id,
        "RuleName": "all of team (*) ~'größe'",
        "ScanScope": "NAMESPACE",
        "Namespaces": ["team", "team/deep"],
        "RepoTagFilterPattern": ".*",
        "TriggerType": "AUTO",
    }

    made, listed, scan, status, summary, result, baselines, files = await talk(
        clients,
        stage,
        client,
        stage.operator,
        a_call("CreateScanRule", **rule),
        a_call("ListScanRule", "GET", InstanceId=stage.instance_id, PageNo=1, PageSize=30),
        a_call("CreateRepoTagScanTask", **image),
        a_call("GetRepoTagScanStatus", until=ended, **image),
        a_call("GetRepoTagScanSummary", **image),
        a_call("ListRepoTagScanResult", **image, PageSize=100),
        a_call("ListScanBaselineByTask", "GET", **image),
        a_call("ListScanMaliciousFileByTask", "GET", **image),
    )

    assert made["body"]["Code"] == 0
    [saved] = listed["body"]["ScanRules"]
    assert (saved["RuleName"], saved["Namespaces"]) == (rule["RuleName"], rule["Namespaces"])
    assert scan["body"]["IsSuccess"] is True
    assert status["body"]["Status"] == "COMPLETE"
    names = {each["CveName"] for each in result["body"]["Vulnerabilities"]}
    assert "CVE-2019-10906" in names
    assert summary["body"]["TotalSeverity"] == result["body"]["TotalCount"] > 0
    keys = {each["BaselineNameKey"] for each in baselines["body"]["ScanBaselines"]}
    assert "aws-access-key-id" in keys
    assert LEAKED not in json.dumps(baselines)
    [malicious] = files["body"]["ScanMaliciousFiles"]
    assert malicious["FilePath"] == "/opt/test.com"


@pytest.mark.parametrize("client", CLIENTS)
async def test_errors_are_those_that_are_documented(stage: Stage, clients: Path, client: str) -> None:
    image: dict[str, Any] = {"InstanceId": stage.instance_id, "RepoId": stage.repo_id, "Tag": stage.tag}
    wrong = Account(access_key_id=stage.viewer.access_key_id, secret="x")

    unknown, denied, nothing = await talk(
        clients,
        stage,
        client,
        stage.viewer,
        a_call("GetRepoTagScanStatus", **{**image, "InstanceId": "cri-none"}),
        a_call("CreateRepoTagScanTask", **image),
        a_call("ListMoons"),
    )
    [unsigned] = await talk(clients, stage, client, wrong, a_call("GetRepoTagScanStatus", **image))

    answers = [unknown, denied, nothing, unsigned]
    assert [answer.get("code") for answer in answers] == [
        "INSTANCE_NOT_EXIST",
        "NoPrivilege",
        "InvalidAction.NotFound",
        "SignatureDoesNotMatch",
    ], answers
    assert unknown["data"]["HostId"] == stage.endpoint
