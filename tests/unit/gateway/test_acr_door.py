"""The ACR door over HTTP: who is let in, how parameters are read, and what is said of what is wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.door import MAX_BODY_BYTES, MAX_HEAD_BYTES, Behaviour
from services.gateway.acr.nonces import Nonces
from services.gateway.api import Role
from services.gateway.http import Door
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.ids import RandomIds
from services.kernel.webserver import serve_http
from tests.builders.acr import Caller, acr_door
from tests.builders.gateway import KeyRing, fresh_key_ring, key_ring


class Actions:
    """Answers two actions with what a test puts in, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.error: Exception | None = None
        self.hang = False

    async def status(
        self, request: pb.GetRepoTagScanStatusRequest, context: Any
    ) -> pb.GetRepoTagScanStatusResponse:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        if self.hang:
            await asyncio.Event().wait()
        context.set_trailing_metadata((("x-drydock-reason", "TOLD"),))
        return pb.GetRepoTagScanStatusResponse(code="success", is_success=True, request_id="R", status="COMPLETE")

    async def rule(self, request: pb.CreateScanRuleRequest, context: Any) -> pb.CreateScanRuleResponse:
        self.asked.append(request)
        return pb.CreateScanRuleResponse(code=0, request_id="R", scan_rule_id="crscnr-1")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    ring: KeyRing
    actions: Actions
    caller: Caller
    elsewhere: Caller
    """The same key at another gateway's door."""


async def open_door(stack: AsyncExitStack, ring: KeyRing, actions: Actions) -> str:
    behaviours: dict[str, Behaviour] = {"GetRepoTagScanStatus": actions.status, "CreateScanRule": actions.rule}
    door = acr_door(ring, behaviours)
    route = Route("/", Door(RandomIds()).guarded(door.answer, door.refuse), methods=["GET", "POST"])
    return await stack.enter_async_context(
        serve_http(Starlette(routes=[route]), "127.0.0.1:0", max_head_bytes=MAX_HEAD_BYTES)
    )


@pytest.fixture
async def scene(database: str) -> AsyncIterator[Scene]:
    async with fresh_key_ring(database) as ring, AsyncExitStack() as stack:
        actions, other = Actions(), key_ring(ring.pool)
        issued = await ring.keys.create_key(name="sdk", role=Role.OPERATOR, access_key=True)
        assert issued.access_key is not None
        caller = Caller(
            address=await open_door(stack, ring, actions),
            access_key_id=issued.access_key.access_key_id,
            secret=issued.access_key.secret,
            now=ring.clock.now(),
        )
        address = await open_door(stack, other, actions)
        yield Scene(
            ring=ring, actions=actions, caller=caller, elsewhere=dataclasses.replace(caller, address=address)
        )


IMAGE = {"InstanceId": "cri-1", "RepoId": "crr-1", "Tag": "a b*c~d/中"}


async def test_a_signed_call_is_answered(scene: Scene) -> None:
    for method in ("GET", "POST"):
        answer = await scene.caller.call("GetRepoTagScanStatus", IMAGE, method=method)

        assert (answer.status, answer.body["Status"]) == (200, "COMPLETE")
        assert answer.headers["x-drydock-reason"] == "TOLD"
    assert scene.actions.asked[0].tag == "a b*c~d/中"


async def test_parameters_of_query_and_form_are_one(scene: Scene) -> None:
    form = {"RepoId": "crr-1", "Tag": "a b*c~d/中", "RegionId": "cn-hangzhou"}

    answer = await scene.caller.call("GetRepoTagScanStatus", {"InstanceId": "cri-1"}, form=form)

    assert answer.status == 200
    [asked] = scene.actions.asked
    assert (asked.instance_id, asked.repo_id, asked.tag) == ("cri-1", "crr-1", "a b*c~d/中")


