"""The scan-rule actions of the ACR door, over real gRPC and real rules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.kernel.errors import ServiceError
from services.kernel.rpc.client import translated_errors
from services.rules.api import Edition, InstanceChange, NewInstance, NewScanRule, ScanType, Scope, Trigger
from tests.builders.edge import Edge, acr_edge


@pytest.fixture
async def edge(database: str) -> AsyncIterator[Edge]:
    async with acr_edge(database) as edge:
        yield edge


def rule(edge: Edge, **more: Any) -> dict[str, Any]:
    return {
        "instance_id": edge.instance.instance_id,
        "rule_name": "r1",
        "scan_scope": "REPO",
        "namespaces": ["team"],
        "repo_names": ["app"],
        "repo_tag_filter_pattern": "v.*",
        "trigger_type": "AUTO",
        **more,
    }


async def created(edge: Edge, **more: Any) -> str:
    answer = await edge.acr.CreateScanRule(pb.CreateScanRuleRequest(**rule(edge, **more)))
    return answer.scan_rule_id


async def failure_of(call: Awaitable[object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught, translated_errors():
        await call
    return caught.value


async def test_a_saved_rule_reads_back(edge: Edge) -> None:
    answer = await edge.acr.CreateScanRule(pb.CreateScanRuleRequest(**rule(edge)))
    names = {"instance_id": edge.instance.instance_id, "scan_rule_id": answer.scan_rule_id}

    got = await edge.acr.GetScanRule(pb.GetScanRuleRequest(**names))

    milliseconds = int(edge.clock.now().timestamp() * 1000)
    assert answer.code == 0
    assert answer.scan_rule_id.startswith("crscnr-")
    assert (got.code, got.is_success) == ("success", True)
    assert got.scan_rule == pb.ScanRule(
        **names,
        rule_name="r1",
        scan_scope="REPO",
        scan_type="VUL",
        trigger_type="AUTO",
        repo_tag_filter_pattern="v.*",
        namespaces=["team"],
        repo_names=["app"],
        create_time=milliseconds,
        update_time=milliseconds,
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"instance_id": ""}, "instance_id"),
        ({"rule_name": ""}, "rule_name"),
        ({"scan_scope": "ALL"}, "scan_scope"),
        ({"scan_scope": ""}, "scan_scope"),
        ({"trigger_type": ""}, "trigger_type"),
        ({"trigger_type": "auto"}, "trigger_type"),
        ({"scan_type": "cve"}, "scan_type"),
        ({"repo_tag_filter_pattern": ""}, "repo_tag_filter_pattern"),
    ],
)
async def test_a_wrong_rule_is_refused_by_field(edge: Edge, changes: dict[str, Any], field: str) -> None:
    error = await failure_of(edge.acr.CreateScanRule(pb.CreateScanRuleRequest(**rule(edge, **changes))))

    assert error.field == field


async def test_a_pattern_that_is_none_is_refused(edge: Edge) -> None:
    request = pb.CreateScanRuleRequest(**rule(edge, repo_tag_filter_pattern="(["))

    error = await failure_of(edge.acr.CreateScanRule(request))

    assert error.kind.value == "INVALID_ARGUMENT"


async def test_an_update_keeps_what_the_reference_has_no_field_for(edge: Edge) -> None:
    old = await edge.rules.create_rule(
        edge.instance.instance_id,
        NewScanRule(
            name="old", scope=Scope.INSTANCE, tag_pattern=".*", scan_type=ScanType.SBOM, target_ids=("tgt-1",)
        ),
    )

    answer = await edge.acr.UpdateScanRule(
        pb.UpdateScanRuleRequest(**rule(edge, scan_rule_id=old.rule_id, rule_name="new", trigger_type="MANUAL"))
    )

    assert (answer.code, answer.scan_rule_id) == (0, old.rule_id)
    new = await edge.rules.get_rule(old.rule_id)
    assert (new.name, new.scope, new.trigger) == ("new", Scope.REPO, Trigger.MANUAL)
    assert (new.scan_type, new.target_ids) == (ScanType.SBOM, ("tgt-1",))


async def test_pages_of_rules_go_by_number(edge: Edge) -> None:
    for number in range(5):
        await created(edge, rule_name=f"r{number}")
        edge.clock.advance(1)
    await created(edge, rule_name="sbom", scan_type="SBOM")

    async def page(number: int) -> pb.ListScanRuleResponse:
        return await edge.acr.ListScanRule(
            pb.ListScanRuleRequest(instance_id=edge.instance.instance_id, page_no=number, page_size=2)
        )

    pages = [await page(number) for number in (1, 2, 3, 4)]

    assert [[item.rule_name for item in answer.scan_rules] for answer in pages] == [
        ["r0", "r1"],
        ["r2", "r3"],
        ["r4"],
        [],
    ]
    assert {answer.total_count for answer in pages} == {5}
    assert pages[0].scan_rules[0].instance_id == ""
    assert (pages[0].code, pages[0].is_success, pages[0].page_no, pages[0].page_size) == ("success", True, 1, 2)


@pytest.mark.parametrize(("scan_type", "names"), [("", ["vul"]), ("VUL", ["vul"]), ("SBOM", ["sbom"])])
async def test_rules_are_listed_by_type_and_vul_is_meant_by_default(
    edge: Edge, scan_type: str, names: list[str]
) -> None:
    await created(edge, rule_name="vul")
    await created(edge, rule_name="sbom", scan_type="SBOM")

    answer = await edge.acr.ListScanRule(
        pb.ListScanRuleRequest(instance_id=edge.instance.instance_id, scan_type=scan_type)
    )

    assert [item.rule_name for item in answer.scan_rules] == names
    assert answer.total_count == 1


async def test_a_deleted_rule_is_gone(edge: Edge) -> None:
    names = {"instance_id": edge.instance.instance_id, "scan_rule_id": await created(edge)}

    answer = await edge.acr.DeleteScanRule(pb.DeleteScanRuleRequest(**names))

    assert answer.code == "success"
    assert (await failure_of(edge.acr.GetScanRule(pb.GetScanRuleRequest(**names)))).reason == "SCAN_RULE_NOT_EXIST"


async def test_a_rule_of_another_instance_is_out_of_reach(edge: Edge) -> None:
    other = await edge.rules.create_instance(NewInstance(name="other", address="127.0.0.1:5002"))
    names = {"instance_id": other.instance_id, "scan_rule_id": await created(edge)}

    for call in (
        edge.acr.GetScanRule(pb.GetScanRuleRequest(**names)),
        edge.acr.DeleteScanRule(pb.DeleteScanRuleRequest(**names)),
        edge.acr.UpdateScanRule(pb.UpdateScanRuleRequest(**rule(edge, **names))),
    ):
        assert (await failure_of(call)).reason == "SCAN_RULE_NOT_EXIST"


async def test_a_personal_instance_is_refused_new_rules_and_changes_but_may_list_and_delete(edge: Edge) -> None:
    names = {"instance_id": edge.instance.instance_id, "scan_rule_id": await created(edge)}
    await edge.rules.update_instance(edge.instance.instance_id, InstanceChange(edition=Edition.PERSONAL))

    for call in (
        edge.acr.CreateScanRule(pb.CreateScanRuleRequest(**rule(edge, rule_name="other"))),
        edge.acr.UpdateScanRule(pb.UpdateScanRuleRequest(**rule(edge, **names))),
    ):
        assert (await failure_of(call)).reason == "EDITION_NOT_SUPPORTED"

    listed = await edge.acr.ListScanRule(pb.ListScanRuleRequest(instance_id=edge.instance.instance_id))
    got = await edge.acr.GetScanRule(pb.GetScanRuleRequest(**names))
    gone = await edge.acr.DeleteScanRule(pb.DeleteScanRuleRequest(**names))

    assert (
        [item.scan_rule_id for item in listed.scan_rules]
        == [names["scan_rule_id"]]
        == [got.scan_rule.scan_rule_id]
    )
    assert gone.code == "success"
