"""The webhook over real HTTP, onto a real bus: authenticated, bounded, durable before the answer."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog.testing
from prometheus_client import CollectorRegistry

from drydock.events.v1 import image_event_pb2 as pb
from services.gateway.api import Role
from services.gateway.editions import Editions
from services.gateway.http import http_app
from services.gateway.webhooks.convoy import open_convoys
from services.gateway.webhooks.door import MAX_BODY_BYTES, WebhookDoor
from services.gateway.webhooks.publish import EventPublisher, WebhookMetrics
from services.gateway.webhooks.rate import InstanceRates
from services.kernel.bus.postgres import PostgresBus
from services.kernel.errors import Kind, ServiceError
from services.kernel.ids import RandomIds
from services.kernel.wakeup import Wakeups
from services.kernel.webserver import serve_http
from services.rules.api import Edition, Instance, InstanceChange, NewInstance
from services.rules.application import Rules
from tests.builders.acr import acr_door
from tests.builders.edge import real_rules
from tests.builders.gateway import INSTANCE_ID, KeyRing, key_ring
from tests.builders.senders import cloud_event, harbor_push, sent
from tests.databases import migrated_pool
from tests.fakes.bus import UnreliableBus

FIXTURES = Path(__file__).parents[2] / "fixtures" / "events"
PUSH = json.loads((FIXTURES / "registry_push_event.json").read_bytes())
BLOB = json.loads((FIXTURES / "registry_push_blob_event.json").read_bytes())
EVENTS_PER_SECOND = 50.0
DOCKER_TYPE = "application/vnd.docker.distribution.events.v1+json"


class OneInstance(RandomIds):
    """The instance that is made has the id that the keys were made for."""

    def named(self, prefix: str) -> str:
        return INSTANCE_ID


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    ring: KeyRing
    rules: Rules
    bus: UnreliableBus
    url: str
    address: str
    token: str
    registry: CollectorRegistry

    async def post(
        self,
        body: bytes | object,
        *,
        sender: str = "distribution",
        instance_id: str = INSTANCE_ID,
        token: str | None = None,
        content_type: str = DOCKER_TYPE,
        **headers: str,
    ) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        bearer = self.token if token is None else token
        sent = {"content-type": content_type, **headers}
        if bearer:
            sent["authorization"] = f"Bearer {bearer}"
        url = f"{self.url}/webhooks/{sender}/{instance_id}"
        async with aiohttp.ClientSession() as session, session.post(url, data=raw, headers=sent) as response:
            return Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=json.loads(await response.read()),
            )

    async def events(self) -> list[pb.ImageEvent]:
        rows = await self.ring.pool.fetch("SELECT value FROM bus.message ORDER BY seq")
        return [pb.ImageEvent.FromString(row["value"]) for row in rows]


@pytest.fixture
async def door(database: str) -> AsyncIterator[Door]:
    schemas = (("gateway", "services.gateway"), ("rules", "services.rules"), ("bus", "services.kernel.bus"))
    async with migrated_pool(database, *schemas) as pool:
        ring = key_ring(pool)
        bus = UnreliableBus(PostgresBus(pool, database, Wakeups(database), RandomIds()))
        registry = CollectorRegistry()
        rules = real_rules(pool, ring.clock, OneInstance())
        await rules.create_instance(NewInstance(name="lab", address="127.0.0.1:5000", default_rule=False))
        issued = await ring.keys.create_key(name="hook", role=Role.WEBHOOK, instance=INSTANCE_ID)
        async with open_convoys(pool=pool, store=ring.store, bus=bus) as convoys:
            webhooks = WebhookDoor(
                checker=ring.checker,
                editions=Editions(rules, ring.clock),
                rates=InstanceRates(ring.clock, EVENTS_PER_SECOND),
                publisher=EventPublisher(convoys=convoys, clock=ring.clock, metrics=WebhookMetrics(registry)),
                deadline_seconds=0.5,
            )
            app = http_app(acr=acr_door(ring), webhooks=webhooks, ids=RandomIds())
            async with serve_http(app, "127.0.0.1:0") as address:
                yield Door(
                    ring=ring,
                    rules=rules,
                    bus=bus,
                    url=f"http://{address}",
                    address=address,
                    token=issued.token,
                    registry=registry,
                )


async def test_a_push_is_on_the_bus_before_the_answer(door: Door) -> None:
    answer = await door.post(PUSH)

    assert (answer.status, answer.body) == (202, {"accepted": 1, "ignored": 0, "ignored_by_reason": {}})
    [event] = await door.events()
    assert (event.instance_id, event.namespace, event.repository, event.tag) == (
        INSTANCE_ID,
        "library",
        "debian",
        "12-old",
    )
    assert event.action == pb.ImageEvent.ACTION_PUSH
    assert event.occurred_at.ToJsonString() == "2026-11-23T03:51:21.209362Z"


async def test_a_push_to_harbor_is_on_the_bus_before_the_answer(door: Door) -> None:
    answer = await door.post(harbor_push(), sender="harbor", content_type="application/json")

    assert (answer.status, answer.body) == (202, {"accepted": 1, "ignored": 0, "ignored_by_reason": {}})
    [event] = await door.events()
    assert (event.namespace, event.repository, event.tag, event.media_type) == ("library", "busybox", "1.36", "")
    assert event.occurred_at.ToJsonString() == "2023-03-06T05:58:23Z"


@pytest.mark.parametrize("binary", [False, True])
async def test_a_cloud_event_is_on_the_bus_before_the_answer(door: Door, binary: bool) -> None:
    message = sent(cloud_event("harbor.artifact.pushed", harbor_push()["event_data"]), binary=binary)
    headers = dict(message.headers)

    answer = await door.post(
        message.body, sender="cloudevents", content_type=headers.pop("content-type"), **headers
    )

    assert (answer.status, answer.body["accepted"]) == (202, 1)
    [event] = await door.events()
    assert (event.repository, event.tag) == ("busybox", "1.36")


@pytest.mark.parametrize(
    ("sender", "content_type"),
    [
        ("harbor", DOCKER_TYPE),
        ("harbor", "application/cloudevents+json"),
        ("cloudevents", "application/json"),
        ("cloudevents", "application/cloudevents-batch+json"),
        ("distribution", "application/cloudevents+json"),
    ],
)
async def test_another_senders_type_is_refused_with_what_is_taken(
    door: Door, sender: str, content_type: str
) -> None:
    answer = await door.post({}, sender=sender, content_type=content_type)

    assert (answer.status, answer.body["code"]) == (415, "WEBHOOK_MEDIA_TYPE")
    assert "application/" in answer.body["hint"]


@pytest.mark.parametrize("sender", ["distribution", "harbor", "cloudevents"])
async def test_every_sender_needs_the_key_of_its_instance(door: Door, sender: str) -> None:
    assert (await door.post({}, sender=sender, token="")).status == 401
    assert (await door.post({}, sender=sender, instance_id="cri-other")).status == 403


async def test_an_instance_that_brings_too_much_is_told_to_wait(door: Door) -> None:
    [push] = PUSH["events"]
    full = {"events": [push | {"id": f"e-{number}"} for number in range(int(EVENTS_PER_SECOND) + 5)]}
    assert (await door.post(full)).status == 202

    answer = await door.post(PUSH)
    assert (answer.status, answer.body["code"]) == (429, "WEBHOOK_RATE")
    assert int(answer.headers["retry-after"]) >= 1
    door.ring.clock.advance(1)
    assert (await door.post(PUSH)).status == 202


async def test_strangers_use_up_nobodys_rate(door: Door) -> None:
    for _ in range(int(EVENTS_PER_SECOND) + 1):
        assert (await door.post(PUSH, token="ddk_" + "a" * 43)).status == 401

    assert (await door.post(PUSH)).status == 202


async def test_broken_bodies_use_up_the_rate_as_others_do(door: Door) -> None:
    for _ in range(int(EVENTS_PER_SECOND)):
        assert (await door.post(b"{")).status == 400

    assert (await door.post(b"{")).status == 429


async def test_the_key_on_the_bus_is_instance_and_repository(door: Door) -> None:
    await door.post(PUSH)

    key = await door.ring.pool.fetchval("SELECT key FROM bus.message")
    assert key == f"{INSTANCE_ID}/library/debian".encode()


async def test_a_redelivery_has_the_same_event_id_and_a_greater_revision(door: Door) -> None:
    await door.post(PUSH)
    await door.post(PUSH)

    first, second = await door.events()
    assert first.event_id == second.event_id
    assert first.revision < second.revision


async def test_layers_and_broken_events_do_not_keep_the_others_away(door: Door) -> None:
    dance = {**PUSH["events"][0], "action": "dance"}
    envelope = {"events": [*BLOB["events"], {"action": "push"}, 7, *PUSH["events"], dance]}

    answer = await door.post(envelope)

    assert answer.status == 202
    assert answer.body == {
        "accepted": 1,
        "ignored": 4,
        "ignored_by_reason": {"malformed": 2, "action": 1, "media_type": 1},
    }
    assert len(await door.events()) == 1
    labels = {"outcome": "ignored_media_type"}
    assert door.registry.get_sample_value("drydock_webhook_events_total", labels) == 1


async def test_the_log_says_why_events_were_ignored(door: Door) -> None:
    [push] = PUSH["events"]
    untagged = {**push, "target": {**push["target"], "tag": ""}}

    with structlog.testing.capture_logs() as logs:
        await door.post({"events": [push, untagged, untagged, *BLOB["events"]]})
        await door.post({"events": [7]})

    received = [entry for entry in logs if entry["event"] == "webhook.received"]
    assert [(entry["log_level"], entry["accepted"], entry["ignored"]) for entry in received] == [
        ("info", 1, {"media_type": 1, "untagged": 2}),
        ("warning", 0, {"malformed": 1}),
    ]
    assert {entry["instance_id"] for entry in received} == {INSTANCE_ID}


def a_pull(**target: str) -> dict[str, Any]:
    [push] = PUSH["events"]
    request = {**push["request"], "method": "GET", "useragent": "containerd/1.7"}
    return {
        **push,
        "id": str(uuid.uuid4()),
        "action": "pull",
        "request": request,
        "target": push["target"] | target,
    }


async def test_pulls_are_told_of_synced_instances_only(door: Door) -> None:
    answer = await door.post({"events": [a_pull()]})
    assert (answer.body["accepted"], answer.body["ignored_by_reason"]) == (0, {"sync_off": 1})
    await door.rules.set_sync("lab", on=True)
    door.ring.clock.advance(5)

    assert (await door.post({"events": [a_pull()]})).body["accepted"] == 1
    [event] = await door.events()
    assert (event.action, event.tag) == (pb.ImageEvent.ACTION_PULL, "12-old")


async def test_what_is_pulled_again_and_again_is_told_once_a_minute(door: Door) -> None:
    await door.rules.set_sync("lab", on=True)
    first = await door.post({"events": [a_pull(), a_pull(), a_pull(tag="13")]})
    assert (first.body["accepted"], first.body["ignored_by_reason"]) == (2, {"repeated": 1})
    door.ring.clock.advance(59)
    assert (await door.post({"events": [a_pull()]})).body["accepted"] == 0
    door.ring.clock.advance(1)
    assert (await door.post({"events": [a_pull()]})).body["accepted"] == 1


async def test_a_pull_that_the_bus_did_not_take_is_told_when_it_comes_again(door: Door) -> None:
    await door.rules.set_sync("lab", on=True)
    door.bus.down = True
    assert (await door.post({"events": [a_pull()]})).status == 503
    door.bus.down = False

    assert (await door.post({"events": [a_pull()]})).body["accepted"] == 1


async def test_deletions_are_told_whether_synced_or_not(door: Door) -> None:
    """Whoever acts on one looks whether the instance is synced then: no deletion is lost to an old answer."""
    answer = await door.post((FIXTURES / "registry_delete_event.json").read_bytes())

    assert answer.body["accepted"] == 1
    [event] = await door.events()
    assert (event.action, event.tag, event.digest) == (pb.ImageEvent.ACTION_DELETE, "1", "")


async def test_an_envelope_without_events_is_fine(door: Door) -> None:
    assert (await door.post({"events": []})).status == 202


async def test_revisions_rise_inside_an_envelope(door: Door) -> None:
    [push] = PUSH["events"]
    envelope = {"events": [{**push, "id": f"e-{number}"} for number in range(20)]}

    await door.post(envelope)

    revisions = [event.revision for event in await door.events()]
    assert len(revisions) == 20
    assert revisions == sorted(set(revisions))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"events": {}}', b"\xff" * 10])
async def test_a_malformed_body_is_refused(door: Door, body: bytes) -> None:
    answer = await door.post(body)

    assert (answer.status, answer.body["code"]) == (400, "WEBHOOK_MALFORMED")
    assert set(answer.body) == {"code", "message", "hint", "request_id"}
    assert answer.headers["x-request-id"] == answer.body["request_id"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_huge_body_is_refused(door: Door, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(33):
            yield b" " * (MAX_BODY_BYTES // 32)

    url = f"{door.url}/webhooks/distribution/{INSTANCE_ID}"
    headers = {"authorization": f"Bearer {door.token}", "content-type": DOCKER_TYPE}
    body: Any = chunks() if chunked else io.BytesIO(b" " * (MAX_BODY_BYTES + 1))
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        problem = await response.json()

    assert (response.status, problem["code"]) == (413, "WEBHOOK_TOO_LARGE")


async def test_a_body_of_another_type_is_refused(door: Door) -> None:
    assert (await door.post(PUSH, content_type="text/plain")).status == 415
    assert (await door.post(PUSH, **{"content-encoding": "gzip"})).status == 415
    assert (await door.post(PUSH, content_type="application/json; charset=utf-8")).status == 202


@pytest.mark.parametrize("token", ["", "wrong", "ddk_" + "a" * 43])
async def test_a_wrong_token_is_refused(door: Door, token: str) -> None:
    answer = await door.post(PUSH, token=token)

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await door.events() == []


async def test_a_key_of_another_instance_is_refused(door: Door) -> None:
    answer = await door.post(PUSH, instance_id="cri-other")

    assert (answer.status, answer.body["code"]) == (403, "WEBHOOK_NOT_ALLOWED")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.WEBHOOK])
async def test_a_key_of_another_role_is_refused(door: Door, role: Role) -> None:
    issued = await door.ring.keys.create_key(name="other", role=role)

    assert (await door.post(PUSH, token=issued.token)).status == 403


@pytest.mark.parametrize("heard_before", [False, True])
async def test_a_key_of_a_deleted_instance_is_refused_within_five_seconds(door: Door, heard_before: bool) -> None:
    if heard_before:
        assert (await door.post({"events": []})).status == 202
    await door.rules.delete_instance("lab")
    if heard_before:
        door.ring.clock.advance(5)

    answer = await door.post(PUSH)

    assert (answer.status, answer.body["code"]) == (404, "INSTANCE_NOT_EXIST")
    assert await door.events() == []


async def test_a_key_of_a_personal_instance_is_refused(door: Door) -> None:
    await door.rules.update_instance("lab", InstanceChange(edition=Edition.PERSONAL))

    answer = await door.post(PUSH)

    assert (answer.status, answer.body["code"]) == (412, "EDITION_NOT_SUPPORTED")
    assert await door.events() == []


async def test_a_bus_that_is_down_is_told_and_the_senders_retry_completes(door: Door) -> None:
    door.bus.down = True
    answer = await door.post(PUSH)
    assert (answer.status, answer.body["code"]) == (503, "BUS_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) >= 1
    door.bus.down = False

    assert (await door.post(PUSH)).status == 202
    assert len(await door.events()) == 1


async def test_a_bus_that_hangs_ends_at_the_deadline(door: Door) -> None:
    door.bus.hanging = True

    answer = await door.post(PUSH)

    assert (answer.status, answer.body["code"]) == (503, "WEBHOOK_NOT_STORED")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_lost_database_is_told(door: Door) -> None:
    await door.ring.checker.check(door.token)
    await door.ring.pool.close()

    answer = await door.post(PUSH)

    assert (answer.status, answer.body["code"]) == (503, "DATABASE_UNAVAILABLE")


async def test_rules_that_answer_too_late_are_told_and_the_senders_retry_completes(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_late(instance: str) -> Instance:
        raise ServiceError(Kind.DEADLINE_EXCEEDED, "PEER_TOO_SLOW", "The rules service has not answered in time.")

    with monkeypatch.context() as away:
        away.setattr(door.rules, "get_instance", too_late)
        answer = await door.post(PUSH)
    assert (answer.status, answer.headers["retry-after"], answer.body["code"]) == (503, "2", "PEER_TOO_SLOW")
    assert not await door.events()
    assert (await door.post(PUSH)).status == 202
    assert len(await door.events()) == 1


async def test_a_body_that_never_ends_is_given_up_at_the_deadline(door: Door) -> None:
    host, port = door.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /webhooks/distribution/{INSTANCE_ID} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        f"Authorization: Bearer {door.token}\r\nContent-Type: {DOCKER_TYPE}\r\n\r\n{{"
    )
    writer.write(head.encode())
    async with asyncio.timeout(5):
        status = await reader.readline()
        rest = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert status.startswith(b"HTTP/1.1 503")
    assert b"retry-after" in rest


async def test_the_callers_request_id_comes_back(door: Door) -> None:
    wanted = "6dd5e0a1-4c2c-4e50-9c5b-0d6d6f1a0a55"

    answer = await door.post(PUSH, **{"x-request-id": wanted})

    assert answer.headers["x-request-id"] == wanted


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/none", 404), ("GET", "/webhooks/distribution/x", 405)]
)
async def test_what_no_route_answers_has_the_same_shape(door: Door, method: str, path: str, status: int) -> None:
    async with aiohttp.ClientSession() as session, session.request(method, door.url + path) as response:
        problem = await response.json()

    assert response.status == status
    assert set(problem) == {"code", "message", "request_id"}
