"""The scan-rule actions. What a personal instance is refused, the rules service refuses."""

from __future__ import annotations

import dataclasses

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.requests import Window, required
from services.gateway.acr.words import from_scan_type, from_scope, from_trigger
from services.kernel.errors import not_found
from services.rules.api import NewScanRule, RulesApi, ScanRule, ScanType

_CHUNK = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RulePage:
    """A page by number."""

    rules: tuple[ScanRule, ...]
    total: int


class ScanRules:
    """Asks the rules service in the reference's words."""

    def __init__(self, rules: RulesApi) -> None:
        self._rules = rules

    async def create(self, request: pb.CreateScanRuleRequest) -> ScanRule:
        """Saves a rule."""
        new = dataclasses.replace(_described(request), scan_type=from_scan_type(request.scan_type))
        return await self._rules.create_rule(required("instance_id", request.instance_id), new)

    async def get(self, instance_id: str, rule_id: str) -> ScanRule:
        """Returns a rule of the instance.

        Raises:
            ServiceError: SCAN_RULE_NOT_EXIST, also for a rule of another instance.
        """
        owner = (await self._rules.get_instance(required("instance_id", instance_id))).instance_id
        rule = await self._rules.get_rule(required("scan_rule_id", rule_id))
        if rule.instance_id != owner:
            raise not_found("SCAN_RULE_NOT_EXIST", f"The instance has no scan rule {rule_id[:80]!r}.")
        return rule

    async def list_page(self, instance_id: str, scan_type: str, window: Window) -> RulePage:
        """Lists a page of the rules of one type, oldest first."""
        kind = from_scan_type(scan_type)
        owner = required("instance_id", instance_id)
        rules, total = await self._first(owner, kind, window.begin + window.size)
        return RulePage(rules=rules[window.begin :], total=total)

    async def update(self, request: pb.UpdateScanRuleRequest) -> ScanRule:
        """Replaces a rule; what the reference has no field for stays as it is."""
        new = _described(request)
        old = await self.get(request.instance_id, request.scan_rule_id)
        kept = dataclasses.replace(new, scan_type=old.scan_type, target_ids=old.target_ids, schedule=old.schedule)
        return await self._rules.update_rule(old.rule_id, kept)

    async def delete(self, instance_id: str, rule_id: str) -> None:
        """Deletes a rule of the instance."""
        rule = await self.get(instance_id, rule_id)
        await self._rules.delete_rule(rule.rule_id)

    async def _first(self, owner: str, kind: ScanType, count: int) -> tuple[tuple[ScanRule, ...], int]:
        """Returns the first rules, at most so many, and how many there are: our lists go by token."""
        rules: tuple[ScanRule, ...] = ()
        token = ""
        while True:
            page = await self._rules.list_rules(
                owner, scan_type=kind, page_size=min(_CHUNK, count - len(rules)), page_token=token
            )
            rules += page.items
            token = page.next_token
            if not token or len(rules) >= count:
                return rules, page.total


def _described(request: pb.CreateScanRuleRequest | pb.UpdateScanRuleRequest) -> NewScanRule:
    return NewScanRule(
        name=required("rule_name", request.rule_name),
        scope=from_scope(request.scan_scope),
        tag_pattern=required("repo_tag_filter_pattern", request.repo_tag_filter_pattern),
        namespaces=tuple(request.namespaces),
        repo_names=tuple(request.repo_names),
        trigger=from_trigger(request.trigger_type),
    )
