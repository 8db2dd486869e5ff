"""The event centre: rules that have targets told of scans, and what they had told."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator

import pytest

from drydock.acr.v20181201 import container_registry_pb2 as pb
from drydock.events.v1 import scan_event_pb2
from services.kernel.bus.interface import Record
from services.kernel.errors import ServiceError
from services.kernel.rpc.client import translated_errors
from services.notifier.api import EventRule, NewTarget, Subscription, TargetKind
from services.rules.api import Scope
from tests.builders.edge import Edge, acr_edge
from tests.builders.notifier import MOMENT, record, scan_event

COMPLETED = "cr:Artifact:ScanCompleted"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """The door, and a target that a rule of the instance has told."""

    edge: Edge
    target_id: str
    rule: EventRule

    def heard(self, **fields: str) -> Record:
        """A scan of the instance, for which no scan rule names a target."""
        event = scan_event_pb2.ScanEvent.FromString(scan_event(findings={}).message.value)
        event.instance_id = self.edge.instance.instance_id
        for name, value in fields.items():
            setattr(event, name, value)
        return record(event.SerializeToString())

    async def update(self, **fields: object) -> None:
        request = pb.UpdateEventCenterRuleRequest(
            instance_id=self.edge.instance.instance_id,
            rule_id=self.rule.rule_id,
            **fields,  # type: ignore[arg-type] # of the request's own types
        )
        with translated_errors():
            answer = await self.edge.acr.UpdateEventCenterRule(request)
        assert (answer.code, answer.rule_id) == (200, self.rule.rule_id)

    async def rule_now(self) -> EventRule:
        [rule] = await self.edge.notifier.list_event_rules(self.edge.instance.instance_id)
        return rule

    async def records(self, **fields: object) -> pb.ListEventCenterRecordResponse:
        with translated_errors():
            return await self.edge.acr.ListEventCenterRecord(
                pb.ListEventCenterRecordRequest(
                    instance_id=self.edge.instance.instance_id,
                    **fields,  # type: ignore[arg-type] # of the request's own types
                )
            )


def a_rule(instance_id: str, target: str, name: str = "everything") -> EventRule:
    return EventRule(
        rule_id="", instance_id=instance_id, name=name, target_id=target, created_at=MOMENT, updated_at=MOMENT
    )


@pytest.fixture
async def centre(database: str) -> AsyncIterator[Centre]:
    async with acr_edge(database) as edge:
        target = await edge.notifier.create_target(
            NewTarget(name="chat", kind=TargetKind.HTTP, url="http://127.0.0.1:9/")
        )
        rule = await edge.notifier.create_event_rule(a_rule(edge.instance.instance_id, "chat"))
        yield Centre(edge=edge, target_id=target.target_id, rule=rule)


async def reason(call: object) -> str:
    with pytest.raises(ServiceError) as caught:
        await call  # type: ignore[misc] # a coroutine of any result
    return caught.value.reason


async def test_every_end_of_a_scan_is_told_by_a_rule_and_is_on_record_once(centre: Centre) -> None:
    heard = centre.heard()
    await centre.edge.consumer.handle([heard])
    await centre.edge.consumer.handle([heard])  # the bus brings it again
    [delivery] = (await centre.edge.notifier.list_deliveries()).items
    answer = await centre.records()
    assert (answer.code, answer.is_success, answer.total_count, answer.page_no, answer.page_size) == (
        "success",
        True,
        1,
        1,
        30,
    )
    [told] = answer.records
    assert told.record_id.startswith("crecrr-")
    assert (told.rule_id, told.rule_name, told.event_type) == (centre.rule.rule_id, "everything", COMPLETED)
    assert (told.event_notify_id, told.event_notify_method) == (delivery.delivery_id, "http")
    assert (told.event_channel, told.namespace, told.repo_name, told.tag) == ("EVENT_BRIDGE", "team", "app", "1.0")
    assert told.create_time == told.update_time == int(delivery.created_at.timestamp() * 1000)


async def test_a_rule_and_a_scan_rule_that_name_one_target_tell_it_once(centre: Centre) -> None:
    await centre.edge.notifier.create_event_rule(a_rule(centre.edge.instance.instance_id, "chat", "again"))
    event = scan_event_pb2.ScanEvent.FromString(centre.heard().message.value)
    event.target_ids.append(centre.target_id)
    await centre.edge.consumer.handle([record(event.SerializeToString())])
    assert len((await centre.edge.notifier.list_deliveries()).items) == 1
    assert {each.rule_name for each in (await centre.records()).records} == {"everything", "again"}


async def test_what_a_target_does_not_want_to_hear_no_rule_tells_it(centre: Centre) -> None:
    await centre.edge.notifier.set_subscription("chat", Subscription())  # findings and failures
    await centre.edge.consumer.handle([centre.heard()])
    assert (await centre.records()).total_count == 0
    assert (await centre.edge.notifier.list_deliveries()).items == ()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, True),
        ({"instance_id": "cri-another"}, False),
        ({"namespace": "other"}, False),
        ({"repository": "other"}, False),
        ({"tag": "latest"}, False),
    ],
)
async def test_a_rule_tells_of_what_is_in_its_scope(centre: Centre, fields: dict[str, str], told: bool) -> None:
    await centre.update(
        event_scope="REPO", namespaces=["team"], repo_names=["app"], repo_tag_filter_pattern="[0-9.]+"
    )
    await centre.edge.consumer.handle([centre.heard(**fields)])
    assert bool((await centre.edge.notifier.list_deliveries()).items) is told


async def test_an_update_changes_what_is_not_left_out(centre: Centre) -> None:
    other = await centre.edge.notifier.create_target(
        NewTarget(name="board", kind=TargetKind.HTTPS, url="https://127.0.0.1:9/")
    )
    await centre.update(rule_name="new", event_scope="NAMESPACE", namespaces=["team"])
    await centre.update(event_config=json.dumps({"id": "board", "Url": "https://elsewhere.example"}))
    await centre.update(repo_tag_filter_pattern="v.*", event_type=COMPLETED, event_channel="EVENT_BRIDGE")
    rule = await centre.rule_now()
    assert (rule.name, rule.target_id, rule.tag_pattern) == ("new", other.target_id, "v.*")
    assert (rule.scope, rule.namespaces, rule.repo_names) == (Scope.NAMESPACE, ("team",), ())
    await centre.update(event_scope="INSTANCE")
    assert (await centre.rule_now()).namespaces == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event_type": "cr:Artifact:BuildCompleted"}, "EVENT_TYPE_NOT_SUPPORTED"),
        ({"event_channel": "SMS"}, "EVENT_CHANNEL_NOT_SUPPORTED"),
        ({"event_config": '{"Url": "http://169.254.169.254/"}'}, "EVENT_CONFIG_NOT_SUPPORTED"),
        ({"event_config": "{"}, "PARAMETER_ERROR"),
        ({"event_config": '{"id": "nobody"}'}, "TARGET_NOT_EXIST"),
        ({"event_scope": "WORLD"}, "INVALID_SCOPE"),
        ({"event_scope": "NAMESPACE"}, "INVALID_SCOPE"),
        ({"event_scope": "REPO", "namespaces": ["a", "b"], "repo_names": ["x"]}, "INVALID_SCOPE"),
        ({"repo_tag_filter_pattern": "("}, "INVALID_TAG_PATTERN"),
        ({"rule_name": "x" * 200}, "INVALID_NAME"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    centre: Centre, fields: dict[str, object], expected: str
) -> None:
    assert await reason(centre.update(**fields)) == expected
    assert await centre.rule_now() == centre.rule


async def test_rules_are_listed_by_name_and_deleted_once(centre: Centre) -> None:
    instance_id = centre.edge.instance.instance_id
    await centre.edge.consumer.handle([centre.heard()])
    listed = await centre.edge.acr.ListEventCenterRuleName(
        pb.ListEventCenterRuleNameRequest(instance_id=instance_id)
    )
    assert [(each.rule_id, each.rule_name) for each in listed.rule_names] == [(centre.rule.rule_id, "everything")]
    gone = pb.DeleteEventCenterRuleRequest(instance_id=instance_id, rule_id=centre.rule.rule_id)
    assert (await centre.edge.acr.DeleteEventCenterRule(gone)).code == "success"
    with pytest.raises(ServiceError, match="no event rule"), translated_errors():
        await centre.edge.acr.DeleteEventCenterRule(gone)
    assert (await centre.records()).total_count == 1  # what was told stays


async def test_a_rule_of_another_instance_is_not_there(centre: Centre) -> None:
    with pytest.raises(ServiceError) as caught, translated_errors():
        await centre.edge.acr.DeleteEventCenterRule(
            pb.DeleteEventCenterRuleRequest(instance_id="cri-none", rule_id=centre.rule.rule_id)
        )
    assert caught.value.reason == "INSTANCE_NOT_EXIST"


async def test_records_are_filtered_and_paged(centre: Centre) -> None:
    for tag in ("1", "2", "3"):
        centre.edge.clock.advance(1)
        await centre.edge.consumer.handle([centre.heard(tag=tag), centre.heard(tag=tag, namespace="other")])
    first = await centre.records(page_size=4)
    second = await centre.records(page_no=2, page_size=4)
    assert (len(first.records), len(second.records), first.total_count) == (4, 2, 6)
    assert [each.tag for each in first.records] == ["3", "3", "2", "2"]
    of_team = await centre.records(repo_namespace_name="team", repo_name="app", rule_id=centre.rule.rule_id)
    assert [each.tag for each in of_team.records] == ["3", "2", "1"]
    assert (await centre.records(event_type="other")).total_count == 0
    assert (await centre.records(rule_id="crecr-\0")).total_count == 0
    beyond = await centre.records(page_no=9)
    assert (len(beyond.records), beyond.total_count) == (0, 6)


async def test_a_rule_goes_with_its_target_and_names_are_unique(centre: Centre) -> None:
    instance_id = centre.edge.instance.instance_id
    assert await reason(centre.edge.notifier.create_event_rule(a_rule(instance_id, "chat"))) == (
        "EVENT_RULE_ALREADY_EXIST"
    )
    other = await centre.edge.notifier.create_event_rule(a_rule(instance_id, "chat", "other"))
    taken = dataclasses.replace(other, name="everything")
    assert await reason(centre.edge.notifier.update_event_rule(taken)) == "EVENT_RULE_ALREADY_EXIST"
    await centre.edge.notifier.delete_target("chat")
    assert await centre.edge.notifier.list_event_rules(instance_id) == ()
