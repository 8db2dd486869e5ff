"""Delivery chains: what they deny, and that nothing passes by accident."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.chains.policy import Result, checked_config, judge, policy_of
from services.kernel.errors import ServiceError
from services.kernel.model.engine import Engine
from services.kernel.model.finding import FindingKind
from services.kernel.model.report import Coverage
from services.kernel.model.severity import Severity
from services.kernel.rpc.client import translated_errors
from services.scanner.api import State
from tests.builders.edge import Edge, acr_edge
from tests.fakes.scanner import a_finding, a_task


def config(*, engine: str = "", active: bool = True, **policy: Any) -> str:
    node = {
        "NodeName": "VULNERABILITY_SCANNING",
        "Enable": True,
        "NodeConfig": {"ScanEngine": engine, "Retry": 3, "DenyPolicy": {"Action": "BLOCK", **policy}},
    }
    return json.dumps({"IsActive": active, "Nodes": [{"NodeName": "DOCKER_IMAGE_PUSH", "Enable": True}, node]})


FINDINGS = (
    a_finding("CVE-1", Severity.CRITICAL),
    a_finding("CVE-2", Severity.MEDIUM),
    a_finding("CVE-3", Severity.UNKNOWN),
    a_finding("aws-access-key-id", Severity.HIGH, kind=FindingKind.BASELINE_RISK),
    a_finding("eicar", Severity.HIGH, kind=FindingKind.MALICIOUS_SAMPLE),
)


@pytest.mark.parametrize(
    ("policy", "denied"),
    [
        ({"IssueLevel": "HIGH"}, True),
        ({"IssueLevel": "HIGH", "IssueCount": "2"}, True),  # what nobody knows may be High
        ({"IssueLevel": "HIGH", "IssueCount": "3"}, False),
        ({"IssueLevel": "MEDIUM", "IssueCount": 3}, True),
        ({"IssueList": "CVE-9, cve-2"}, True),
        ({"IssueList": "aws-access-key-id"}, False),
        ({"BaselineList": "aws-access-key-id"}, True),
        ({"MaliciousList": "eicar"}, True),
        ({"Logic": "AND", "IssueLevel": "HIGH", "IssueList": "CVE-9"}, False),
        ({"Logic": "OR", "IssueLevel": "HIGH", "IssueList": "CVE-9"}, True),
        ({"Logic": "AND", "IssueLevel": "HIGH", "BaselineList": "aws-access-key-id"}, True),
    ],
)
def test_a_policy_denies_what_it_names(policy: dict[str, Any], denied: bool) -> None:
    read = policy_of(checked_config(config(**policy)))

    assert read is not None
    assert judge(read, a_task(), FINDINGS) is (Result.DENIED if denied else Result.SUCCESS)


@pytest.mark.parametrize(
    ("task", "policy"),
    [
        ({"coverage": Coverage.NONE}, {"IssueLevel": "HIGH"}),
        ({"coverage": Coverage.PARTIAL}, {"IssueLevel": "HIGH"}),
        ({"engine": Engine.TRIVY}, {"MaliciousList": "eicar"}),
    ],
)
def test_what_nobody_could_judge_is_no_success(task: dict[str, Any], policy: dict[str, Any]) -> None:
    read = policy_of(checked_config(config(**policy)))

    assert read is not None
    assert judge(read, a_task(**task), ()) is Result.FAILED


def test_a_policy_that_names_nothing_finds_nothing_good() -> None:
    read = policy_of(checked_config(config()))

    assert read is not None
    assert judge(read, a_task(), ()) is Result.FAILED


def test_a_chain_as_terraform_writes_it_is_a_gate() -> None:
    # No IsActive, `node_config` among keys of the reference: alicloud_cr_chain of the provider, read 2026-11-26.
    policy = {"IssueCount": "1", "IssueLevel": "HIGH", "Logic": "AND", "Action": "BLOCK"}
    nodes = [{"Enable": True, "NodeName": "VULNERABILITY_SCANNING", "node_config": {"DenyPolicy": policy}}]
    read = policy_of(checked_config(json.dumps({"Nodes": nodes, "Routers": []})))

    assert read is not None
    assert judge(read, a_task(), FINDINGS) is Result.DENIED


@pytest.mark.parametrize("text", [config(active=False), "", "{}", json.dumps({"IsActive": True})])
def test_a_chain_that_is_off_or_empty_judges_nothing(text: str) -> None:
    assert policy_of(checked_config(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        '{"Nodes":{}}',
        '{"Nodes":["x"]}',
        '{"IsActive":"maybe"}',
        config(Action="BLOCK_DELETE_TAG"),
        config(IssueLevel="high"),
        config(IssueCount="0"),
        config(Logic="XOR"),
        config(engine="OTHER"),
        config(IssueList="x" * 70_000),
    ],
)
def test_a_configuration_that_cannot_be_held_is_refused(text: str) -> None:
    with pytest.raises(ServiceError):
        checked_config(text)


@pytest.fixture
async def edge(database: str) -> AsyncIterator[Edge]:
    async with acr_edge(database) as edge:
        yield edge


async def test_a_chain_lives_and_judges_the_scans_in_its_scope(edge: Edge) -> None:
    instance: dict[str, Any] = {"instance_id": edge.instance.instance_id}
    made = await edge.acr.CreateChain(
        pb.CreateChainRequest(
            **instance,
            name="gate",
            chain_config=config(IssueLevel="HIGH"),
            repo_namespace_name="team",
            scope_exclude=["other"],
        )
    )
    named = {**instance, "chain_id": made.chain_id}
    chain = await edge.acr.GetChain(pb.GetChainRequest(**named))
    edge.clock.advance(60)
    edge.scanner.task = a_task(instance_id=edge.instance.instance_id, created_at=edge.clock.now())
    edge.scanner.result = FINDINGS
    denied = await edge.acr.ListChainInstance(pb.ListChainInstanceRequest(**instance))
    await edge.acr.UpdateChain(pb.UpdateChainRequest(**named, name="gate", chain_config=config(IssueList="CVE-9")))
    passed = await edge.acr.ListChainInstance(pb.ListChainInstanceRequest(**instance))
    edge.scanner.task = a_task(state=State.RUNNING, coverage=None, ended_at=None, created_at=edge.clock.now())
    running = await edge.acr.ListChainInstance(pb.ListChainInstanceRequest(**instance))
    edge.scanner.task = a_task(repository="elsewhere", namespace="x", created_at=edge.clock.now())
    outside = await edge.acr.ListChainInstance(pb.ListChainInstanceRequest(**instance))
    listed = await edge.acr.ListChain(pb.ListChainRequest(**instance))
    await edge.acr.DeleteChain(pb.DeleteChainRequest(**named))
    with pytest.raises(ServiceError) as gone, translated_errors():
        await edge.acr.GetChain(pb.GetChainRequest(**named))

    assert (chain.scope_type, chain.scope_id[:4], list(chain.scope_exclude)) == ("NAMESPACE", "crn-", ["other"])
    assert chain.chain_config.nodes[1].node_config.deny_policy.issue_level == "HIGH"
    assert (chain.chain_config.version, chain.chain_config.is_active) == ("1", True)
    assert [(each.status, each.result) for each in denied.chain_instances] == [("COMPLETE", "DENIED")]
    assert [(each.result, each.chain.version) for each in passed.chain_instances] == [("SUCCESS", 2)]
    assert [(each.status, each.result) for each in running.chain_instances] == [("RUNNING", "")]
    assert not running.chain_instances[0].HasField("end_time")
    assert (outside.total_count, listed.total_count) == (0, 1)
    assert gone.value.reason == "CHAIN_NOT_EXIST"


async def test_a_chain_for_a_repository_that_nobody_knows_is_refused(edge: Edge) -> None:
    request = pb.CreateChainRequest(
        instance_id=edge.instance.instance_id, name="gate", repo_namespace_name="team", repo_name="none"
    )
    with pytest.raises(ServiceError) as caught, translated_errors():
        await edge.acr.CreateChain(request)

    assert caught.value.reason == "REPO_NOT_EXIST"
