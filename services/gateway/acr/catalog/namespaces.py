"""Namespaces: those that repositories are in, and those that somebody has written down."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from collections.abc import Mapping

from google.protobuf import json_format

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.catalog.repositories import Shelf, checked_type, refuse_immutability
from services.gateway.acr.catalog.store import NamespaceNote, NoteStore
from services.gateway.acr.requests import InReach, from_page, missing, required
from services.gateway.reach.limits import out_of_reach
from services.kernel.db import Pool
from services.kernel.errors import Kind, ServiceError, invalid, not_found
from services.rules.api import RulesApi

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,118})[a-z0-9]")
_NORMAL = "NORMAL"


def namespace_id(instance_id: str, name: str) -> str:
    """Returns `crn-` and 16 characters of [a-z2-7]; the same for the same instance and name, always."""
    digest = hashlib.sha256(f"{instance_id}/{name}/".encode()).digest()
    return "crn-" + base64.b32encode(digest[:10]).decode().lower()


class NamespaceActions:
    """Namespaces in the reference's words."""

    def __init__(self, *, pool: Pool, notes: NoteStore, rules: RulesApi, shelf: Shelf, in_reach: InReach) -> None:
        self._pool = pool
        self._notes = notes
        self._rules = rules
        self._shelf = shelf
        self._in_reach = in_reach

    async def create(self, request: pb.CreateNamespaceRequest) -> None:
        """Writes a namespace down.

        Raises:
            ServiceError: NAMESPACE_ALREADY_EXIST when somebody has before.
        """
        instance = await self._instance(request.instance_id)
        name = required("namespace_name", request.namespace_name)
        if not _NAME.fullmatch(name):
            raise invalid(
                "INVALID_NAMESPACE_NAME",
                f"{name[:80]!r} is no namespace_name.",
                field="namespace_name",
                hint="2 to 120 of [a-z0-9], with _, - and . inside.",
            )
        note = _said(request, NamespaceNote())
        self._check_reach(instance, name)
        async with self._pool.acquire() as conn:
            if not await self._notes.insert_namespace(conn, instance, name, note):
                raise ServiceError(
                    Kind.ALREADY_EXISTS, "NAMESPACE_ALREADY_EXIST", f"There is already a namespace {name!r}."
                )

    async def get(self, request: pb.GetNamespaceRequest, request_id: str) -> pb.GetNamespaceResponse:
        """Returns a namespace by name or id."""
        instance = await self._instance(request.instance_id)
        if not request.namespace_name and not request.namespace_id:
            raise missing(
                "namespace_name", "The field namespace_name is missing.", hint="Send it, or namespace_id."
            )
        if request.namespace_name:
            name, note = request.namespace_name, await self._find(instance, request.namespace_name)
            if request.namespace_id not in ("", namespace_id(instance, name)):
                raise _none(request.namespace_id)
        else:
            known = await self._all(instance)
            found = [each for each in known if namespace_id(instance, each) == request.namespace_id]
            if not found:
                raise _none(request.namespace_id)
            name, note = found[0], known[found[0]]
        return pb.GetNamespaceResponse(
            code="success",
            is_success=True,
            request_id=request_id,
            instance_id=instance,
            namespace_id=namespace_id(instance, name),
            namespace_name=name,
            namespace_status=_NORMAL,
            auto_create_repo=note.auto_create_repo,
            default_repo_type=note.default_repo_type,
            default_repo_configuration=_to_configuration(note),
        )

    async def list_page(self, request: pb.ListNamespaceRequest, request_id: str) -> pb.ListNamespaceResponse:
        """Lists a page of the namespaces, by name."""
        window = from_page(request.page_no, request.page_size)
        instance = await self._instance(request.instance_id)
        known = await self._all(instance) if request.namespace_status in ("", _NORMAL) else {}
        wanted = sorted(name for name in known if request.namespace_name in name)
        return pb.ListNamespaceResponse(
            code="success",
            is_success=True,
            request_id=request_id,
            page_no=window.number,
            page_size=window.size,
            total_count=str(len(wanted)),
            namespaces=[
                pb.NamespaceItem(
                    instance_id=instance,
                    namespace_id=namespace_id(instance, name),
                    namespace_name=name,
                    namespace_status=_NORMAL,
                    auto_create_repo=known[name].auto_create_repo,
                    default_repo_type=known[name].default_repo_type,
                    default_repo_configuration=_to_configuration(known[name]),
                )
                for name in wanted[window.begin : window.begin + window.size]
            ],
        )

    async def update(self, request: pb.UpdateNamespaceRequest) -> None:
        """Writes down anew what is not left out."""
        instance = await self._instance(request.instance_id)
        name = required("namespace_name", request.namespace_name)
        note = _said(request, await self._find(instance, name))
        async with self._pool.acquire() as conn:
            await self._notes.put_namespace(conn, instance, name, note)

    async def delete(self, request: pb.DeleteNamespaceRequest) -> None:
        """Forgets a namespace.

        Raises:
            ServiceError: NAMESPACE_NOT_EXIST; NAMESPACE_NOT_EMPTY while it has repositories.
        """
        instance = await self._instance(request.instance_id)
        name = required("namespace_name", request.namespace_name)
        await self._find(instance, name)
        if await self._has_repositories(instance, name):
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "NAMESPACE_NOT_EMPTY",
                f"The namespace {name[:80]!r} has repositories.",
                hint="Delete them in the registry: what it deletes, sync takes away here.",
            )
        async with self._pool.acquire() as conn:
            await self._notes.delete_namespace(conn, instance, name)

    async def _instance(self, instance_id: str) -> str:
        return (await self._rules.get_instance(required("instance_id", instance_id))).instance_id

    async def _find(self, instance: str, name: str) -> NamespaceNote:
        self._check_reach(instance, name)
        if "\0" in name:  # no text of the database has it
            raise _none(name)
        async with self._pool.acquire() as conn:
            note = (await self._notes.namespaces(conn, instance, [name])).get(name)
        if note is None and not await self._has_repositories(instance, name):
            raise _none(name)
        return note or NamespaceNote()

    async def _has_repositories(self, instance: str, name: str) -> bool:
        return bool((await self._rules.list_repositories(instance, namespace=name, page_size=1)).items)

    async def _all(self, instance: str) -> Mapping[str, NamespaceNote]:
        async with self._pool.acquire() as conn:
            noted = await self._notes.namespaces(conn, instance)
        seen = {each.namespace for each in await self._shelf.all(instance)}
        known = {**{name: NamespaceNote() for name in seen}, **noted}
        return {name: note for name, note in known.items() if self._in_reach(instance, name)}

    def _check_reach(self, instance: str, name: str) -> None:
        if not self._in_reach(instance, name):
            raise out_of_reach(f"the namespace {name[:80]!r}")


def _said(request: pb.CreateNamespaceRequest | pb.UpdateNamespaceRequest, old: NamespaceNote) -> NamespaceNote:
    note = old
    if request.HasField("auto_create_repo"):
        note = dataclasses.replace(note, auto_create_repo=request.auto_create_repo)
    if request.default_repo_type:
        kind = checked_type("default_repo_type", request.default_repo_type)
        note = dataclasses.replace(note, default_repo_type=kind)
    if request.HasField("default_repo_configuration"):
        if request.default_repo_configuration.repo_type:
            checked_type("default_repo_configuration", request.default_repo_configuration.repo_type)
        refuse_immutability(wanted=request.default_repo_configuration.tag_immutability)
        text = json_format.MessageToJson(request.default_repo_configuration, indent=None)
        note = dataclasses.replace(note, default_repo_configuration=text)
    return note


def _to_configuration(note: NamespaceNote) -> pb.RepoConfiguration:
    return json_format.Parse(note.default_repo_configuration, pb.RepoConfiguration(), ignore_unknown_fields=True)


def _none(name: str) -> ServiceError:
    return not_found("NAMESPACE_NOT_EXIST", f"The instance has no namespace {name[:80]!r}.")
