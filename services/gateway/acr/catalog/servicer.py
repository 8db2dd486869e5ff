"""The actions on instances, namespaces, repositories and tags."""

from __future__ import annotations

from typing import NoReturn

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.catalog.instances import InstanceActions
from services.gateway.acr.catalog.namespaces import NamespaceActions
from services.gateway.acr.catalog.repositories import RepositoryActions, Shelf
from services.gateway.acr.catalog.store import NoteStore
from services.gateway.acr.catalog.tags import TagActions
from services.gateway.acr.requests import InReach, required
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.request_id import current
from services.rules.api import RulesApi
from services.scanner.api import ScannerApi


class CatalogActions:
    """A part of ContainerRegistry."""

    def __init__(
        self, *, pool: Pool, rules: RulesApi, scanner: ScannerApi, clock: Clock, in_reach: InReach
    ) -> None:
        notes, shelf = NoteStore(), Shelf(rules)
        self._rules = rules
        self._instances = InstanceActions(rules)
        self._namespaces = NamespaceActions(pool=pool, notes=notes, rules=rules, shelf=shelf, in_reach=in_reach)
        self._repositories = RepositoryActions(pool=pool, notes=notes, rules=rules, shelf=shelf, clock=clock)
        self._tags = TagActions(rules=rules, scanner=scanner)

    async def GetInstance(self, request: pb.GetInstanceRequest, context: object) -> pb.GetInstanceResponse:
        """Returns an instance."""
        return await self._instances.get(request, _request_id())

    async def ListInstance(self, request: pb.ListInstanceRequest, context: object) -> pb.ListInstanceResponse:
        """Lists instances."""
        return await self._instances.list_page(request, _request_id())

    async def ListInstanceEndpoint(
        self, request: pb.ListInstanceEndpointRequest, context: object
    ) -> pb.ListInstanceEndpointResponse:
        """Lists the addresses of an instance."""
        return await self._instances.endpoints(request, _request_id())

    async def GetAuthorizationToken(
        self, request: pb.GetAuthorizationTokenRequest, context: object
    ) -> pb.GetAuthorizationTokenResponse:
        """Refuses: what we could give away are the instance's own credentials."""
        await self._rules.get_instance(required("instance_id", request.instance_id))
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "AUTHORIZATION_TOKEN_NOT_SUPPORTED",
            "Drydock makes no passwords for the registry, and gives those that it has to nobody.",
            hint="Log in with an account of the registry.",
        )

    async def CreateNamespace(
        self, request: pb.CreateNamespaceRequest, context: object
    ) -> pb.CreateNamespaceResponse:
        """Writes a namespace down."""
        await self._namespaces.create(request)
        return pb.CreateNamespaceResponse(code="success", is_success=True, request_id=_request_id())

    async def GetNamespace(self, request: pb.GetNamespaceRequest, context: object) -> pb.GetNamespaceResponse:
        """Returns a namespace."""
        return await self._namespaces.get(request, _request_id())

    async def ListNamespace(self, request: pb.ListNamespaceRequest, context: object) -> pb.ListNamespaceResponse:
        """Lists namespaces."""
        return await self._namespaces.list_page(request, _request_id())

    async def UpdateNamespace(
        self, request: pb.UpdateNamespaceRequest, context: object
    ) -> pb.UpdateNamespaceResponse:
        """Writes a namespace down anew."""
        await self._namespaces.update(request)
        return pb.UpdateNamespaceResponse(code="success", is_success=True, request_id=_request_id())

    async def DeleteNamespace(
        self, request: pb.DeleteNamespaceRequest, context: object
    ) -> pb.DeleteNamespaceResponse:
        """Forgets a namespace."""
        await self._namespaces.delete(request)
        return pb.DeleteNamespaceResponse(code="success", is_success=True, request_id=_request_id())

    async def CreateRepository(
        self, request: pb.CreateRepositoryRequest, context: object
    ) -> pb.CreateRepositoryResponse:
        """Makes a repository known."""
        repo_id = await self._repositories.create(request)
        return pb.CreateRepositoryResponse(
            code="success", is_success=True, request_id=_request_id(), repo_id=repo_id
        )

    async def GetRepository(self, request: pb.GetRepositoryRequest, context: object) -> pb.GetRepositoryResponse:
        """Returns a repository."""
        return await self._repositories.get(request, _request_id())

    async def ListRepository(
        self, request: pb.ListRepositoryRequest, context: object
    ) -> pb.ListRepositoryResponse:
        """Lists repositories."""
        return await self._repositories.list_page(request, _request_id())

    async def UpdateRepository(
        self, request: pb.UpdateRepositoryRequest, context: object
    ) -> pb.UpdateRepositoryResponse:
        """Writes down anew what is said of a repository."""
        await self._repositories.update(request)
        return pb.UpdateRepositoryResponse(code="success", is_success=True, request_id=_request_id())

    async def DeleteRepository(
        self, request: pb.DeleteRepositoryRequest, context: object
    ) -> pb.DeleteRepositoryResponse:
        """Refuses."""
        await self._repositories.find(request)
        _refuse_writing("delete the repository")

    async def ListRepoTag(self, request: pb.ListRepoTagRequest, context: object) -> pb.ListRepoTagResponse:
        """Lists tags."""
        return await self._tags.list_page(request, _request_id())

    async def GetRepoTag(self, request: pb.GetRepoTagRequest, context: object) -> pb.GetRepoTagResponse:
        """Returns a tag."""
        return await self._tags.get(request, _request_id())

    async def CreateRepoTag(self, request: pb.CreateRepoTagRequest, context: object) -> pb.CreateRepoTagResponse:
        """Refuses."""
        await self._rules.get_instance(required("instance_id", request.instance_id))
        _refuse_writing("write the tag")

    async def DeleteRepoTag(self, request: pb.DeleteRepoTagRequest, context: object) -> pb.DeleteRepoTagResponse:
        """Refuses."""
        await self._rules.get_instance(required("instance_id", request.instance_id))
        _refuse_writing("delete the tag")


def _refuse_writing(what: str) -> NoReturn:
    raise ServiceError(
        Kind.FAILED_PRECONDITION,
        "REGISTRY_NOT_WRITTEN_TO",
        f"Drydock does not {what}: it changes nothing in registries by this door.",
        hint="Do it in the registry; with sync on, Drydock follows.",
    )


def _request_id() -> str:
    return current().upper()
