"""The scanner adapter: `GET /metadata`, `POST /scan` and `GET /scan/{id}/report` below `/harbor/api/v1`.

A scan request is a task of Drydock's, on the instance that the operator's list names for the registry, and its id
is the task's. Why it is so: `docs/decisions/0038-harbor-adapter.md`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from types import MappingProxyType

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.formats.identity import Json
from services.gateway.api import Act
from services.gateway.audit import AuditLog
from services.gateway.auth import authorize
from services.gateway.editions import Editions
from services.gateway.harbor import media
from services.gateway.harbor.caller import token_of
from services.gateway.harbor.errors import to_error
from services.gateway.harbor.metadata import metadata
from services.gateway.harbor.registries import Registries
from services.gateway.harbor.reports import to_sbom_report, to_vulnerability_report
from services.gateway.harbor.requests import access_by, read_scan_request
from services.gateway.permissions import HARBOR
from services.gateway.tokens import TokenChecker
from services.kernel.clock import Clock
from services.kernel.db import is_outage
from services.kernel.errors import Kind, ServiceError, invalid, not_found
from services.kernel.model.report import Coverage, Report
from services.kernel.rpc import call_context, request_id
from services.rules.api import RulesApi
from services.scanner.api import ImageQuery, ScannerApi, State, Task

log = structlog.get_logger()

Endpoint = Callable[[Request], Awaitable[Response]]
Guarded = Callable[[Endpoint, Callable[[ServiceError, Request, str], Response]], Endpoint]
"""Wraps an endpoint so that its failures become answers."""
Write = Callable[[Task, Report], Json]
_PASSING = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED, Kind.RESOURCE_EXHAUSTED})
_OUTAGE_SECONDS = 5
_LONGEST_SECONDS = 30
"""Harbor reads Refresh-After as a number of eight bits."""
_SHARE = 0.1
"""Of the time that a scan has waited: so much longer it takes at most until Harbor knows of its end."""


class HarborAdapter:
    """Holds Harbor's side of the conversation to Drydock's rules."""

    def __init__(
        self,
        *,
        checker: TokenChecker,
        editions: Editions,
        rules: RulesApi,
        scanner: ScannerApi,
        registries: Registries,
        audit: AuditLog,
        clock: Clock,
        deadline_seconds: float,
    ) -> None:
        self._checker = checker
        self._editions = editions
        self._rules = rules
        self._scanner = scanner
        self._registries = registries
        self._audit = audit
        self._clock = clock
        self._deadline_seconds = deadline_seconds

    def routes(self, guarded: Guarded) -> list[Route]:
        """Returns the routes; what goes wrong on one is written as Harbor's API has it."""
        calls = (
            ("GET", "metadata", self.metadata),
            ("POST", "scan", self.scan),
            ("GET", "scan/{scan_request_id}/report", self.report),
        )
        return [
            Route(f"{HARBOR}{path}", guarded(answer, to_error), methods=[word]) for word, path, answer in calls
        ]

    async def metadata(self, request: Request) -> Response:
        """Tells what we can do."""
        async with _within(self._deadline_seconds):
            await self._admit(request, "metadata")
            said = metadata(await self._database_at())
        newer = media.accepts(request.headers.get("accept", ""), media.METADATA)
        return _answer(said, media.METADATA if newer else media.METADATA_1_0)

    async def scan(self, request: Request) -> Response:
        """Saves a task, and answers 202 with its id.

        Raises:
            ServiceError: what is wrong with the call; REGISTRY_NOT_ALLOWED; what `create_task` raises.
        """
        async with _within(self._deadline_seconds):
            await self._admit(request, "scan")
            wanted = await read_scan_request(request)
            registry = self._registries.find(wanted.registry_url)
            access = access_by(registry, wanted.authorization)
            instance = await self._editions.enterprise(registry.instance)
            name = wanted.name
            image = ImageQuery(
                instance=instance.instance_id,
                namespace=name.namespace,
                repository=name.name,
                digest=wanted.digest,
            )
            async with self._audit.noted(_act(image)):
                task = await self._scanner.create_task(image, access=access)
        log.info("harbor.scan_accepted", task_id=task.task_id, instance_id=task.instance_id, digest=task.digest)
        return _answer({"id": task.task_id}, media.SCAN_RESPONSE, 202)

    async def report(self, request: Request) -> Response:
        """Answers with the report, or 302 and Refresh-After while there is none.

        What passes by itself, a database that is away among it, is "not yet": any other answer ends Harbor's scan.

        Raises:
            ServiceError: the reason of a scan that failed, or that could judge or read nothing;
                SCAN_TASK_NOT_EXIST, REPORT_NOT_SUPPORTED, INVALID_SBOM_MEDIA_TYPE.
        """
        try:
            async with _within(self._deadline_seconds):
                return await self._report(request)
        except ServiceError as error:
            if error.kind not in _PASSING:
                raise
            log.warning("harbor.report_later", reason=error.reason)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("harbor.report_later", error=type(error).__name__)
        return _later(request, _OUTAGE_SECONDS)

    async def _report(self, request: Request) -> Response:
        await self._admit(request, "report")
        write, media_type = _asked_for(request)
        task = await self._scanner.get_task(str(request.path_params["scan_request_id"]))
        if not isinstance(task, Task):
            raise not_found("SCAN_TASK_NOT_EXIST", "There is no scan request of that id.")
        await self._editions.enterprise(task.instance_id)
        if not task.state.ended:
            waited = (self._clock.now() - task.created_at).total_seconds()
            return _later(request, max(1, min(round(waited * _SHARE), _LONGEST_SECONDS)))
        if task.state is State.FAILED:
            raise _failed(task)
        if task.coverage is Coverage.NONE and media_type == media.VULNERABILITIES:
            # A list without items would say "clean".
            raise _nothing_judged(task)
        content = await self._scanner.report(ImageQuery(instance=task.instance_id, task_id=task.task_id))
        body = await asyncio.to_thread(_written, write, task, content, media_type)
        return Response(body, 200, media_type=media_type)

    async def _database_at(self) -> datetime | None:
        """Of when the advisories are that the listed instances are judged by: the oldest ones'.

        What cannot be asked is left out: a scanner without metadata is one that Harbor takes for broken.
        """
        moments = []
        for instance in self._registries.instances:
            try:
                moments.append((await self._rules.engine_status(instance)).database_at)
            except ServiceError as error:
                log.info("harbor.database_unknown", instance=instance, reason=error.reason)
        return min((moment for moment in moments if moment is not None), default=None)

    async def _admit(self, request: Request, call: str) -> None:
        authorize(await self._checker.check(token_of(request)), HARBOR + call)


