"""ContainerRegistry: the reference's actions as RPCs.

What the caller did wrong is a gRPC status; an image that was never scanned is an answer with `is_success` false.
"""

from __future__ import annotations

from typing import Any

import grpc

from drydock.acr.v20181201 import container_registry_pb2 as pb
from drydock.acr.v20181201 import container_registry_pb2_grpc as rpc
from services.gateway.acr.catalog.servicer import CatalogActions
from services.gateway.acr.chains.chains import Chains
from services.gateway.acr.chains.servicer import ChainActions
from services.gateway.acr.chains.store import ChainStore
from services.gateway.acr.content import Contents, to_number
from services.gateway.acr.events.servicer import EventActions
from services.gateway.acr.requests import InReach, from_page
from services.gateway.acr.rules import ScanRules
from services.gateway.acr.scans import BusinessFailure, Scans
from services.gateway.acr.translate import to_rule
from services.gateway.editions import Editions
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.ids import Ids
from services.kernel.rpc.request_id import current
from services.notifier.api import NotifierApi
from services.rules.api import RulesApi
from services.scanner.api import ScannerApi

REASON_TRAILER = "x-drydock-reason"
"""Why a status is RETRYING, FAILED, or COMPLETE with limited coverage: the reference has no field for it."""


class ContainerRegistryServicer(CatalogActions, ChainActions, EventActions, rpc.ContainerRegistryServicer):
    """Each action of the reference that Drydock has, for both doors."""

    def __init__(
        self,
        *,
        pool: Pool,
        rules: RulesApi,
        scanner: ScannerApi,
        notifier: NotifierApi,
        editions: Editions,
        in_reach: InReach,
        clock: Clock,
        ids: Ids,
    ) -> None:
        """`rules` and `scanner` show what the caller's key reaches; `in_reach` is for what is kept here."""
        CatalogActions.__init__(self, pool=pool, rules=rules, scanner=scanner, clock=clock, in_reach=in_reach)
        chains = Chains(
            pool=pool,
            store=ChainStore(),
            rules=rules,
            scanner=scanner,
            in_reach=in_reach,
            clock=clock,
            ids=ids,
        )
        ChainActions.__init__(self, chains)
        EventActions.__init__(self, rules=rules, notifier=notifier, in_reach=in_reach)
        self._scans = Scans(scanner, editions)
        self._contents = Contents(self._scans)
        self._scan_rules = ScanRules(rules)

    async def CreateRepoTagScanTask(
        self, request: pb.CreateRepoTagScanTaskRequest, context: object
    ) -> pb.CreateRepoTagScanTaskResponse:
        """Starts a scan of a tag."""
        await self._scans.create(request)
        return pb.CreateRepoTagScanTaskResponse(code="success", is_success=True, request_id=_request_id())

    async def GetRepoTagScanStatus(
        self,
        request: pb.GetRepoTagScanStatusRequest,
        context: grpc.aio.ServicerContext[pb.GetRepoTagScanStatusRequest, pb.GetRepoTagScanStatusResponse],
    ) -> pb.GetRepoTagScanStatusResponse:
        """Says how the newest scan stands."""
        try:
            status, service, reason = await self._scans.status(request)
        except BusinessFailure as failure:
            return pb.GetRepoTagScanStatusResponse(code=failure.code, is_success=False, request_id=_request_id())
        if reason:
            _tell(context, reason)
        return pb.GetRepoTagScanStatusResponse(
            code="success", is_success=True, request_id=_request_id(), status=status, scan_service=service
        )

    async def GetRepoTagScanSummary(
        self, request: pb.GetRepoTagScanSummaryRequest, context: object
    ) -> pb.GetRepoTagScanSummaryResponse:
        """Counts the vulnerabilities by severity."""
        try:
            return await self._scans.summary(request, _request_id())
        except BusinessFailure as failure:
            return pb.GetRepoTagScanSummaryResponse(code=failure.code, is_success=False, request_id=_request_id())

    async def ListRepoTagScanResult(
        self, request: pb.ListRepoTagScanResultRequest, context: object
    ) -> pb.ListRepoTagScanResultResponse:
        """Lists the vulnerabilities."""
        try:
            return await self._scans.result(request, _request_id())
        except BusinessFailure as failure:
            return pb.ListRepoTagScanResultResponse(code=failure.code, is_success=False, request_id=_request_id())

    async def ListScanBaselineByTask(
        self,
        request: pb.ListScanBaselineByTaskRequest,
        context: grpc.aio.ServicerContext[pb.ListScanBaselineByTaskRequest, pb.ListScanBaselineByTaskResponse],
    ) -> pb.ListScanBaselineByTaskResponse:
        """Lists baseline risks."""
        try:
            return await self._contents.baselines(request, _request_id())
        except BusinessFailure as failure:
            _tell(context, failure.code)
            return pb.ListScanBaselineByTaskResponse(
                code=to_number(failure), is_success=False, request_id=_request_id()
            )

    async def ListScanMaliciousFileByTask(
        self,
        request: pb.ListScanMaliciousFileByTaskRequest,
        context: grpc.aio.ServicerContext[
            pb.ListScanMaliciousFileByTaskRequest, pb.ListScanMaliciousFileByTaskResponse
        ],
    ) -> pb.ListScanMaliciousFileByTaskResponse:
        """Lists malicious files."""
        try:
            return await self._contents.malicious(request, _request_id())
        except BusinessFailure as failure:
            _tell(context, failure.code)
            return pb.ListScanMaliciousFileByTaskResponse(
                code=to_number(failure), is_success=False, request_id=_request_id()
            )

    async def CreateScanRule(
        self, request: pb.CreateScanRuleRequest, context: object
    ) -> pb.CreateScanRuleResponse:
        """Saves a scan rule."""
        rule = await self._scan_rules.create(request)
        return pb.CreateScanRuleResponse(code=0, request_id=_request_id(), scan_rule_id=rule.rule_id)

    async def GetScanRule(self, request: pb.GetScanRuleRequest, context: object) -> pb.GetScanRuleResponse:
        """Returns a scan rule."""
        rule = await self._scan_rules.get(request.instance_id, request.scan_rule_id)
        return pb.GetScanRuleResponse(
            code="success",
            is_success=True,
            request_id=_request_id(),
            scan_rule=to_rule(rule, with_instance=True),
        )

    async def ListScanRule(self, request: pb.ListScanRuleRequest, context: object) -> pb.ListScanRuleResponse:
        """Lists scan rules."""
        window = from_page(request.page_no, request.page_size)
        page = await self._scan_rules.list_page(request.instance_id, request.scan_type, window)
        return pb.ListScanRuleResponse(
            code="success",
            is_success=True,
            request_id=_request_id(),
            page_no=window.number,
            page_size=window.size,
            total_count=page.total,
            scan_rules=[to_rule(rule, with_instance=False) for rule in page.rules],
        )

    async def UpdateScanRule(
        self, request: pb.UpdateScanRuleRequest, context: object
    ) -> pb.UpdateScanRuleResponse:
        """Replaces a scan rule."""
        rule = await self._scan_rules.update(request)
        return pb.UpdateScanRuleResponse(code=0, request_id=_request_id(), scan_rule_id=rule.rule_id)

    async def DeleteScanRule(
        self, request: pb.DeleteScanRuleRequest, context: object
    ) -> pb.DeleteScanRuleResponse:
        """Deletes a scan rule."""
        await self._scan_rules.delete(request.instance_id, request.scan_rule_id)
        return pb.DeleteScanRuleResponse(code="success", request_id=_request_id())


def _tell(context: Any, reason: str) -> None:
    context.set_trailing_metadata((*(context.trailing_metadata() or ()), (REASON_TRAILER, reason)))


def _request_id() -> str:
    return current().upper()