async def test_a_parameter_with_two_values_is_refused(scene: Scene) -> None:
    answer = await scene.caller.call("GetRepoTagScanStatus", {"Tag": "1"}, form={"Tag": "2"})

    assert (answer.status, answer.body["Code"]) == (400, "PARAMETER_ERROR")


@pytest.mark.parametrize(
    "lists",
    [
        {"Namespaces": '["ns1","ns 2"]', "RepoNames": "[]"},
        {"Namespaces.1": "ns1", "Namespaces.2": "ns 2"},
        {"Namespaces.10": "ns 2", "Namespaces.9": "ns1", "RepoNames": ""},
    ],
)
async def test_lists_come_as_json_or_numbered(scene: Scene, lists: dict[str, str]) -> None:
    answer = await scene.caller.call("CreateScanRule", lists)

    assert answer.body == {"Code": 0, "RequestId": "R", "ScanRuleId": "crscnr-1"}
    assert list(scene.actions.asked[0].namespaces) == ["ns1", "ns 2"]
    assert list(scene.actions.asked[0].repo_names) == []


@pytest.mark.parametrize("wrong", ["ns1", '{"a":1}', "[1]", '["a"', json.dumps(["n"] * 1001)])
async def test_lists_that_are_none_are_refused(scene: Scene, wrong: str) -> None:
    answer = await scene.caller.call("CreateScanRule", {"Namespaces": wrong})

    assert (answer.status, answer.body["Code"]) == (400, "PARAMETER_ERROR")
    assert "Namespaces" in answer.body["Message"]


async def test_a_signature_counts_once_at_whichever_door(scene: Scene) -> None:
    # The host is signed: whoever stands between could only repeat the call at another gateway behind one name.
    headers = scene.caller.signed("GetRepoTagScanStatus", IMAGE)
    first = await scene.caller.call("GetRepoTagScanStatus", IMAGE, headers=headers)
    again = await scene.caller.call("GetRepoTagScanStatus", IMAGE, headers=headers)
    elsewhere = await scene.elsewhere.call("GetRepoTagScanStatus", IMAGE, headers=headers)

    assert first.status == 200
    for answer in (again, elsewhere):
        assert (answer.status, answer.body["Code"]) == (400, "SignatureNonceUsed")
    assert len(scene.actions.asked) == 1


async def test_of_many_at_once_with_one_nonce_one_gets_through(scene: Scene) -> None:
    headers = scene.caller.signed("GetRepoTagScanStatus", IMAGE)
    doors = [scene.caller, scene.elsewhere] * 8

    answers = await asyncio.gather(*(door.call("GetRepoTagScanStatus", IMAGE, headers=headers) for door in doors))

    assert sorted(answer.status for answer in answers) == [200, *[400] * 15]


@pytest.mark.parametrize("minutes", [-14.9, 14.9])
async def test_a_clock_may_differ_by_fifteen_minutes(scene: Scene, minutes: float) -> None:
    caller = dataclasses.replace(scene.caller, now=scene.caller.now + timedelta(minutes=minutes))

    assert (await caller.call("GetRepoTagScanStatus", IMAGE)).status == 200


@pytest.mark.parametrize("minutes", [-15.1, 15.1])
async def test_a_clock_may_not_differ_more(scene: Scene, minutes: float) -> None:
    caller = dataclasses.replace(scene.caller, now=scene.caller.now + timedelta(minutes=minutes))

    answer = await caller.call("GetRepoTagScanStatus", IMAGE)

    assert (answer.status, answer.body["Code"]) == (400, "InvalidTimeStamp.Expired")
    assert not scene.actions.asked


