"""RulesApi across the network: what the application offers, met over gRPC."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from drydock.rules.v1 import rules_inner_service_pb2 as inner_pb
from drydock.rules.v1 import rules_service_pb2 as pb
from drydock.rules.v1.rules_inner_service_pb2_grpc import RulesInnerServiceStub
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from services.kernel.model.access import RegistryAccess
from services.kernel.model.engine import Engine
from services.kernel.model.page import Page
from services.kernel.rpc import call_context
from services.kernel.rpc.peer import Peer
from services.rules.api import (
    Instance,
    InstanceChange,
    NewInstance,
    NewScanRule,
    Repository,
    RulePreview,
    RuleRun,
    ScanRule,
    ScanType,
    Sync,
)
from services.rules.convert import (
    from_access,
    from_instance,
    from_repository,
    from_saved_rule,
    from_sync,
    to_create_instance,
    to_new_rule,
    to_scan_type,
    to_update_instance,
)
from services.rules.convert_runs import from_preview, from_run
from services.rules.engines.api import EngineStatus, Region, ScannerReport
from services.rules.engines.convert import from_engine, from_region, to_report

if TYPE_CHECKING:  # the asynchronous stubs are types only
    from drydock.rules.v1.rules_inner_service_pb2_grpc import RulesInnerServiceAsyncStub
    from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceAsyncStub

SERVICE = "drydock.rules.v1.RulesInnerService"
"""What a peer must serve to be rules."""


class RulesClient:
    """RulesApi over a peer. Errors are those of the application, and what `Peer` adds."""

    def __init__(self, peer: Peer) -> None:
        rules: RulesServiceAsyncStub = RulesServiceStub(peer.channel)
        inner: RulesInnerServiceAsyncStub = RulesInnerServiceStub(peer.channel)
        # What changes something is sent once: a lost answer must not become ALREADY_EXISTS or NOT_FOUND.
        self._create_instance = peer.once(rules.CreateInstance)
        self._update_instance = peer.once(rules.UpdateInstance)
        self._delete_instance = peer.once(rules.DeleteInstance)
        self._create_rule = peer.once(rules.CreateScanRule)
        self._update_rule = peer.once(rules.UpdateScanRule)
        self._delete_rule = peer.once(rules.DeleteScanRule)
        self._switch_engine = peer.once(rules.SwitchScanEngine)
        self._activate_engine = peer.repeatable(rules.ActivateScanEngine)
        self._list_engines = peer.repeatable(rules.ListScanEngines)
        self._engine_status = peer.repeatable(rules.GetScanEngineStatus)
        self._list_regions = peer.repeatable(rules.ListRegions)
        self._check_engine = peer.repeatable(inner.CheckScanEngine)
        self._report_scanner = peer.repeatable(inner.ReportScanner)
        self._get_instance = peer.repeatable(rules.GetInstance)
        self._list_instances = peer.repeatable(rules.ListInstances)
        self._list_repositories = peer.repeatable(rules.ListRepositories)
        self._get_rule = peer.repeatable(rules.GetScanRule)
        self._list_rules = peer.repeatable(rules.ListScanRules)
        self._preview_rule = peer.repeatable(rules.PreviewScanRule)
        self._run_rule_once = peer.once(rules.RunScanRule)
        # With an id of the caller's choice the same request again returns the same run.
        self._run_rule = peer.repeatable(rules.RunScanRule)
        self._get_run = peer.repeatable(inner.GetRun)
        self._cancel_run = peer.repeatable(inner.CancelRun)
        self._resume_run = peer.repeatable(inner.ResumeRun)
        self._end_run = peer.repeatable(inner.EndRun)
        self._get_access = peer.repeatable(inner.GetRegistryAccess)
        self._get_repository = peer.repeatable(inner.GetRepository)
        self._see_repository = peer.repeatable(inner.SeeRepository)
        self._find_repository = peer.repeatable(inner.FindRepository)
        self._check_targets = peer.repeatable(inner.CheckTargets)
        self._set_sync = peer.repeatable(rules.SetSync)
        self._sync_now = peer.repeatable(rules.SyncNow)
        self._get_sync = peer.repeatable(rules.GetSync)

    # instances

    async def create_instance(self, new: NewInstance, *, actor: str = "") -> Instance:
        """Saves an instance; see RulesApi."""
        with call_context.acting_for(actor):
            return from_instance((await self._create_instance(to_create_instance(new))).instance)

    async def get_instance(self, instance: str) -> Instance:
        """Returns one instance by id or name."""
        return from_instance((await self._get_instance(pb.GetInstanceRequest(instance=instance))).instance)

    async def list_instances(
        self, *, region: str = "", page_size: int = 0, page_token: str = ""
    ) -> Page[Instance]:
        """Lists instances by name."""
        answer = await self._list_instances(
            pb.ListInstancesRequest(region=region, page_size=page_size, page_token=page_token)
        )
        return Page(items=tuple(map(from_instance, answer.instances)), next_token=answer.next_page_token)

    async def update_instance(self, instance: str, change: InstanceChange) -> Instance:
        """Changes what is not None; see RulesApi."""
        if change == InstanceChange():
            return await self.get_instance(instance)
        return from_instance((await self._update_instance(to_update_instance(instance, change))).instance)

    async def delete_instance(self, instance: str) -> None:
        """Forgets an instance."""
        await self._delete_instance(pb.DeleteInstanceRequest(instance=instance))

    async def registry_access(self, instance: str) -> RegistryAccess:
        """Returns how to reach the registry, password included."""
        answer = await self._get_access(inner_pb.GetRegistryAccessRequest(instance=instance))
        return from_access(answer.access)

    # engines

    async def list_regions(self) -> tuple[Region, ...]:
        """Lists regions by name."""
        return tuple(map(from_region, (await self._list_regions(pb.ListRegionsRequest())).regions))

    async def list_engines(self, instance: str) -> tuple[EngineStatus, ...]:
        """Returns every engine of an instance."""
        answer = await self._list_engines(pb.ListScanEnginesRequest(instance=instance))
        return tuple(map(from_engine, answer.engines))

    async def engine_status(self, instance: str, engine: Engine | None = None) -> EngineStatus:
        """Returns one engine of an instance."""
        request = pb.GetScanEngineStatusRequest(instance=instance, engine=engine.value if engine else "")
        return from_engine((await self._engine_status(request)).engine)

    async def activate_engine(
        self, instance: str, engine: Engine, *, authorize: bool, actor: str = ""
    ) -> EngineStatus:
        """Checks all that an engine needs, authorization recorded first; see RulesApi."""
        request = pb.ActivateScanEngineRequest(instance=instance, engine=engine.value, authorize=authorize)
        with call_context.acting_for(actor):
            return from_engine((await self._activate_engine(request)).engine)

    async def switch_engine(self, instance: str, engine: Engine, *, actor: str = "") -> EngineStatus:
        """Makes a ready engine the one in use; see RulesApi."""
        request = pb.SwitchScanEngineRequest(instance=instance, engine=engine.value)
        with call_context.acting_for(actor):
            return from_engine((await self._switch_engine(request)).engine)

    async def check_engine(self, instance: str, engine: Engine) -> None:
        """Refuses an engine that is neither in use nor ready; see RulesApi."""
        await self._check_engine(inner_pb.CheckScanEngineRequest(instance=instance, engine=engine.value))

    async def report_scanner(self, report: ScannerReport) -> None:
        """Takes what a scanner says of itself."""
        await self._report_scanner(inner_pb.ReportScannerRequest(report=to_report(report)))

    # repositories

    async def get_repository(self, instance: str, repo_id: str) -> Repository:
        """Returns a repository by its id."""
        answer = await self._get_repository(inner_pb.GetRepositoryRequest(instance=instance, repo_id=repo_id))
        return from_repository(answer.repository)

    async def see_repository(self, instance: str, namespace: str, name: str) -> Repository:
        """Returns a repository by its name, saved when it was not known."""
        request = inner_pb.SeeRepositoryRequest(instance=instance, namespace=namespace, name=name)
        return from_repository((await self._see_repository(request)).repository)

    async def find_repository(self, instance: str, namespace: str, name: str) -> Repository:
        """Returns a repository by its name, if anybody has seen it."""
        request = inner_pb.FindRepositoryRequest(instance=instance, namespace=namespace, name=name)
        return from_repository((await self._find_repository(request)).repository)

    async def list_repositories(
        self, instance: str, *, namespace: str = "", page_size: int = 0, page_token: str = ""
    ) -> Page[Repository]:
        """Lists repositories by namespace and name."""
        answer = await self._list_repositories(
            pb.ListRepositoriesRequest(
                instance=instance, namespace=namespace, page_size=page_size, page_token=page_token
            )
        )
        return Page(items=tuple(map(from_repository, answer.repositories)), next_token=answer.next_page_token)

    # rules

    async def check_targets(self, target_ids: Collection[str]) -> None:
        """Returns when every id is that of a target; see RulesApi."""
        await self._check_targets(inner_pb.CheckTargetsRequest(target_ids=target_ids))

    async def create_rule(self, instance: str, new: NewScanRule) -> ScanRule:
        """Saves a rule; see RulesApi."""
        request = pb.CreateScanRuleRequest(rule=to_new_rule(new, instance=instance))
        return from_saved_rule((await self._create_rule(request)).rule)

    async def get_rule(self, rule_id: str) -> ScanRule:
        """Returns one rule."""
        return from_saved_rule((await self._get_rule(pb.GetScanRuleRequest(rule_id=rule_id))).rule)

    async def list_rules(
        self, instance: str, *, scan_type: ScanType | None = None, page_size: int = 0, page_token: str = ""
    ) -> Page[ScanRule]:
        """Lists the rules of an instance, oldest first; `Page.total` is set."""
        answer = await self._list_rules(
            pb.ListScanRulesRequest(
                instance=instance,
                scan_type=to_scan_type(scan_type),
                page_size=page_size,
                page_token=page_token,
            )
        )
        return Page(
            items=tuple(map(from_saved_rule, answer.rules)),
            next_token=answer.next_page_token,
            total=answer.total_size,
        )

    async def update_rule(self, rule_id: str, new: NewScanRule) -> ScanRule:
        """Replaces a rule; see RulesApi."""
        request = pb.UpdateScanRuleRequest(rule=to_new_rule(new, rule_id=rule_id))
        return from_saved_rule((await self._update_rule(request)).rule)

    async def delete_rule(self, rule_id: str) -> None:
        """Deletes a rule."""
        await self._delete_rule(pb.DeleteScanRuleRequest(rule_id=rule_id))

    # sync

    async def set_sync(self, instance: str, *, on: bool) -> Sync:
        """Switches the sync of an instance; see RulesApi."""
        return from_sync((await self._set_sync(pb.SetSyncRequest(instance=instance, on=on))).sync)

    async def sync_now(self, instance: str) -> Sync:
        """Asks for a reconciliation; see RulesApi."""
        return from_sync((await self._sync_now(pb.SyncNowRequest(instance=instance))).sync)

    async def get_sync(self, instance: str) -> Sync:
        """Tells how the sync of an instance stands."""
        return from_sync((await self._get_sync(pb.GetSyncRequest(instance=instance))).sync)

    # runs

    async def preview_rule(self, rule_id: str) -> RulePreview:
        """Tells what a run would scan; see RulesApi."""
        return from_preview((await self._preview_rule(pb.PreviewScanRuleRequest(rule_id=rule_id))).preview)

    async def run_rule(self, rule_id: str, *, request_id: str = "") -> RuleRun:
        """Starts a run; see RulesApi."""
        send = self._run_rule if request_id else self._run_rule_once
        return from_run((await send(pb.RunScanRuleRequest(rule_id=rule_id, request_id=request_id))).run)

    async def get_run(self, run_id: str) -> RuleRun:
        """Returns one run."""
        return from_run((await self._get_run(inner_pb.GetRunRequest(run_id=run_id))).run)

    async def cancel_run(self, run_id: str) -> RuleRun:
        """Asks for no more images of a run."""
        return from_run((await self._cancel_run(inner_pb.CancelRunRequest(run_id=run_id))).run)

    async def resume_run(self, run_id: str) -> RuleRun:
        """Goes on with a run where it stopped; see RulesApi."""
        return from_run((await self._resume_run(inner_pb.ResumeRunRequest(run_id=run_id))).run)

    async def end_run(self, run_id: str) -> None:
        """Notes that every image of a run has ended."""
        await self._end_run(inner_pb.EndRunRequest(run_id=run_id))
