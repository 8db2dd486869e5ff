"""Tags as last seen."""

from __future__ import annotations

from datetime import datetime

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.catalog.repositories import cut
from services.gateway.acr.requests import from_page, required
from services.gateway.acr.translate import to_milliseconds
from services.kernel.errors import not_found
from services.kernel.model.reference import parse_tag
from services.rules.api import Repository, RulesApi
from services.scanner.api import ScannerApi, SeenTag

_CHUNK = 1000
_NORMAL = "NORMAL"


class TagActions:
    """Asks the scanner in the reference's words."""

    def __init__(self, *, rules: RulesApi, scanner: ScannerApi) -> None:
        self._rules = rules
        self._scanner = scanner

    async def get(self, request: pb.GetRepoTagRequest, request_id: str) -> pb.GetRepoTagResponse:
        """Returns a tag.

        Raises:
            ServiceError: TAG_NOT_EXIST when nobody has seen it.
        """
        repository = await self._repository(request)
        tag = parse_tag(required("tag", request.tag))
        found = next((each for each in await self._all(repository) if each.tag == tag), None)
        if found is None:
            raise not_found(
                "TAG_NOT_EXIST",
                f"Nobody has seen a tag {tag!r} of {repository.namespace}/{repository.name}.",
                hint="A push that is told of, or a scan, makes it known.",
            )
        return pb.GetRepoTagResponse(
            code="success",
            is_success=True,
            request_id=request_id,
            tag=found.tag,
            digest=_bare(found.digest),
            image_create=_milliseconds(found.seen_at),
            image_update=_milliseconds(found.seen_at),
            status=_NORMAL,
        )

    async def list_page(self, request: pb.ListRepoTagRequest, request_id: str) -> pb.ListRepoTagResponse:
        """Lists a part of a repository's tags, by name."""
        window = from_page(request.page_no, request.page_size)
        repository = await self._repository(request)
        known = await self._all(repository)
        keys = [(each.tag,) for each in known]
        part = cut(window, request.max_results, request.next_token, keys, "acr.tags", repository.repo_id)
        return pb.ListRepoTagResponse(
            code="success",
            is_success=True,
            request_id=request_id,
            page_no=window.number,
            page_size=window.size,
            max_results=request.max_results,
            next_token=part.next_token,
            total_count=str(len(known)),
            images=map(_to_item, known[part.begin : part.end]),
        )

    async def _repository(self, request: pb.GetRepoTagRequest | pb.ListRepoTagRequest) -> Repository:
        instance = await self._rules.get_instance(required("instance_id", request.instance_id))
        return await self._rules.get_repository(instance.instance_id, required("repo_id", request.repo_id))

    async def _all(self, repository: Repository) -> list[SeenTag]:
        found: list[SeenTag] = []
        token = ""
        while True:
            page = await self._scanner.list_tags(
                instance=repository.instance_id,
                namespace=repository.namespace,
                repository=repository.name,
                page_size=_CHUNK,
                page_token=token,
            )
            found += page.items
            token = page.next_token
            if not token:
                return sorted(found, key=lambda each: each.tag)


def _to_item(tag: SeenTag) -> pb.TagItem:
    moment = str(_milliseconds(tag.seen_at))
    return pb.TagItem(
        tag=tag.tag, digest=_bare(tag.digest), image_create=moment, image_update=moment, status=_NORMAL
    )


def _bare(digest: str) -> str:
    return digest.rpartition(":")[2]


def _milliseconds(moment: datetime | None) -> int:
    return to_milliseconds(moment) if moment is not None else 0