def _act(image: ImageQuery) -> Act:
    subject = {"namespace": image.namespace, "repository": image.repository, "digest": image.digest or ""}
    return Act(
        actor=call_context.actor(),
        action="Harbor/Scan",
        instance=image.instance,
        subject=MappingProxyType(subject),
        request_id=request_id.current(),
    )


def _asked_for(request: Request) -> tuple[Write, str]:
    """Returns how the report is to be written, and its media type.

    Raises:
        ServiceError: REPORT_NOT_SUPPORTED, INVALID_SBOM_MEDIA_TYPE.
    """
    accept = request.headers.get("accept", "")
    if media.accepts(accept, media.VULNERABILITIES):
        return to_vulnerability_report, media.VULNERABILITIES
    if not media.accepts(accept, media.SBOM):
        raise invalid(
            "REPORT_NOT_SUPPORTED",
            f"There is no report of the type {accept[:120]!r}.",
            hint=f"Accept {media.VULNERABILITIES} or {media.SBOM}.",
        )
    form = request.query_params.get("sbom_media_type", "")
    if form not in media.SBOM_FORMS:
        raise invalid(
            "INVALID_SBOM_MEDIA_TYPE",
            f"{form[:120]!r} is no form of an SBOM here.",
            field="sbom_media_type",
            hint=f"It is one of {', '.join(media.SBOM_FORMS)}.",
        )
    return lambda task, report: to_sbom_report(task, report, form), media.SBOM


def _written(write: Write, task: Task, content: bytes, media_type: str) -> bytes:
    report = msgspec.json.decode(content, type=Report)
    if media_type == media.SBOM and not report.inventory.packages:
        # A document without components would say that the image has none.
        raise _nothing_judged(task)
    return msgspec.json.encode(write(task, report))


def _answer(body: Json, media_type: str, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=media_type)


def _later(request: Request, seconds: int) -> Response:
    """Asks to be asked again. Harbor does not follow Location, but older ones take no 302 without it."""
    query = f"?{request.url.query}" if request.url.query else ""
    return Response(status_code=302, headers={"Refresh-After": str(seconds), "Location": request.url.path + query})


def _failed(task: Task) -> ServiceError:
    return ServiceError(Kind.INTERNAL, task.reason, f"The scan of {task.digest} failed. {task.message}")


def _nothing_judged(task: Task) -> ServiceError:
    return ServiceError(
        Kind.INTERNAL,
        task.reason or "NOTHING_JUDGED",
        f"Nothing in {task.digest} could be judged, so there is no report of it. {task.message}".strip(),
        hint="`drydock report` shows what was read.",
    )


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            yield
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise ServiceError(
            Kind.UNAVAILABLE,
            "TOO_SLOW",
            f"That could not be answered within {seconds:g} seconds.",
            hint="Try again.",
            retry_after=_OUTAGE_SECONDS,
        ) from error
