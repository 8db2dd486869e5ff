"""The actions on delivery chains."""

from __future__ import annotations

from typing import Any

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.chains.chains import Chains, from_saved, scope_of
from services.gateway.acr.chains.store import Chain
from services.gateway.acr.requests import from_page
from services.gateway.acr.translate import to_milliseconds
from services.kernel.rpc.request_id import current


class ChainActions:
    """A part of ContainerRegistry."""

    def __init__(self, chains: Chains) -> None:
        self._chains = chains

    async def CreateChain(self, request: pb.CreateChainRequest, context: object) -> pb.CreateChainResponse:
        """Saves a chain."""
        chain_id = await self._chains.create(request)
        return pb.CreateChainResponse(code="success", is_success=True, request_id=_request_id(), chain_id=chain_id)

    async def GetChain(self, request: pb.GetChainRequest, context: object) -> pb.GetChainResponse:
        """Returns a chain."""
        chain = await self._chains.get(request.instance_id, request.chain_id)
        return pb.GetChainResponse(
            code="success",
            is_success=True,
            request_id=_request_id(),
            chain_config=from_saved(chain),
            **_facts(chain),
        )

    async def UpdateChain(self, request: pb.UpdateChainRequest, context: object) -> pb.UpdateChainResponse:
        """Writes a chain anew."""
        await self._chains.update(request)
        return pb.UpdateChainResponse(code="success", is_success=True, request_id=_request_id())

    async def DeleteChain(self, request: pb.DeleteChainRequest, context: object) -> pb.DeleteChainResponse:
        """Deletes a chain."""
        await self._chains.delete(request.instance_id, request.chain_id)
        return pb.DeleteChainResponse(code="success", is_success=True, request_id=_request_id())

    async def ListChain(self, request: pb.ListChainRequest, context: object) -> pb.ListChainResponse:
        """Lists chains."""
        window = from_page(request.page_no, request.page_size)
        found = await self._chains.of(request.instance_id, request.repo_namespace_name, request.repo_name)
        return pb.ListChainResponse(
            code="success",
            is_success=True,
            request_id=_request_id(),
            page_no=window.number,
            page_size=window.size,
            total_count=len(found),
            chains=[pb.ChainItem(**_facts(each)) for each in found[window.begin : window.begin + window.size]],
        )

    async def ListChainInstance(
        self, request: pb.ListChainInstanceRequest, context: object
    ) -> pb.ListChainInstanceResponse:
        """Lists scans as chains judge them."""
        window = from_page(request.page_no, request.page_size)
        judged = await self._chains.judged(request.instance_id, request.repo_namespace_name, request.repo_name)
        return pb.ListChainInstanceResponse(
            code="success",
            is_success=True,
            request_id=_request_id(),
            page_no=window.number,
            page_size=window.size,
            total_count=len(judged),
            instance_id=request.instance_id,
            chain_instances=await self._chains.to_instances(judged, window),
        )


def _facts(chain: Chain) -> dict[str, Any]:
    scope_type, scope_id = scope_of(chain)
    return {
        "chain_id": chain.chain_id,
        "name": chain.name,
        "description": chain.description,
        "instance_id": chain.instance_id,
        "scope_id": scope_id,
        "scope_type": scope_type,
        "scope_exclude": chain.scope_exclude,
        "create_time": to_milliseconds(chain.created_at),
        "modified_time": to_milliseconds(chain.modified_at),
    }


def _request_id() -> str:
    return current().upper()
