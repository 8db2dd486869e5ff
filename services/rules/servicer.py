"""The gRPC face of rules."""

from __future__ import annotations

from drydock.rules.v1 import rules_inner_service_pb2 as inner_pb
from drydock.rules.v1 import rules_inner_service_pb2_grpc as inner_rpc
from drydock.rules.v1 import rules_service_pb2 as pb
from drydock.rules.v1 import rules_service_pb2_grpc as rpc
from services.kernel.model.engine import parse_engine
from services.kernel.rpc import call_context
from services.kernel.rpc.server import Service
from services.rules.api import RulesApi
from services.rules.convert import (
    from_create_instance,
    from_rule,
    from_scan_type,
    from_update_instance,
    to_access,
    to_instance,
    to_repository,
    to_rule,
    to_sync,
)
from services.rules.convert_runs import to_preview, to_run
from services.rules.engines.convert import from_report, to_engine, to_region


class RulesServicer(rpc.RulesServiceServicer):
    """RulesService over RulesApi."""

    def __init__(self, api: RulesApi) -> None:
        self._api = api

    async def CreateInstance(
        self, request: pb.CreateInstanceRequest, context: object
    ) -> pb.CreateInstanceResponse:
        """Registers a registry."""
        new = from_create_instance(request)
        instance = await self._api.create_instance(new, actor=call_context.actor())
        return pb.CreateInstanceResponse(instance=to_instance(instance))

    async def GetInstance(self, request: pb.GetInstanceRequest, context: object) -> pb.GetInstanceResponse:
        """Returns one instance."""
        return pb.GetInstanceResponse(instance=to_instance(await self._api.get_instance(request.instance)))

    async def ListInstances(self, request: pb.ListInstancesRequest, context: object) -> pb.ListInstancesResponse:
        """Lists instances by name."""
        page = await self._api.list_instances(
            region=request.region, page_size=request.page_size, page_token=request.page_token
        )
        return pb.ListInstancesResponse(
            instances=[to_instance(instance) for instance in page.items], next_page_token=page.next_token
        )

    async def UpdateInstance(
        self, request: pb.UpdateInstanceRequest, context: object
    ) -> pb.UpdateInstanceResponse:
        """Changes the fields that the mask names."""
        change = from_update_instance(request)
        instance = await self._api.update_instance(request.instance.instance_id, change)
        return pb.UpdateInstanceResponse(instance=to_instance(instance))

    async def DeleteInstance(
        self, request: pb.DeleteInstanceRequest, context: object
    ) -> pb.DeleteInstanceResponse:
        """Forgets an instance."""
        await self._api.delete_instance(request.instance)
        return pb.DeleteInstanceResponse()

    async def ListRepositories(
        self, request: pb.ListRepositoriesRequest, context: object
    ) -> pb.ListRepositoriesResponse:
        """Lists repositories by namespace and name."""
        page = await self._api.list_repositories(
            request.instance,
            namespace=request.namespace,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListRepositoriesResponse(
            repositories=[to_repository(repository) for repository in page.items],
            next_page_token=page.next_token,
        )

    async def CreateScanRule(
        self, request: pb.CreateScanRuleRequest, context: object
    ) -> pb.CreateScanRuleResponse:
        """Saves a rule."""
        rule = await self._api.create_rule(request.rule.instance_id, from_rule(request.rule))
        return pb.CreateScanRuleResponse(rule=to_rule(rule))

    async def GetScanRule(self, request: pb.GetScanRuleRequest, context: object) -> pb.GetScanRuleResponse:
        """Returns one rule."""
        return pb.GetScanRuleResponse(rule=to_rule(await self._api.get_rule(request.rule_id)))

    async def ListScanRules(self, request: pb.ListScanRulesRequest, context: object) -> pb.ListScanRulesResponse:
        """Lists the rules of an instance."""
        page = await self._api.list_rules(
            request.instance,
            scan_type=from_scan_type(request.scan_type),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListScanRulesResponse(
            rules=[to_rule(rule) for rule in page.items],
            next_page_token=page.next_token,
            total_size=page.total,
        )

    async def UpdateScanRule(
        self, request: pb.UpdateScanRuleRequest, context: object
    ) -> pb.UpdateScanRuleResponse:
        """Replaces a rule; no scan type means the one that it has."""
        old = await self._api.get_rule(request.rule.rule_id)
        said = from_rule(request.rule, default_type=old.scan_type)
        return pb.UpdateScanRuleResponse(rule=to_rule(await self._api.update_rule(old.rule_id, said)))

    async def DeleteScanRule(
        self, request: pb.DeleteScanRuleRequest, context: object
    ) -> pb.DeleteScanRuleResponse:
        """Deletes a rule."""
        await self._api.delete_rule(request.rule_id)
        return pb.DeleteScanRuleResponse()

    async def ListRegions(self, request: pb.ListRegionsRequest, context: object) -> pb.ListRegionsResponse:
        """Lists the regions that instances lie in."""
        return pb.ListRegionsResponse(regions=[to_region(one) for one in await self._api.list_regions()])

    async def ListScanEngines(
        self, request: pb.ListScanEnginesRequest, context: object
    ) -> pb.ListScanEnginesResponse:
        """Returns both engines of an instance."""
        found = await self._api.list_engines(request.instance)
        return pb.ListScanEnginesResponse(engines=[to_engine(status) for status in found])

    async def GetScanEngineStatus(
        self, request: pb.GetScanEngineStatusRequest, context: object
    ) -> pb.GetScanEngineStatusResponse:
        """Returns one engine of an instance."""
        engine = parse_engine(request.engine) if request.engine else None
        return pb.GetScanEngineStatusResponse(
            engine=to_engine(await self._api.engine_status(request.instance, engine))
        )

    async def ActivateScanEngine(
        self, request: pb.ActivateScanEngineRequest, context: object
    ) -> pb.ActivateScanEngineResponse:
        """Checks an engine, and records that the caller authorizes it."""
        status = await self._api.activate_engine(
            request.instance,
            parse_engine(request.engine),
            authorize=request.authorize,
            actor=call_context.actor(),
        )
        return pb.ActivateScanEngineResponse(engine=to_engine(status))

    async def SwitchScanEngine(
        self, request: pb.SwitchScanEngineRequest, context: object
    ) -> pb.SwitchScanEngineResponse:
        """Makes a ready engine the one in use."""
        status = await self._api.switch_engine(
            request.instance, parse_engine(request.engine), actor=call_context.actor()
        )
        return pb.SwitchScanEngineResponse(engine=to_engine(status))

    async def SetSync(self, request: pb.SetSyncRequest, context: object) -> pb.SetSyncResponse:
        """Switches the sync of an instance."""
        return pb.SetSyncResponse(sync=to_sync(await self._api.set_sync(request.instance, on=request.on)))

    async def SyncNow(self, request: pb.SyncNowRequest, context: object) -> pb.SyncNowResponse:
        """Asks for a reconciliation."""
        return pb.SyncNowResponse(sync=to_sync(await self._api.sync_now(request.instance)))

    async def GetSync(self, request: pb.GetSyncRequest, context: object) -> pb.GetSyncResponse:
        """Tells how the sync of an instance stands."""
        return pb.GetSyncResponse(sync=to_sync(await self._api.get_sync(request.instance)))

    async def PreviewScanRule(
        self, request: pb.PreviewScanRuleRequest, context: object
    ) -> pb.PreviewScanRuleResponse:
        """Tells what a run would scan."""
        return pb.PreviewScanRuleResponse(preview=to_preview(await self._api.preview_rule(request.rule_id)))

    async def RunScanRule(self, request: pb.RunScanRuleRequest, context: object) -> pb.RunScanRuleResponse:
        """Starts a run."""
        run = await self._api.run_rule(request.rule_id, request_id=request.request_id)
        return pb.RunScanRuleResponse(run=to_run(run))


class RulesInnerServicer(inner_rpc.RulesInnerServiceServicer):
    """RulesInnerService over RulesApi: for peers, never behind the gateway's door."""

    def __init__(self, api: RulesApi) -> None:
        self._api = api

    async def GetRegistryAccess(
        self, request: inner_pb.GetRegistryAccessRequest, context: object
    ) -> inner_pb.GetRegistryAccessResponse:
        """Returns how a registry is reached."""
        access = await self._api.registry_access(request.instance)
        return inner_pb.GetRegistryAccessResponse(access=to_access(access))

    async def GetRepository(
        self, request: inner_pb.GetRepositoryRequest, context: object
    ) -> inner_pb.GetRepositoryResponse:
        """Returns a repository by its id."""
        found = await self._api.get_repository(request.instance, request.repo_id)
        return inner_pb.GetRepositoryResponse(repository=to_repository(found))

    async def SeeRepository(
        self, request: inner_pb.SeeRepositoryRequest, context: object
    ) -> inner_pb.SeeRepositoryResponse:
        """Returns a repository by its name, saved when it was not known."""
        seen = await self._api.see_repository(request.instance, request.namespace, request.name)
        return inner_pb.SeeRepositoryResponse(repository=to_repository(seen))

    async def FindRepository(
        self, request: inner_pb.FindRepositoryRequest, context: object
    ) -> inner_pb.FindRepositoryResponse:
        """Returns a repository by its name."""
        found = await self._api.find_repository(request.instance, request.namespace, request.name)
        return inner_pb.FindRepositoryResponse(repository=to_repository(found))

    async def CheckTargets(
        self, request: inner_pb.CheckTargetsRequest, context: object
    ) -> inner_pb.CheckTargetsResponse:
        """Checks that targets exist."""
        await self._api.check_targets(tuple(request.target_ids))
        return inner_pb.CheckTargetsResponse()

    async def ReportScanner(
        self, request: inner_pb.ReportScannerRequest, context: object
    ) -> inner_pb.ReportScannerResponse:
        """Takes what a scanner says of itself."""
        await self._api.report_scanner(from_report(request.report))
        return inner_pb.ReportScannerResponse()

    async def CheckScanEngine(
        self, request: inner_pb.CheckScanEngineRequest, context: object
    ) -> inner_pb.CheckScanEngineResponse:
        """Checks that a scan may be asked for with an engine."""
        await self._api.check_engine(request.instance, parse_engine(request.engine))
        return inner_pb.CheckScanEngineResponse()

    async def GetRun(self, request: inner_pb.GetRunRequest, context: object) -> inner_pb.GetRunResponse:
        """Returns a run."""
        return inner_pb.GetRunResponse(run=to_run(await self._api.get_run(request.run_id)))

    async def CancelRun(self, request: inner_pb.CancelRunRequest, context: object) -> inner_pb.CancelRunResponse:
        """Asks for no more images of a run."""
        return inner_pb.CancelRunResponse(run=to_run(await self._api.cancel_run(request.run_id)))

    async def ResumeRun(self, request: inner_pb.ResumeRunRequest, context: object) -> inner_pb.ResumeRunResponse:
        """Goes on with a run where it stopped."""
        return inner_pb.ResumeRunResponse(run=to_run(await self._api.resume_run(request.run_id)))

    async def EndRun(self, request: inner_pb.EndRunRequest, context: object) -> inner_pb.EndRunResponse:
        """Notes that every image of a run has ended."""
        await self._api.end_run(request.run_id)
        return inner_pb.EndRunResponse()


def inner_services(api: RulesApi) -> tuple[Service, ...]:
    """Returns what the inner door of rules serves."""
    public, inner = RulesServicer(api), RulesInnerServicer(api)
    return (
        Service(
            name="drydock.rules.v1.RulesService",
            add=lambda server: rpc.add_RulesServiceServicer_to_server(public, server),
        ),
        Service(
            name="drydock.rules.v1.RulesInnerService",
            add=lambda server: inner_rpc.add_RulesInnerServiceServicer_to_server(inner, server),
        ),
    )