async def test_a_nonce_is_remembered_as_long_as_its_time_is_fresh(scene: Scene) -> None:
    ahead = dataclasses.replace(scene.caller, now=scene.caller.now + timedelta(minutes=14))
    headers = ahead.signed("GetRepoTagScanStatus", IMAGE)
    await ahead.call("GetRepoTagScanStatus", IMAGE, headers=headers)
    nonces = Nonces(scene.ring.pool, scene.ring.store, scene.ring.clock)

    scene.ring.clock.advance(28 * 60)
    await nonces.forget(asyncio.Event())
    again = await ahead.call("GetRepoTagScanStatus", IMAGE, headers=headers)
    scene.ring.clock.advance(5 * 60)
    await nonces.forget(asyncio.Event())
    too_late = await ahead.call("GetRepoTagScanStatus", IMAGE, headers=headers)
    async with scene.ring.pool.acquire() as conn:
        kept = await conn.fetchval("SELECT count(*) FROM gateway.nonces")

    assert again.body["Code"] == "SignatureNonceUsed"
    assert too_late.body["Code"] == "InvalidTimeStamp.Expired"
    assert kept == 0


async def test_a_wrong_signature_uses_up_nothing(scene: Scene) -> None:
    stranger = dataclasses.replace(scene.caller, secret="guessed")
    answer = await stranger.call("GetRepoTagScanStatus", IMAGE)
    async with scene.ring.pool.acquire() as conn:
        kept = await conn.fetchval("SELECT count(*) FROM gateway.nonces")

    assert (answer.status, answer.body["Code"], kept) == (403, "SignatureDoesNotMatch", 0)
    assert scene.caller.secret not in json.dumps(answer.body)


@pytest.mark.parametrize("access_key_id", ["LTAI0", "DDAK" + "A" * 20, "x" * 128])
async def test_an_access_key_that_nobody_has_is_unknown(scene: Scene, access_key_id: str) -> None:
    stranger = dataclasses.replace(scene.caller, access_key_id=access_key_id)

    answer = await stranger.call("GetRepoTagScanStatus", IMAGE)

    assert (answer.status, answer.body["Code"]) == (404, "InvalidAccessKeyId.NotFound")


async def test_a_revoked_access_key_is_unknown_within_two_seconds(scene: Scene) -> None:
    assert (await scene.elsewhere.call("GetRepoTagScanStatus", IMAGE)).status == 200
    await scene.ring.keys.revoke_key("sdk")

    here = await scene.caller.call("GetRepoTagScanStatus", IMAGE)

    assert here.body["Code"] == "InvalidAccessKeyId.NotFound"


async def test_nothing_that_is_kept_holds_the_secret(scene: Scene) -> None:
    async with scene.ring.pool.acquire() as conn:
        kept = str(await conn.fetchval("SELECT row_to_json(a)::text FROM gateway.access_keys a"))

    assert scene.caller.access_key_id in kept
    assert scene.caller.secret not in kept
    assert scene.caller.secret.encode().hex() not in kept


async def test_an_unsigned_call_is_told_so(scene: Scene) -> None:
    headers = {"x-acs-action": "GetRepoTagScanStatus", "x-acs-version": "2018-12-01"}

    answer = await scene.caller.call("GetRepoTagScanStatus", IMAGE, headers=headers)

    assert (answer.status, answer.body["Code"]) == (400, "MissingParameter")
    assert "--access-key" in answer.body["Recommend"]


async def test_a_token_will_do_as_well(scene: Scene) -> None:
    issued = await scene.ring.keys.create_key(name="token", role=Role.VIEWER)
    said = {"x-acs-action": "GetRepoTagScanStatus", "x-acs-version": "2018-12-01"}

    for header in ({"authorization": f"Bearer {issued.token}"}, {"x-acs-bearer-token": issued.token}):
        answer = await scene.caller.call("", IMAGE, headers={**said, **header})
        assert answer.status == 200


