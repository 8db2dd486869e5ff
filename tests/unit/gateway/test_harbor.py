"""The scanner adapter over real HTTP: what it refuses, and what it answers while a scan goes on."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from services.gateway.api import KeyScope, Role
from services.gateway.audit import AuditLog
from services.gateway.editions import Editions
from services.gateway.harbor.adapter import HarborAdapter
from services.gateway.harbor.registries import Registries
from services.gateway.harbor.requests import MAX_BODY_BYTES
from services.gateway.http import http_app
from services.gateway.webhooks.door import WebhookDoor
from services.gateway.webhooks.rate import InstanceRates
from services.kernel.errors import Kind, ServiceError
from services.kernel.ids import RandomIds
from services.kernel.model.access import RegistryAccess
from services.kernel.model.report import Coverage
from services.kernel.webserver import serve_http
from services.rules.api import Edition, InstanceChange, NewInstance
from services.rules.application import Rules
from services.rules.engines.api import Part, PartHealth, ScannerReport
from services.scanner.api import ImageQuery, State, Task
from tests.builders.acr import acr_door
from tests.builders.edge import real_rules
from tests.builders.gateway import INSTANCE_ID, KeyRing, key_ring
from tests.builders.reports import a_report
from tests.databases import migrated_pool
from tests.fakes.scanner import DIGEST, FakeScanner, a_task
from tests.harbor import Answer, Image, JobService, basic, conforms

LISTED = {"https://harbor.example.com": "lab", "http://core:8080/": "lab", "https://other.example:8443": "gone"}
SCAN_TYPE = "application/vnd.scanner.adapter.scan.request+json; version=1.1"
VULNERABILITIES = {"Accept": "application/vnd.security.vulnerability.report; version=1.1"}
SBOM = {"Accept": "application/vnd.security.sbom.report+json; version=1.0"}


class Busy(FakeScanner):
    """A scanner that may be away."""

    away: Exception | None = None
    refusal: ServiceError | None = None

    async def create_task(self, image: ImageQuery, **options: Any) -> Task:
        if self.refusal is not None:
            raise self.refusal
        return await super().create_task(image, **options)

    async def get_task(self, task_id: str) -> Task:
        if self.away is not None:
            raise self.away
        return await super().get_task(task_id)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    scanner: Busy
    rules: Rules
    instance_id: str
    ring: KeyRing
    harbor: JobService

    async def post(self, body: object, content_type: str = SCAN_TYPE) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.harbor.ask("POST", "/scan", raw, {"Content-Type": content_type})

    async def report(self, headers: dict[str, str] = VULNERABILITIES, query: str = "", **changes: Any) -> Answer:
        """Asks for the report of a task that stands so."""
        self.scanner.task = a_task(instance_id=self.instance_id, tag="", **changes)
        return await self.harbor.ask("GET", f"/scan/{self.scanner.task.task_id}/report{query}", None, headers)


@pytest.fixture
async def door(database: str) -> AsyncIterator[Door]:
    async with migrated_pool(database, ("gateway", "services.gateway"), ("rules", "services.rules")) as pool:
        ring, scanner = key_ring(pool), Busy()
        rules = real_rules(pool, ring.clock)
        new = NewInstance(name="lab", address="harbor.example.com", default_rule=False)
        instance = await rules.create_instance(new)
        editions = Editions(rules, ring.clock)
        adapter = HarborAdapter(
            checker=ring.checker,
            editions=editions,
            rules=rules,
            scanner=scanner,
            registries=Registries(LISTED),
            audit=AuditLog(pool, ring.store, rules, ring.clock),
            clock=ring.clock,
            deadline_seconds=5.0,
        )
        webhooks = WebhookDoor(
            checker=ring.checker,
            editions=editions,
            rates=InstanceRates(ring.clock, 1.0),
            publisher=None,  # type: ignore[arg-type]  # nobody sends webhooks here
            deadline_seconds=1.0,
        )
        issued = await ring.keys.create_key(name="harbor", role=Role.CLIENT)
        app = http_app(acr=acr_door(ring), webhooks=webhooks, ids=RandomIds(), parts=[adapter])
        async with serve_http(app, "127.0.0.1:0") as address:
            bearer = {"Authorization": f"Bearer {issued.token}"}
            yield Door(
                scanner=scanner,
                rules=rules,
                instance_id=instance.instance_id,
                ring=ring,
                harbor=JobService(f"http://{address}/harbor/api/v1", bearer),
            )


def a_request(**changes: object) -> dict[str, object]:
    """A scan request; `registry__url=…` changes the part."""
    body: dict[str, Any] = {
        "registry": {"url": "https://harbor.example.com", "authorization": basic("robot$x", "s3cret:with:colons")},
        "artifact": {"repository": "library/app", "digest": DIGEST, "mime_type": IMAGE.manifest},
    }
    for path, value in changes.items():
        part, _, name = path.rpartition("__")
        (body[part] if part else body)[name] = value
    return body


IMAGE = Image(registry="https://harbor.example.com", repository="library/app", digest=DIGEST)


async def test_a_scan_request_becomes_a_task_with_the_robots_access(door: Door) -> None:
    image = dataclasses.replace(IMAGE, authorization=basic("robot$x", "s3cret:with:colons"))
    for kind in ("vulnerability", "sbom"):
        answer = await door.harbor.submit(image, kind)
        assert answer.status == 202
        assert answer.headers["content-type"] == "application/vnd.scanner.adapter.scan.response+json; version=1.0"
        assert conforms("ScanResponse", answer.body) == {"id": a_task().task_id}

    query, engine = door.scanner.created[0]
    assert query == ImageQuery(
        instance=door.instance_id, namespace="library", repository="app", tag="", digest=DIGEST
    )
    assert engine is None
    access = door.scanner.lent[0]
    assert access is not None
    assert (access.address, access.plain_http, access.username) == ("harbor.example.com", False, "robot$x")
    assert access.password.get_secret_value() == "s3cret:with:colons"


@pytest.mark.parametrize(
    ("url", "address", "plain"),
    [
        ("https://harbor.example.com", "harbor.example.com", False),
        ("https://harbor.example.com/", "harbor.example.com", False),
        ("https://HARBOR.example.com:443", "harbor.example.com", False),
        ("http://core:8080", "core:8080", True),
    ],
)
async def test_a_registry_on_the_list_is_known_by_any_spelling(
    door: Door, url: str, address: str, plain: bool
) -> None:
    assert (await door.post(a_request(registry__url=url, registry__authorization=""))).status == 202
    assert door.scanner.lent == [RegistryAccess(address=address, plain_http=plain)]


@pytest.mark.parametrize(
    "url",
    [
        "http://harbor.example.com",
        "https://core:8080",
        "https://harbor.example.com:8443",
        "https://harbor.example.com.evil.example",
        "http://169.254.169.254",
        "https://127.0.0.1:7080",
    ],
)
async def test_a_registry_that_is_not_on_the_list_is_never_asked(door: Door, url: str) -> None:
    answer = await door.post(a_request(registry__url=url))
    assert answer.status == 422
    assert "REGISTRY_NOT_ALLOWED" in answer.message
    assert "DRYDOCK_GATEWAY_HARBOR_REGISTRIES" in answer.message
    assert not door.scanner.created


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"registry__url": ""}, 422, "INVALID_REGISTRY_URL"),
        ({"registry__url": "core:8080"}, 422, "INVALID_REGISTRY_URL"),
        ({"registry__url": "https://a:b@harbor.example.com"}, 422, "INVALID_REGISTRY_URL"),
        ({"registry__url": "https://harbor.example.com/v2/../x"}, 422, "INVALID_REGISTRY_URL"),
        ({"registry__url": "https://harbor.example.com:99999"}, 422, "INVALID_REGISTRY_URL"),
        ({"registry__url": "https://[::1"}, 422, "INVALID_REGISTRY_URL"),
        ({"artifact__repository": ""}, 422, "INVALID_REFERENCE"),
        ({"artifact__repository": "../../etc"}, 422, "INVALID_REFERENCE"),
        ({"artifact__digest": ""}, 422, "INVALID_DIGEST"),
        ({"artifact__digest": "latest"}, 422, "INVALID_DIGEST"),
        ({"artifact__mime_type": "application/vnd.oci.image.index.v1+json"}, 501, "ARTIFACT_NOT_SUPPORTED"),
        ({"enabled_capabilities": [{"type": "licence"}]}, 422, "INVALID_CAPABILITY"),
        (
            {"enabled_capabilities": [{"type": "sbom", "produces_mime_types": ["text/plain"]}]},
            501,
            "CAPABILITY_NOT_SUPPORTED",
        ),
        (
            {"enabled_capabilities": [{"type": "sbom", "parameters": {"sbom_media_types": ["text/spdx"]}}]},
            422,
            "INVALID_SBOM_FORM",
        ),
        ({"registry": None}, 400, "INVALID_JSON"),
        ({"artifact__digest": 7}, 400, "INVALID_JSON"),
    ],
)
async def test_a_wrong_request_is_refused_as_the_api_documents(
    door: Door, changes: dict[str, object], status: int, reason: str
) -> None:
    answer = await door.post(a_request(**changes))
    assert answer.status == status
    assert answer.headers["content-type"] == "application/vnd.scanner.adapter.error+json; version=1.0"
    assert f"({reason})" in answer.message
    assert not door.scanner.created


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", SCAN_TYPE, 400),
        (b"\xff\xfe", SCAN_TYPE, 400),
        (b"[]", SCAN_TYPE, 400),
        (b"{}", SCAN_TYPE, 400),
        (b"{}", "text/xml", 415),
        (b"{}", SCAN_TYPE.replace("1.1", "2.0"), 415),
        (b" " * (MAX_BODY_BYTES + 1), SCAN_TYPE, 413),
    ],
)
async def test_what_is_no_request_is_refused(door: Door, body: bytes, content_type: str, status: int) -> None:
    answer = await door.post(body, content_type)
    assert answer.status == status, answer.content
    assert answer.message


@pytest.mark.parametrize(
    "authorization",
    [
        "s3cret",
        "Basic s3cret!",
        f"Basic {base64.b64encode(b's3cret').decode()}",
        f"Basic {base64.b64encode(b':s3cret').decode()}",
        "Digest s3cret",
        "Bearer ",
        "Bearer s3cret\r\nX-Evil: 1",
        "Bearer " + "s3cret" * 6000,
    ],
)
async def test_an_authorization_that_is_none_is_refused_and_never_shown(door: Door, authorization: str) -> None:
    with capture_logs() as logs:
        answer = await door.post(a_request(registry__authorization=authorization))
    assert answer.status == 422
    assert "(INVALID_AUTHORIZATION)" in answer.message
    assert "s3cret" not in answer.message + repr(logs)
    assert not door.scanner.created


async def test_a_scan_and_a_refused_one_are_in_the_audit_log_without_the_robot(door: Door) -> None:
    await door.post(a_request())
    door.scanner.refusal = ServiceError(Kind.FAILED_PRECONDITION, "ENGINE_NOT_READY", "No.")
    await door.post(a_request())

    log = AuditLog(door.ring.pool, door.ring.store, door.rules, door.ring.clock)
    records = (await log.list_records()).items
    assert [(each.action, each.outcome) for each in records] == [
        ("Harbor/Scan", "ENGINE_NOT_READY"),
        ("Harbor/Scan", "OK"),
    ]
    assert {(each.actor, each.instance) for each in records} == {("harbor", door.instance_id)}
    assert set(records[0].subject) == {"namespace", "repository", "digest"}


async def test_a_key_of_a_namespace_is_refused_whatever_it_says_that_an_image_is_of(door: Door) -> None:
    scopes = [KeyScope(instance=INSTANCE_ID, namespaces=("team",))]
    limited = await door.ring.keys.create_key(name="team", role=Role.CLIENT, scopes=scopes)
    theirs = dataclasses.replace(
        door, harbor=JobService(door.harbor.url, {"Authorization": f"Bearer {limited.token}"})
    )

    answers = [await theirs.post(a_request()), await theirs.report(state=State.COMPLETE)]

    assert [answer.status for answer in answers] == [403, 403]
    assert not door.scanner.created


async def test_a_registry_whose_instance_may_not_be_scanned_is_refused(door: Door) -> None:
    answer = await door.post(a_request(registry__url="https://other.example:8443"))
    assert (answer.status, "INSTANCE_NOT_EXIST" in answer.message) == (404, True)
    await door.rules.update_instance("lab", InstanceChange(edition=Edition.PERSONAL))
    answer = await door.post(a_request())
    assert (answer.status, "EDITION_NOT_SUPPORTED" in answer.message) == (412, True)
    assert not door.scanner.created


@pytest.mark.parametrize("state", [State.PENDING, State.RUNNING, State.RETRYING])
async def test_while_a_scan_goes_on_harbor_is_told_when_to_ask_again(door: Door, state: State) -> None:
    refreshes = []
    for seconds in (0, 20, 45, 100_000):
        created_at = door.ring.clock.now() - timedelta(seconds=seconds)
        answer = await door.report(state=state, coverage=None, ended_at=None, created_at=created_at)
        assert (answer.status, answer.content) == (302, b"")
        assert answer.headers["location"].endswith(f"/scan/{a_task().task_id}/report")
        refreshes.append(int(answer.headers["refresh-after"]))
    assert refreshes == [1, 2, 4, 30]


async def test_a_scan_that_failed_or_judged_nothing_is_never_a_report(door: Door) -> None:
    failed: dict[str, Any] = {"state": State.FAILED, "reason": "LAYER_CORRUPT", "message": "A layer is broken."}
    answer = await door.report(coverage=None, **failed)
    assert answer.status == 500
    assert answer.message == f"The scan of {DIGEST} failed. A layer is broken. (LAYER_CORRUPT)"
    answer = await door.report(SBOM, "?sbom_media_type=application/spdx%2Bjson", coverage=None, **failed)
    assert answer.status == 500

    nothing: dict[str, Any] = {"coverage": Coverage.NONE, "reason": "NO_ADVISORIES", "message": "None speaks."}
    door.scanner.reported = msgspec.json.encode(a_report((), coverage=Coverage.NONE))
    answer = await door.report(**nothing)
    assert answer.status == 500
    assert "could be judged" in answer.message
    assert "(NO_ADVISORIES)" in answer.message
    # What the image consists of is known all the same.
    answer = await door.report(SBOM, "?sbom_media_type=application/spdx%2Bjson", **nothing)
    assert answer.status == 200
    assert conforms("HarborSbomReport", answer.body)["vendor_attributes"]["coverage"] == "NONE"


async def test_an_image_of_which_no_package_was_read_has_no_sbom(door: Door) -> None:
    door.scanner.reported = msgspec.json.encode(a_report((), packages=(), coverage=Coverage.NONE))
    nothing: dict[str, Any] = {"coverage": Coverage.NONE, "reason": "NO_PACKAGES", "message": "None were found."}
    answer = await door.report(SBOM, "?sbom_media_type=application/spdx%2Bjson", **nothing)
    assert (answer.status, "(NO_PACKAGES)" in answer.message) == (500, True)


@pytest.mark.parametrize(
    ("refusal", "status", "seconds"),
    [
        (ServiceError(Kind.RESOURCE_EXHAUSTED, "RATE_EXCEEDED", "Too often.", retry_after=3.2), 429, "4"),
        (ServiceError(Kind.UNAVAILABLE, "PEER_UNAVAILABLE", "It is away.", retry_after=7.0), 503, "7"),
        (ServiceError(Kind.UNAVAILABLE, "REGISTRY_UNREACHABLE", "It is away."), 503, "2"),
        (ServiceError(Kind.DEADLINE_EXCEEDED, "PEER_TOO_SLOW", "It is slow."), 503, "2"),
    ],
)
async def test_what_passes_says_when_to_come_back(
    door: Door, refusal: ServiceError, status: int, seconds: str
) -> None:
    door.scanner.refusal = refusal
    answer = await door.post(a_request())
    assert (answer.status, answer.headers["retry-after"]) == (status, seconds)


@pytest.mark.parametrize(
    "away",
    [
        ServiceError(Kind.UNAVAILABLE, "PEER_UNAVAILABLE", "The scanner is away."),
        ServiceError(Kind.DEADLINE_EXCEEDED, "PEER_TOO_SLOW", "The scanner is slow."),
        ConnectionRefusedError(),
    ],
)
async def test_an_outage_is_not_yet_and_ends_no_scan_of_harbors(door: Door, away: Exception) -> None:
    door.scanner.away = away
    answer = await door.report()
    assert (answer.status, answer.headers["refresh-after"]) == (302, "5")


async def test_a_fault_of_ours_is_an_error_without_details(door: Door) -> None:
    door.scanner.away = RuntimeError("s3cret detail")
    answer = await door.report()
    assert answer.status == 500
    assert "s3cret" not in answer.message


@pytest.mark.parametrize(
    ("accept", "query", "status"),
    [
        (None, "", 200),
        ("*/*", "", 200),
        ("application/vnd.security.vulnerability.report;version=1.1", "", 200),
        ("text/html, Application/vnd.security.vulnerability.report; version=1.1;q=0.9", "", 200),
        ("application/vnd.scanner.adapter.vuln.report.raw", "", 501),
        ("application/vnd.security.vulnerability.report; version=9", "", 501),
        (SBOM["Accept"], "", 400),
        (SBOM["Accept"], "?sbom_media_type=text%2Fspdx", 400),
        (SBOM["Accept"], "?sbom_media_type=application%2Fspdx%2Bjson", 200),
        (SBOM["Accept"], "?sbom_media_type=application%2Fvnd.cyclonedx%2Bjson", 200),
    ],
)
async def test_a_report_has_the_type_that_was_asked_for(
    door: Door, accept: str | None, query: str, status: int
) -> None:
    door.scanner.reported = msgspec.json.encode(a_report())
    answer = await door.report({"Accept": accept} if accept else {}, query)
    assert answer.status == status, answer.content
    if status != 200:
        assert answer.message


async def test_an_unknown_scan_is_not_found(door: Door) -> None:
    for scan_id in ("3fa85f64-5717-4562-b3fc-2c963f66afa6", "x", "%00"):
        answer = await door.harbor.report(scan_id)
        assert answer.status == 404
        assert answer.message


async def test_metadata_has_the_version_that_was_asked_for(door: Door) -> None:
    for version in ("1.0", "1.1"):
        media_type = f"application/vnd.scanner.adapter.metadata+json; version={version}"
        answer = await door.harbor.ask("GET", "/metadata", None, {"Accept": media_type})
        assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    said = await door.harbor.metadata()
    forms = said["capabilities"][1]["additional_attributes"]["sbom_media_types"]
    assert forms == ["application/spdx+json", "application/vnd.cyclonedx+json"]


async def test_metadata_tells_of_when_the_oldest_advisories_are(door: Door) -> None:
    updated = "harbor.scanner-adapter/vulnerability-database-updated-at"
    assert updated not in (await door.harbor.metadata())["properties"]
    for node, day in (("one", 3), ("two", 2)):
        part = PartHealth(part=Part.ADVISORIES, ready=True, database_at=datetime(2026, 11, day, 4, 5, tzinfo=UTC))
        await door.rules.report_scanner(ScannerReport(node_id=node, valid_seconds=60, parts=(part,)))
    assert (await door.harbor.metadata())["properties"][updated] == "2026-11-02T04:05:00Z"
