"""The actions of the event centre: rules that have targets told, and what they had told."""

from __future__ import annotations

import dataclasses
from typing import Final

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.parameters import to_object
from services.gateway.acr.requests import InReach, from_page, required
from services.gateway.acr.translate import to_milliseconds
from services.gateway.reach.limits import out_of_reach
from services.kernel.errors import Kind, ServiceError, invalid, not_found
from services.kernel.rpc.request_id import current
from services.notifier.api import EventRecord, EventRecordFilter, EventRule, NotifierApi
from services.rules.api import RulesApi, Scope

CHANNEL: Final = "EVENT_BRIDGE"
"""The reference's word for the way from an event to its target; there is one here, too."""
_METHODS: Final = {"HTTP": "http", "HTTPS": "https", "DINGTALK": "dingding"}
"""Kinds of target in the reference's words; others, which it has not, are called by ours."""
_DONE: Final = 200


class EventActions:
    """A part of ContainerRegistry."""

    def __init__(self, *, rules: RulesApi, notifier: NotifierApi, in_reach: InReach) -> None:
        self._event_instances = rules
        self._notifier = notifier
        self._in_reach = in_reach

    async def UpdateEventCenterRule(
        self, request: pb.UpdateEventCenterRuleRequest, context: object
    ) -> pb.UpdateEventCenterRuleResponse:
        """Changes what is not left out of a rule."""
        rule = await self._rule(request.instance_id, request.rule_id)
        changed = _changed(rule, request)
        self._check_reach(changed)
        saved = await self._notifier.update_event_rule(changed)
        return pb.UpdateEventCenterRuleResponse(code=_DONE, request_id=_request_id(), rule_id=saved.rule_id)

    async def DeleteEventCenterRule(
        self, request: pb.DeleteEventCenterRuleRequest, context: object
    ) -> pb.DeleteEventCenterRuleResponse:
        """Deletes a rule."""
        rule = await self._rule(request.instance_id, request.rule_id)
        await self._notifier.delete_event_rule(rule.instance_id, rule.rule_id)
        return pb.DeleteEventCenterRuleResponse(code="success", request_id=_request_id())

    async def ListEventCenterRuleName(
        self, request: pb.ListEventCenterRuleNameRequest, context: object
    ) -> pb.ListEventCenterRuleNameResponse:
        """Lists rules by name."""
        rules = await self._notifier.list_event_rules(await self._instance_id(request.instance_id))
        return pb.ListEventCenterRuleNameResponse(
            code="success",
            is_success=True,
            request_id=_request_id(),
            rule_names=[
                pb.EventCenterRuleName(rule_id=rule.rule_id, rule_name=rule.name)
                for rule in rules
                if self._reaches(rule)
            ],
        )

    async def ListEventCenterRecord(
        self, request: pb.ListEventCenterRecordRequest, context: object
    ) -> pb.ListEventCenterRecordResponse:
        """Lists what rules had told."""
        instance_id = await self._instance_id(request.instance_id)
        namespace = request.repo_namespace_name
        if not self._in_reach(instance_id, namespace):
            raise out_of_reach(f"the namespace {namespace[:80]!r}" if namespace else "the whole instance")
        window = from_page(request.page_no, request.page_size)
        wanted = EventRecordFilter(
            instance_id=instance_id,
            rule_id=request.rule_id,
            event_type=request.event_type,
            namespaces=(namespace,) if namespace else (),
            repository=request.repo_name,
        )
        records, total = await self._notifier.list_event_records(wanted, offset=window.begin, size=window.size)
        return pb.ListEventCenterRecordResponse(
            code="success",
            is_success=True,
            request_id=_request_id(),
            page_no=window.number,
            page_size=window.size,
            total_count=total,
            records=[_to_record(each) for each in records],
        )

    async def _instance_id(self, instance_id: str) -> str:
        return (await self._event_instances.get_instance(required("instance_id", instance_id))).instance_id

    async def _rule(self, instance_id: str, rule_id: str) -> EventRule:
        owner = await self._instance_id(instance_id)
        wanted = required("rule_id", rule_id)
        for rule in await self._notifier.list_event_rules(owner):
            if rule.rule_id == wanted and self._reaches(rule):
                return rule
        raise not_found("EVENT_RULE_NOT_EXIST", f"The instance has no event rule {wanted[:80]!r}.")

    def _reaches(self, rule: EventRule) -> bool:
        named = rule.namespaces or ("",)
        return all(self._in_reach(rule.instance_id, namespace) for namespace in named)

    def _check_reach(self, rule: EventRule) -> None:
        if not self._reaches(rule):
            raise out_of_reach("what the event rule would be about")


def _changed(rule: EventRule, request: pb.UpdateEventCenterRuleRequest) -> EventRule:
    if request.event_channel not in ("", CHANNEL):
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "EVENT_CHANNEL_NOT_SUPPORTED",
            f"There is no event channel {request.event_channel[:40]!r} here.",
            hint=f"Leave it out, or write {CHANNEL}.",
            field="event_channel",
        )
    # With a scope the names count as a whole.
    kept = rule if not request.event_scope else dataclasses.replace(rule, namespaces=(), repo_names=())
    return dataclasses.replace(
        rule,
        name=request.rule_name or rule.name,
        event_type=request.event_type or rule.event_type,
        target_id=_target(request.event_config) or rule.target_id,
        scope=_scope(request.event_scope) if request.event_scope else rule.scope,
        namespaces=tuple(request.namespaces) or kept.namespaces,
        repo_names=tuple(request.repo_names) or kept.repo_names,
        tag_pattern=request.repo_tag_filter_pattern or rule.tag_pattern,
    )


def _scope(word: str) -> Scope:
    if word not in Scope.__members__:
        raise invalid(
            "INVALID_SCOPE", f"{word[:40]!r} is no scope: INSTANCE, NAMESPACE or REPO.", field="event_scope"
        )
    return Scope[word]


def _target(config: str) -> str:
    """Returns the target that a configuration names; empty where it names none.

    Raises:
        ServiceError: PARAMETER_ERROR; EVENT_CONFIG_NOT_SUPPORTED for an address in place of a target.
    """
    if not config:
        return ""
    said = to_object(pb.EventConfig(), config, "EventConfig")
    if said.url and not said.id:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "EVENT_CONFIG_NOT_SUPPORTED",
            "An event rule tells a target, which has its address and its secrets; the address alone is none.",
            hint='Make a target, and name it: {"id": "tgt-…"}.',
            field="event_config",
        )
    return said.id


def _to_record(record: EventRecord) -> pb.EventCenterRecord:
    return pb.EventCenterRecord(
        record_id=record.record_id,
        rule_id=record.rule_id,
        rule_name=record.rule_name,
        instance_id=record.instance_id,
        event_type=record.event_type,
        event_channel=CHANNEL,
        event_notify_id=record.delivery_id,
        event_notify_method=_METHODS.get(record.kind, record.kind.lower()),
        namespace=record.namespace,
        repo_name=record.repository,
        tag=record.tag,
        create_time=to_milliseconds(record.created_at),
        update_time=to_milliseconds(record.updated_at),
    )


def _request_id() -> str:
    return current().upper()
