"""Repositories: those that were seen or made known, with what was said of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.catalog.store import NoteStore, RepositoryNote
from services.gateway.acr.requests import Window, from_page, missing, required
from services.gateway.acr.translate import to_milliseconds
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.model.page import decode_token, encode_token
from services.rules.api import Repository, RulesApi

_CHUNK = 1000
_NORMAL = "NORMAL"
_TYPES = ("PUBLIC", "PRIVATE")
_LONGEST_TEXT = 20_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A part of a list, by page or by token."""

    begin: int
    end: int
    next_token: str


def cut(window: Window, max_results: int, token: str, keys: Sequence[tuple[str, ...]], *question: object) -> Cut:
    """Says which part of a sorted list is wanted: `max_results` and `token`, where given, win over the page.

    Raises:
        ServiceError: INVALID_PAGE_TOKEN, INVALID_PAGE.
    """
    if max_results < 0:
        raise invalid("INVALID_PAGE", "The field max_results cannot be negative.", field="max_results")
    if not max_results and not token:
        return Cut(begin=window.begin, end=window.begin + window.size, next_token="")
    size = min(max_results, 100) or window.size
    after = decode_token(token, *question, length=len(keys[0]) if keys else None)
    begin = sum(1 for key in keys if key <= after) if after is not None else 0
    end = begin + size
    more = encode_token(keys[end - 1], *question) if end < len(keys) else ""
    return Cut(begin=begin, end=end, next_token=more)


class Shelf:
    """All repositories of an instance: the lists of the reference count, ours go on by tokens."""

    def __init__(self, rules: RulesApi) -> None:
        self._rules = rules

    async def all(self, instance_id: str, namespace: str = "") -> list[Repository]:
        """Returns every repository, by namespace and name."""
        found: list[Repository] = []
        token = ""
        while True:
            page = await self._rules.list_repositories(
                instance_id, namespace=namespace, page_size=_CHUNK, page_token=token
            )
            found += page.items
            token = page.next_token
            if not token:
                return found


