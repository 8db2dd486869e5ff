"""The official Python SDK of the reference, as it comes, against a running Drydock."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alibabacloud_cr20181201 import models as cr
from alibabacloud_cr20181201.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config

from tests.acr_stage import LEAKED, Account, Stage, acr_stage

pytestmark = pytest.mark.slow

T = TypeVar("T")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK goes through a proxy even to this machine."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def stage(tmp_path: Path, database: str) -> AsyncIterator[Stage]:
    async with acr_stage(tmp_path / "data", database) as stage:
        yield stage


def sdk(stage: Stage, account: Account | None = None, **changes: Any) -> Client:
    who = account or stage.operator
    config = {
        "access_key_id": who.access_key_id,
        "access_key_secret": who.secret,
        "endpoint": stage.endpoint,
        "protocol": "HTTP",
        **changes,
    }
    return Client(Config(**config))


async def call(work: Callable[[], T]) -> T:
    """Makes blocking calls beside the loop, in which Drydock runs."""
    return await asyncio.to_thread(work)


def image_of(stage: Stage, **more: Any) -> dict[str, Any]:
    return {"instance_id": stage.instance_id, "repo_id": stage.repo_id, "tag": stage.tag, **more}


def scan_to_the_end(client: Client, stage: Stage) -> str:
    """Starts a scan and polls as the reference's users do; returns the status that it ended with."""
    made = client.create_repo_tag_scan_task(cr.CreateRepoTagScanTaskRequest(**image_of(stage))).body
    assert (made.code, made.is_success) == ("success", True)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        asked = cr.GetRepoTagScanStatusRequest(**image_of(stage))
        status = client.get_repo_tag_scan_status(asked).body
        assert status.is_success, status
        if status.status in ("COMPLETE", "FAILED"):
            return str(status.status)
        time.sleep(0.1)
    raise AssertionError("the scan did not end")


@pytest.mark.parametrize("algorithm", [None, "v2"])
async def test_a_rule_a_scan_and_all_that_it_found(stage: Stage, algorithm: str | None) -> None:
    client = sdk(stage, signature_algorithm=algorithm)

    def conversation() -> None:
        rule = client.create_scan_rule(
            cr.CreateScanRuleRequest(
                instance_id=stage.instance_id,
                rule_name="all of team",
                scan_scope="NAMESPACE",
                namespaces=["team", "team/deep"],
                repo_names=[],
                repo_tag_filter_pattern=".*",
                trigger_type="AUTO",
            )
        ).body
        assert rule.code == 0
        assert rule.scan_rule_id.startswith("crscnr-")
        got = client.get_scan_rule(
            cr.GetScanRuleRequest(instance_id=stage.instance_id, scan_rule_id=rule.scan_rule_id)
        ).body
        assert got.scan_rule.namespaces == ["team", "team/deep"]
        assert got.scan_rule.create_time > 1_700_000_000_000
        listed = client.list_scan_rule(
            cr.ListScanRuleRequest(instance_id=stage.instance_id, page_no=1, page_size=30)
        ).body
        assert [each.scan_rule_id for each in listed.scan_rules] == [rule.scan_rule_id]
        assert listed.total_count == 1

        assert scan_to_the_end(client, stage) == "COMPLETE"

        summary = client.get_repo_tag_scan_summary(cr.GetRepoTagScanSummaryRequest(**image_of(stage))).body
        result = client.list_repo_tag_scan_result(
            cr.ListRepoTagScanResultRequest(**image_of(stage, page_no=1, page_size=100))
        ).body
        assert summary.total_severity == result.total_count == len(result.vulnerabilities) > 0
        jinja = next(each for each in result.vulnerabilities if each.cve_name == "CVE-2019-10906")
        assert (jinja.feature, jinja.version, jinja.scan_type) == ("Jinja2", "2.10", "sca")
        commands = client.list_repo_tag_scan_result(
            cr.ListRepoTagScanResultRequest(**image_of(stage, filter_value="FixCmd"))
        ).body
        assert any(each.fix_cmd for each in commands.vulnerabilities)
        assert {each.cve_name for each in commands.vulnerabilities} == {None}

        baselines = client.list_scan_baseline_by_task(cr.ListScanBaselineByTaskRequest(**image_of(stage))).body
        leak = next(each for each in baselines.scan_baselines if each.baseline_name_key == "aws-access-key-id")
        assert (baselines.code, baselines.is_success) == (0, True)
        assert leak.baseline_name_level == "high"
        assert "/root/.aws/config" in leak.baseline_detail_prompt
        assert LEAKED not in leak.baseline_detail_prompt
        same = cr.GetRepoTagScanStatusRequest(instance_id=stage.instance_id, scan_task_id=leak.scan_task_id)
        assert client.get_repo_tag_scan_status(same).body.status == "COMPLETE"
        contradicting = failure_of(
            lambda: client.get_repo_tag_scan_status(
                cr.GetRepoTagScanStatusRequest(**image_of(stage, tag="2.0", scan_task_id=leak.scan_task_id))
            )
        )
        assert (contradicting.status_code, contradicting.code) == (400, "TASK_DOES_NOT_MATCH")
        files = client.list_scan_malicious_file_by_task(
            cr.ListScanMaliciousFileByTaskRequest(**image_of(stage, page_size=100))
        ).body
        [malicious] = files.scan_malicious_files
        assert (malicious.file_path, files.total_count) == ("/opt/test.com", 1)
        assert malicious.malicious_md_5 == "44d88612fea8a8f36de82e1278abb02f"

        gone = client.delete_scan_rule(
            cr.DeleteScanRuleRequest(instance_id=stage.instance_id, scan_rule_id=rule.scan_rule_id)
        ).body
        assert gone.code == "success"

    await call(conversation)


