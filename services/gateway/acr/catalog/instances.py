"""Instances and the ways to them."""

from __future__ import annotations

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.requests import from_page, required
from services.gateway.acr.translate import to_milliseconds
from services.kernel.errors import invalid
from services.rules.api import Edition, Instance, RulesApi

_SPECIFICATIONS = {Edition.ENTERPRISE: "Enterprise_Advanced", Edition.PERSONAL: "Personal"}
_RUNNING = "RUNNING"
_MODULES = ("", "Registry")
_CHUNK = 1000


class InstanceActions:
    """Asks rules in the reference's words."""

    def __init__(self, rules: RulesApi) -> None:
        self._rules = rules

    async def get(self, request: pb.GetInstanceRequest, request_id: str) -> pb.GetInstanceResponse:
        """Returns an instance."""
        instance = await self._rules.get_instance(required("instance_id", request.instance_id))
        return pb.GetInstanceResponse(
            code="success",
            is_success=True,
            request_id=request_id,
            instance_id=instance.instance_id,
            instance_name=instance.name,
            instance_specification=_SPECIFICATIONS[instance.edition],
            instance_status=_RUNNING,
            create_time=to_milliseconds(instance.created_at),
            modified_time=to_milliseconds(instance.updated_at),
        )

    async def list_page(self, request: pb.ListInstanceRequest, request_id: str) -> pb.ListInstanceResponse:
        """Lists a page of the instances, by name."""
        window = from_page(request.page_no, request.page_size)
        known = (
            [] if request.instance_status not in ("", _RUNNING) or request.resource_group_id else await self._all()
        )
        wanted = [each for each in known if request.instance_name in ("", each.name)]
        return pb.ListInstanceResponse(
            code="success",
            is_success=True,
            request_id=request_id,
            page_no=window.number,
            page_size=window.size,
            total_count=len(wanted),
            instances=map(_to_item, wanted[window.begin : window.begin + window.size]),
        )

    async def endpoints(
        self, request: pb.ListInstanceEndpointRequest, request_id: str
    ) -> pb.ListInstanceEndpointResponse:
        """Lists the addresses of an instance's registry."""
        instance = await self._rules.get_instance(required("instance_id", request.instance_id))
        if request.module_name not in (*_MODULES, "Chart"):
            raise invalid(
                "INVALID_MODULE_NAME",
                f"{request.module_name[:40]!r} is no module_name.",
                field="module_name",
                hint="One of Registry, Chart.",
            )
        there = (("internet", instance.address), ("vpc", instance.private_address))
        return pb.ListInstanceEndpointResponse(
            code="success",
            is_success=True,
            request_id=request_id,
            endpoints=[
                pb.Endpoint(
                    endpoint_type=kind,
                    enable=True,
                    status=_RUNNING,
                    domains=[pb.EndpointDomain(domain=address, type="SYSTEM")],
                )
                for kind, address in there
                if address and request.module_name in _MODULES
            ],
        )

    async def _all(self) -> list[Instance]:
        found: list[Instance] = []
        token = ""
        while True:
            page = await self._rules.list_instances(page_size=_CHUNK, page_token=token)
            found += page.items
            token = page.next_token
            if not token:
                return found


def _to_item(instance: Instance) -> pb.InstanceItem:
    return pb.InstanceItem(
        instance_id=instance.instance_id,
        instance_name=instance.name,
        instance_specification=_SPECIFICATIONS[instance.edition],
        instance_status=_RUNNING,
        region_id=instance.region,
        create_time=str(to_milliseconds(instance.created_at)),
        modified_time=str(to_milliseconds(instance.updated_at)),
    )
