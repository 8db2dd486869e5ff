"""Rules as the caller may see them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection

from services.gateway.reach.limits import Part, Reach, no_repository, no_rule, out_of_reach
from services.kernel.errors import ServiceError, not_found
from services.kernel.model.access import RegistryAccess
from services.kernel.model.engine import Engine
from services.kernel.model.page import Page, bad_token, decode_token, encode_token, page_size
from services.rules.api import (
    Instance,
    InstanceChange,
    NewInstance,
    NewScanRule,
    Repository,
    RulePreview,
    RuleRun,
    RulesApi,
    ScanRule,
    ScanType,
    Sync,
)
from services.rules.engines.api import EngineStatus, Region, ScannerReport

_CHUNK = 1000
_MAX_DIGITS = 9


class RulesInReach:
    """RulesApi for a key with limits, and the services' own for every other one.

    An instance is changed by who may call about the whole of it. What has an id of its own and is out of reach
    does not exist; lists leave it out, so that a page may be short and not be the last.
    """

    def __init__(self, rules: RulesApi, reach: Reach) -> None:
        self._rules = rules
        self._reach = reach

    async def create_instance(self, new: NewInstance, *, actor: str = "") -> Instance:
        """Saves an instance; see RulesApi."""
        if self._reach.limited():
            raise out_of_reach("new instances")
        return await self._rules.create_instance(new, actor=actor)

    async def get_instance(self, instance: str) -> Instance:
        """Returns one instance."""
        await self._some(instance)
        return await self._rules.get_instance(instance)

    async def list_instances(
        self, *, region: str = "", page_size: int = 0, page_token: str = ""
    ) -> Page[Instance]:
        """Lists instances by name."""
        page = await self._rules.list_instances(region=region, page_size=page_size, page_token=page_token)
        if not self._reach.limited():
            return page
        return dataclasses.replace(
            page, items=tuple(one for one in page.items if self._reach.part_of(one.instance_id))
        )

    async def update_instance(self, instance: str, change: InstanceChange) -> Instance:
        """Changes an instance."""
        await self._all(instance)
        return await self._rules.update_instance(instance, change)

    async def delete_instance(self, instance: str) -> None:
        """Forgets an instance."""
        await self._all(instance)
        await self._rules.delete_instance(instance)

    async def registry_access(self, instance: str) -> RegistryAccess:
        """Returns how to reach the registry: its credentials open all of it."""
        await self._all(instance)
        return await self._rules.registry_access(instance)

    # repositories

    async def get_repository(self, instance: str, repo_id: str) -> Repository:
        """Returns a repository by its id."""
        if not self._reach.limited():
            return await self._rules.get_repository(instance, repo_id)
        part = await self._reach.into(instance)
        try:
            found = await self._rules.get_repository(part.instance_id, repo_id)
        except ServiceError as error:
            if error.reason != "REPO_NOT_EXIST":
                raise
            raise no_repository(repo_id) from error
        if not part.has(found.namespace):
            raise no_repository(repo_id)
        return found

    async def see_repository(self, instance: str, namespace: str, name: str) -> Repository:
        """Returns the repository of that name, saved if need be."""
        await self._named(instance, namespace, name)
        return await self._rules.see_repository(instance, namespace, name)

    async def find_repository(self, instance: str, namespace: str, name: str) -> Repository:
        """Returns the repository of that name."""
        await self._named(instance, namespace, name)
        return await self._rules.find_repository(instance, namespace, name)

    async def list_repositories(
        self, instance: str, *, namespace: str = "", page_size: int = 0, page_token: str = ""
    ) -> Page[Repository]:
        """Lists repositories by namespace and name."""
        part = await self._some(instance)
        if part is not None and namespace and not part.has(namespace):
            raise out_of_reach(f"the namespace {namespace[:80]!r}")
        page = await self._rules.list_repositories(
            instance, namespace=namespace, page_size=page_size, page_token=page_token
        )
        if part is None or part.whole:
            return page
        return dataclasses.replace(page, items=tuple(one for one in page.items if part.has(one.namespace)))

    # rules and their runs

    async def create_rule(self, instance: str, new: NewScanRule) -> ScanRule:
        """Saves a rule."""
        await self._for_rule(instance, new)
        return await self._rules.create_rule(instance, new)

    async def get_rule(self, rule_id: str) -> ScanRule:
        """Returns one rule."""
        if not self._reach.limited():
            return await self._rules.get_rule(rule_id)
        try:
            rule = await self._rules.get_rule(rule_id)
        except ServiceError as error:
            if error.reason != "SCAN_RULE_NOT_EXIST":
                raise
            raise no_rule(rule_id) from error
        part = self._reach.part_of(rule.instance_id)
        if part is None or not part.has_rule(rule):
            raise no_rule(rule_id)
        return rule

    async def list_rules(
        self, instance: str, *, scan_type: ScanType | None = None, page_size: int = 0, page_token: str = ""
    ) -> Page[ScanRule]:
        """Lists the rules of an instance, oldest first; `Page.total` counts those within reach."""
        part = await self._some(instance)
        if part is None or part.whole:
            return await self._rules.list_rules(
                instance, scan_type=scan_type, page_size=page_size, page_token=page_token
            )
        return await self._some_rules(part, scan_type, page_size, page_token)

    async def update_rule(self, rule_id: str, new: NewScanRule) -> ScanRule:
        """Replaces a rule."""
        if self._reach.limited():
            await self._for_rule((await self.get_rule(rule_id)).instance_id, new)
        return await self._rules.update_rule(rule_id, new)

    async def delete_rule(self, rule_id: str) -> None:
        """Deletes a rule."""
        await self._rule(rule_id)
        await self._rules.delete_rule(rule_id)

    async def preview_rule(self, rule_id: str) -> RulePreview:
        """Tells what a run would scan."""
        await self._rule(rule_id)
        return await self._rules.preview_rule(rule_id)

    async def run_rule(self, rule_id: str, *, request_id: str = "") -> RuleRun:
        """Starts a run."""
        await self._rule(rule_id)
        return await self._rules.run_rule(rule_id, request_id=request_id)

    async def get_run(self, run_id: str) -> RuleRun:
        """Returns a run."""
        if not self._reach.limited():
            return await self._rules.get_run(run_id)
        try:
            run = await self._rules.get_run(run_id)
            await self.get_rule(run.rule_id)
        except ServiceError as error:
            if error.reason not in ("RUN_NOT_EXIST", "SCAN_RULE_NOT_EXIST"):
                raise
            raise not_found("RUN_NOT_EXIST", f"There is no run {run_id[:64]!r}.") from error
        return run

    async def cancel_run(self, run_id: str) -> RuleRun:
        """Calls off a run."""
        await self._run(run_id)
        return await self._rules.cancel_run(run_id)

    async def resume_run(self, run_id: str) -> RuleRun:
        """Goes on with a run."""
        await self._run(run_id)
        return await self._rules.resume_run(run_id)

    async def end_run(self, run_id: str) -> None:
        """Closes a run."""
        await self._run(run_id)
        await self._rules.end_run(run_id)

    async def check_targets(self, target_ids: Collection[str]) -> None:
        """Returns when every id is that of a target: who knows an id may have it told."""
        await self._rules.check_targets(target_ids)

    # engines

    async def list_regions(self) -> tuple[Region, ...]:
        """Lists the regions of the instances."""
        if not self._reach.limited():
            return await self._rules.list_regions()
        found = Counter[str]()
        for part in self._reach.parts():
            try:
                found[(await self._rules.get_instance(part.instance_id)).region] += 1
            except ServiceError as error:
                if error.reason != "INSTANCE_NOT_EXIST":
                    raise
        return tuple(Region(name=name, instances=count) for name, count in sorted(found.items()))

    async def list_engines(self, instance: str) -> tuple[EngineStatus, ...]:
        """Returns both engines of an instance."""
        await self._some(instance)
        return await self._rules.list_engines(instance)

    async def engine_status(self, instance: str, engine: Engine | None = None) -> EngineStatus:
        """Returns one engine of an instance."""
        await self._some(instance)
        return await self._rules.engine_status(instance, engine)

    async def activate_engine(
        self, instance: str, engine: Engine, *, authorize: bool, actor: str = ""
    ) -> EngineStatus:
        """Checks an engine, and notes who authorizes it."""
        await self._all(instance)
        return await self._rules.activate_engine(instance, engine, authorize=authorize, actor=actor)

    async def switch_engine(self, instance: str, engine: Engine, *, actor: str = "") -> EngineStatus:
        """Makes another engine the one in use."""
        await self._all(instance)
        return await self._rules.switch_engine(instance, engine, actor=actor)

    async def check_engine(self, instance: str, engine: Engine) -> None:
        """Returns when an engine may be tried."""
        await self._some(instance)
        await self._rules.check_engine(instance, engine)

    async def report_scanner(self, report: ScannerReport) -> None:
        """Takes what a scanner says of itself: no caller of a door does."""
        if self._reach.limited():
            raise out_of_reach("scanners")
        await self._rules.report_scanner(report)

    # sync

    async def set_sync(self, instance: str, *, on: bool) -> Sync:
        """Switches the sync of an instance."""
        await self._all(instance)
        return await self._rules.set_sync(instance, on=on)

    async def sync_now(self, instance: str) -> Sync:
        """Asks for a reconciliation."""
        await self._all(instance)
        return await self._rules.sync_now(instance)

    async def get_sync(self, instance: str) -> Sync:
        """Tells how the sync stands."""
        await self._some(instance)
        return await self._rules.get_sync(instance)

    # what a call names

    async def _some(self, instance: str) -> Part | None:
        return await self._reach.into(instance) if self._reach.limited() else None

    async def _all(self, instance: str) -> None:
        if self._reach.limited():
            await self._reach.whole(instance)

    async def _named(self, instance: str, namespace: str, repository: str) -> None:
        if self._reach.limited():
            await self._reach.named(instance, namespace, repository)

    async def _rule(self, rule_id: str) -> None:
        if self._reach.limited():
            await self.get_rule(rule_id)

    async def _run(self, run_id: str) -> None:
        if self._reach.limited():
            await self.get_run(run_id)

    async def _for_rule(self, instance: str, new: NewScanRule) -> None:
        part = await self._some(instance)
        if part is not None and not part.has_rule(new):
            raise out_of_reach("more than its namespaces")

    async def _some_rules(self, part: Part, scan_type: ScanType | None, size: int, token: str) -> Page[ScanRule]:
        """Lists the rules of some namespaces: all are looked at, for their number is told."""
        size = page_size(size)
        question = ("rules", part.instance_id, scan_type, *sorted(part.namespaces))
        position = decode_token(token, *question, length=1)
        begin = _number(position[0]) if position else 0
        rules: list[ScanRule] = []
        more = ""
        while True:
            page = await self._rules.list_rules(
                part.instance_id, scan_type=scan_type, page_size=_CHUNK, page_token=more
            )
            rules += filter(part.has_rule, page.items)
            more = page.next_token
            if not more:
                break
        end = begin + size
        after = encode_token((str(end),), *question) if end < len(rules) else ""
        return Page(items=tuple(rules[begin:end]), next_token=after, total=len(rules))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise bad_token()
    return int(text)