async def test_the_asynchronous_client_works_too(stage: Stage) -> None:
    client = sdk(stage)

    rules = await client.list_scan_rule_async(cr.ListScanRuleRequest(instance_id=stage.instance_id))
    made = await client.create_repo_tag_scan_task_async(cr.CreateRepoTagScanTaskRequest(**image_of(stage)))

    assert (rules.body.total_count, rules.body.scan_rules) == (0, [])
    assert made.body.is_success


def failure_of(work: Callable[[], object]) -> ClientException:
    with pytest.raises(ClientException) as caught:
        work()
    return caught.value


async def test_errors_are_those_that_are_documented(stage: Stage) -> None:
    client = sdk(stage)
    status = cr.GetRepoTagScanStatusRequest(**image_of(stage))

    def conversation() -> None:
        never = client.get_repo_tag_scan_status(status)
        assert (never.status_code, never.body.is_success, never.body.code) == (200, False, "IMAGE_NOT_SCANNED")
        contents = client.list_scan_baseline_by_task(cr.ListScanBaselineByTaskRequest(**image_of(stage))).body
        assert (contents.is_success, contents.code, contents.scan_baselines) == (False, 404, [])

        missing = failure_of(
            lambda: client.get_repo_tag_scan_status(cr.GetRepoTagScanStatusRequest(instance_id=stage.instance_id))
        )
        assert (missing.status_code, missing.code) == (400, "MissingParameter")
        assert "RepoId" in missing.message
        assert missing.data["HostId"] == stage.endpoint
        assert missing.data["RequestId"] == missing.request_id == missing.request_id.upper()
        assert missing.data["Recommend"]
        unknown = failure_of(
            lambda: client.get_repo_tag_scan_status(
                cr.GetRepoTagScanStatusRequest(**image_of(stage, instance_id="cri-none"))
            )
        )
        assert (unknown.status_code, unknown.code) == (404, "INSTANCE_NOT_EXIST")
        gone = failure_of(
            lambda: client.delete_scan_rule(
                cr.DeleteScanRuleRequest(instance_id=stage.instance_id, scan_rule_id="crscnr-none")
            )
        )
        assert gone.code == "SCAN_RULE_NOT_EXIST"
        wrong = failure_of(
            lambda: sdk(stage, Account(access_key_id=stage.viewer.access_key_id, secret="x")).list_scan_rule(
                cr.ListScanRuleRequest(instance_id=stage.instance_id)
            )
        )
        assert (wrong.status_code, wrong.code) == (403, "SignatureDoesNotMatch")
        nobody = failure_of(
            lambda: sdk(stage, Account(access_key_id="LTAInobody", secret="x")).list_scan_rule(
                cr.ListScanRuleRequest(instance_id=stage.instance_id)
            )
        )
        assert (nobody.status_code, nobody.code) == (404, "InvalidAccessKeyId.NotFound")
        denied = failure_of(
            lambda: sdk(stage, stage.viewer).create_repo_tag_scan_task(
                cr.CreateRepoTagScanTaskRequest(**image_of(stage))
            )
        )
        assert (denied.status_code, denied.code) == (403, "NoPrivilege")
        elsewhere = failure_of(
            lambda: client.list_chart_namespace(cr.ListChartNamespaceRequest(instance_id=stage.instance_id))
        )
        assert (elsewhere.status_code, elsewhere.code) == (404, "InvalidAction.NotFound")

    await call(conversation)