async def test_a_role_that_may_not_is_told_so(scene: Scene) -> None:
    issued = await scene.ring.keys.create_key(name="viewer", role=Role.VIEWER, access_key=True)
    assert issued.access_key is not None
    viewer = dataclasses.replace(
        scene.caller, access_key_id=issued.access_key.access_key_id, secret=issued.access_key.secret
    )

    answer = await viewer.call("CreateScanRule")

    assert (answer.status, answer.body["Code"]) == (403, "NoPrivilege")
    assert not scene.actions.asked


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"x_acs_action": "ListMoons"}, 404, "InvalidAction.NotFound"),
        ({"x_acs_version": "2016-06-07"}, 400, "InvalidVersion"),
    ],
)
async def test_what_there_is_not_is_refused(scene: Scene, changes: dict[str, Any], status: int, code: str) -> None:
    answer = await scene.caller.call("GetRepoTagScanStatus", IMAGE, **changes)

    assert (answer.status, answer.body["Code"]) == (status, code)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ServiceError(Kind.NOT_FOUND, "INSTANCE_NOT_EXIST", "None."), 404, "INSTANCE_NOT_EXIST"),
        (invalid("INVALID_DIGEST", "None."), 400, "PARAMETER_ERROR"),
        (ServiceError(Kind.UNAVAILABLE, "DATABASE_UNAVAILABLE", "Away."), 503, "ServiceUnavailableTemporary"),
        (OSError("the password is x"), 503, "ServiceUnavailableTemporary"),
        (ValueError("the password is x"), 500, "SystemError"),
        (ServiceError(Kind.FAILED_PRECONDITION, "SECRET_UNREADABLE", "the password is x"), 500, "SystemError"),
    ],
)
async def test_every_failure_has_its_code_and_the_documented_body(
    scene: Scene, error: Exception, status: int, code: str
) -> None:
    scene.actions.error = error

    answer = await scene.caller.call("GetRepoTagScanStatus", IMAGE)

    assert (answer.status, answer.body["Code"]) == (status, code)
    assert set(answer.body) == {"Code", "Message", "RequestId", "HostId", "Recommend"}
    assert answer.body["HostId"] == scene.caller.address
    assert answer.body["RequestId"] == str(uuid.UUID(answer.body["RequestId"])).upper()
    assert "password" not in json.dumps(answer.body)
    assert "x-acs-retry-after" not in answer.headers


async def test_whoever_is_throttled_is_told_for_how_long(scene: Scene) -> None:
    scene.actions.error = ServiceError(Kind.RESOURCE_EXHAUSTED, "RATE_LIMITED", "Too often.", retry_after=1.5)

    answer = await scene.caller.call("GetRepoTagScanStatus", IMAGE)

    assert (answer.status, answer.body["Code"]) == (429, "Throttling.User")
    assert (answer.headers["x-acs-retry-after"], answer.headers["retry-after"]) == ("1500", "2")


async def test_fields_are_called_by_the_references_names(scene: Scene) -> None:
    scene.actions.error = invalid("MISSING_PARAMETER", "The field repo_id is missing.", hint="Or scan_task_id.")

    answer = await scene.caller.call("GetRepoTagScanStatus", IMAGE)

    assert answer.body["Code"] == "MissingParameter"
    assert (answer.body["Message"], answer.body["Recommend"]) == ("The field RepoId is missing.", "Or ScanTaskId.")

    scene.actions.error = invalid("MISSING_PARAMETER", "The field tag is missing.", hint="Name a tag.")

    answer = await scene.caller.call("GetRepoTagScanStatus", IMAGE)

    assert (answer.body["Message"], answer.body["Recommend"]) == ("The field Tag is missing.", "Name a tag.")


async def test_a_body_has_its_bounds(scene: Scene) -> None:
    answer = await scene.caller.call("GetRepoTagScanStatus", IMAGE, form={"X": "x" * MAX_BODY_BYTES})

    assert (answer.status, answer.body["Code"]) == (413, "RequestBodyTooLarge")
    assert not scene.actions.asked


async def test_a_long_list_fits_into_the_query(scene: Scene) -> None:
    names = [f"a-repository-with-a-long-name-{number}" for number in range(1000)]

    answer = await scene.caller.call("CreateScanRule", {"RepoNames": json.dumps(names)})

    assert answer.status == 200
    assert list(scene.actions.asked[0].repo_names) == names
