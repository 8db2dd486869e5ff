"""The gRPC face of rules."""

from __future__ import annotations

from drydock.rules.v1 import rules_service_pb2 as pb
from drydock.rules.v1 import rules_service_pb2_grpc as rpc
from services.rules.api import RulesApi
from services.rules.convert import (
    from_create_instance,
    from_rule,
    from_scan_type,
    from_update_instance,
    to_instance,
    to_repository,
    to_rule,
)


class RulesServicer(rpc.RulesServiceServicer):
    """RulesService over RulesApi."""

    def __init__(self, api: RulesApi) -> None:
        self._api = api

    async def CreateInstance(
        self, request: pb.CreateInstanceRequest, context: object
    ) -> pb.CreateInstanceResponse:
        """Registers a registry."""
        instance = await self._api.create_instance(from_create_instance(request))
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