class RepositoryActions:
    """Repositories in the reference's words."""

    def __init__(self, *, pool: Pool, notes: NoteStore, rules: RulesApi, shelf: Shelf, clock: Clock) -> None:
        self._pool = pool
        self._notes = notes
        self._rules = rules
        self._shelf = shelf
        self._clock = clock

    async def create(self, request: pb.CreateRepositoryRequest) -> str:
        """Makes a repository known, and returns its id.

        Raises:
            ServiceError: REPO_ALREADY_EXIST when it is known.
        """
        instance = await self._instance(request.instance_id)
        refuse_immutability(wanted=request.tag_immutability)
        namespace = required("repo_namespace_name", request.repo_namespace_name)
        name = required("repo_name", request.repo_name)
        note = self._said(request)
        try:
            await self._rules.find_repository(instance, namespace, name)
        except ServiceError as error:
            if error.reason != "REPO_NOT_EXIST":
                raise
        else:
            raise ServiceError(
                Kind.ALREADY_EXISTS, "REPO_ALREADY_EXIST", f"There is already a repository {namespace}/{name}."
            )
        repository = await self._rules.see_repository(instance, namespace, name)
        async with self._pool.acquire() as conn:
            await self._notes.put_repository(conn, repository.repo_id, note)
        return repository.repo_id

    async def find(
        self, request: pb.GetRepositoryRequest | pb.UpdateRepositoryRequest | pb.DeleteRepositoryRequest
    ) -> Repository:
        """Returns a repository by its id, or by its names."""
        instance = await self._instance(request.instance_id)
        if request.repo_id:
            return await self._rules.get_repository(instance, request.repo_id)
        if not request.repo_namespace_name or not request.repo_name:
            raise missing(
                "repo_id",
                "The field repo_id is missing.",
                hint="Send repo_id, or repo_namespace_name and repo_name.",
            )
        return await self._rules.find_repository(instance, request.repo_namespace_name, request.repo_name)

    async def get(self, request: pb.GetRepositoryRequest, request_id: str) -> pb.GetRepositoryResponse:
        """Returns a repository."""
        repository = await self.find(request)
        async with self._pool.acquire() as conn:
            notes = await self._notes.repositories(conn, [repository.repo_id])
        note = notes.get(repository.repo_id, RepositoryNote())
        return pb.GetRepositoryResponse(
            code="success",
            is_success=True,
            request_id=request_id,
            instance_id=repository.instance_id,
            repo_id=repository.repo_id,
            repo_namespace_name=repository.namespace,
            repo_name=repository.name,
            repo_type=note.repo_type,
            repo_status=_NORMAL,
            repo_build_type="MANUAL",
            summary=note.summary,
            detail=note.detail,
            create_time=to_milliseconds(repository.created_at),
            modified_time=to_milliseconds(note.modified_at or repository.created_at),
        )

    async def list_page(self, request: pb.ListRepositoryRequest, request_id: str) -> pb.ListRepositoryResponse:
        """Lists a part of the repositories, by namespace and name."""
        window = from_page(request.page_no, request.page_size)
        instance = await self._instance(request.instance_id)
        known = []
        if request.repo_status in ("", "ALL", _NORMAL):
            known = await self._shelf.all(instance, request.repo_namespace_name)
        wanted = [each for each in known if request.repo_name in each.name]
        keys = [(each.namespace, each.name) for each in wanted]
        question = ("acr.repositories", instance, request.repo_namespace_name, request.repo_name)
        part = cut(window, request.max_results, request.next_token, keys, *question)
        page = wanted[part.begin : part.end]
        async with self._pool.acquire() as conn:
            notes = await self._notes.repositories(conn, [each.repo_id for each in page])
        return pb.ListRepositoryResponse(
            code="success",
            is_success=True,
            request_id=request_id,
            page_no=window.number,
            page_size=window.size,
            max_results=request.max_results,
            next_token=part.next_token,
            total_count=str(len(wanted)),
            repositories=[_to_item(each, notes.get(each.repo_id, RepositoryNote())) for each in page],
        )

    async def update(self, request: pb.UpdateRepositoryRequest) -> None:
        """Writes down anew what is said of a repository."""
        repository = await self.find(request)
        refuse_immutability(wanted=request.tag_immutability)
        note = self._said(request)
        async with self._pool.acquire() as conn:
            await self._notes.put_repository(conn, repository.repo_id, note)

    async def _instance(self, instance_id: str) -> str:
        """Returns the instance's id. It comes first: whoever may not call about it learns nothing else."""
        return (await self._rules.get_instance(required("instance_id", instance_id))).instance_id

    def _said(self, request: pb.CreateRepositoryRequest | pb.UpdateRepositoryRequest) -> RepositoryNote:
        for field, text in (("summary", request.summary), ("detail", request.detail)):
            if len(text) > _LONGEST_TEXT or "\0" in text:
                raise invalid(f"INVALID_{field.upper()}", f"The field {field} is too long.", field=field)
        return RepositoryNote(
            repo_type=checked_type("repo_type", required("repo_type", request.repo_type)),
            summary=required("summary", request.summary),
            detail=request.detail,
            modified_at=self._clock.now(),
        )


def checked_type(field: str, text: str) -> str:
    """Returns the type of a repository.

    Raises:
        ServiceError: INVALID_REPO_TYPE.
    """
    if text not in _TYPES:
        raise invalid(
            "INVALID_REPO_TYPE", f"{text[:40]!r} is no {field}.", field=field, hint="One of PUBLIC, PRIVATE."
        )
    return text


def refuse_immutability(*, wanted: bool) -> None:
    """Returns when nobody wants tags to stay where they are: who says yes to that must hold it.

    Raises:
        ServiceError: TAG_IMMUTABILITY_NOT_SUPPORTED.
    """
    if wanted:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "TAG_IMMUTABILITY_NOT_SUPPORTED",
            "Drydock cannot keep tags from being moved: only the registry can.",
            hint="Configure it there.",
        )


def _to_item(repository: Repository, note: RepositoryNote) -> pb.RepositoryItem:
    return pb.RepositoryItem(
        instance_id=repository.instance_id,
        repo_id=repository.repo_id,
        repo_namespace_name=repository.namespace,
        repo_name=repository.name,
        repo_type=note.repo_type,
        repo_status=_NORMAL,
        repo_build_type="MANUAL",
        summary=note.summary,
        create_time=to_milliseconds(repository.created_at),
        modified_time=to_milliseconds(note.modified_at or repository.created_at),
    )