async def test_what_an_instance_has_and_what_may_pass(stage: Stage) -> None:
    client = sdk(stage)
    instance = {"instance_id": stage.instance_id}

    def conversation() -> None:
        [found] = client.list_instance(cr.ListInstanceRequest()).body.instances
        assert (found.instance_id, found.instance_status) == (stage.instance_id, "RUNNING")
        endpoints = client.list_instance_endpoint(cr.ListInstanceEndpointRequest(**instance)).body.endpoints
        assert endpoints[0].domains[0].domain == stage.registry.access.address
        client.create_namespace(
            cr.CreateNamespaceRequest(
                **instance,
                namespace_name="shop",
                auto_create_repo=False,
                default_repo_configuration=cr.RepoConfiguration(repo_type="PUBLIC"),
            )
        )
        shop = client.get_namespace(cr.GetNamespaceRequest(**instance, namespace_name="shop")).body
        assert (shop.auto_create_repo, shop.default_repo_configuration.repo_type) == (False, "PUBLIC")
        spaces = client.list_namespace(cr.ListNamespaceRequest(**instance)).body
        assert (spaces.total_count, [each.namespace_name for each in spaces.namespaces]) == ("2", ["shop", "team"])
        repos = client.list_repository(cr.ListRepositoryRequest(**instance)).body
        assert (repos.total_count, repos.repositories[0].repo_id) == ("1", stage.repo_id)
        tags = client.list_repo_tag(cr.ListRepoTagRequest(**instance, repo_id=stage.repo_id)).body
        assert (tags.images[0].tag, f"sha256:{tags.images[0].digest}") == (stage.tag, stage.digest)

        policy = {"Action": "BLOCK", "IssueLevel": "HIGH", "IssueCount": "1", "Logic": "AND"}
        node = {"NodeName": "VULNERABILITY_SCANNING", "Enable": True, "NodeConfig": {"DenyPolicy": policy}}
        made = client.create_chain(
            cr.CreateChainRequest(
                **instance,
                name="gate",
                chain_config=json.dumps({"IsActive": True, "Nodes": [node]}),
                repo_namespace_name="team",
                repo_name="app",
                scope_exclude=["a", "b"],
            )
        ).body
        chain = client.get_chain(cr.GetChainRequest(**instance, chain_id=made.chain_id)).body
        assert (chain.scope_type, chain.scope_id, chain.scope_exclude) == ("REPOSITORY", stage.repo_id, ["a", "b"])
        assert chain.chain_config.nodes[0].node_config.deny_policy.issue_count == "1"
        assert scan_to_the_end(client, stage) == "COMPLETE"
        [judged] = client.list_chain_instance(cr.ListChainInstanceRequest(**instance)).body.chain_instances
        assert (judged.status, judged.result, judged.chain.chain_id) == ("COMPLETE", "DENIED", made.chain_id)

    await call(conversation)
