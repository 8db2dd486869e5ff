"""Who may call what: the table is whole, and the guard follows it."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.gateway.api import Role
from services.gateway.auth import BearerGuard, authorize
from services.gateway.harbor.adapter import HarborAdapter
from services.gateway.permissions import MINIMAL_ROLES, UNLIMITED, WHOLE_INSTANCES, Open, suffices
from services.kernel.errors import Kind, ServiceError
from tests.builders.gateway import INSTANCE_ID, KeyRing, fresh_key_ring
from tests.builders.methods import METHODS

HARBOR_CALLS = {f"/harbor/api/v1/{call}" for call in ("metadata", "scan", "report")}
OPEN = {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"}


@pytest.fixture
async def ring(database: str) -> AsyncIterator[KeyRing]:
    async with fresh_key_ring(database) as ring:
        yield ring


def test_the_table_has_every_method_that_is_served_and_no_other() -> None:
    adapter = HarborAdapter(**dict.fromkeys(inspect.signature(HarborAdapter).parameters))  # type: ignore[arg-type]  # it only tells its routes
    harbor = {route.path for route in adapter.routes(lambda endpoint, _: endpoint)}
    assert {path.replace("scan/{scan_request_id}/", "") for path in harbor} == HARBOR_CALLS
    assert set(MINIMAL_ROLES) == set(METHODS) | HARBOR_CALLS


def test_only_the_state_of_health_is_open() -> None:
    assert {method for method, least in MINIMAL_ROLES.items() if least is Open.OPEN} == OPEN


def test_what_changes_something_is_not_for_viewers() -> None:
    changing = ("Create", "Update", "Delete", "Revoke", "Replay")

    for method, least in MINIMAL_ROLES.items():
        if method.rpartition("/")[2].startswith(changing):
            assert least is not Role.VIEWER


@pytest.mark.parametrize("role", Role)
async def test_every_role_may_call_what_the_table_says(ring: KeyRing, role: Role) -> None:
    instance = INSTANCE_ID if role is Role.WEBHOOK else ""
    issued = await ring.keys.create_key(name="k", role=role, instance=instance)
    guard = BearerGuard(ring.checker)

    for method, least in MINIMAL_ROLES.items():
        allowed = isinstance(least, Open) or suffices(role, least)
        try:
            await guard.admit(method, (("authorization", f"Bearer {issued.token}"),))
            admitted = True
        except ServiceError as error:
            assert (error.kind, error.reason) == (Kind.PERMISSION_DENIED, "ROLE_INSUFFICIENT")
            assert issued.token not in error.sentence()
            admitted = False
        assert admitted is allowed, method


def test_roles_rise_and_webhook_stands_beside_them() -> None:
    ladder = [Role.VIEWER, Role.CLIENT, Role.OPERATOR, Role.ADMIN]

    for lower, higher in itertools.pairwise(ladder):
        assert suffices(higher, lower)
        assert not suffices(lower, higher)
    assert not any(suffices(Role.WEBHOOK, least) for least in ladder)


async def test_a_method_that_the_table_forgot_is_refused_to_everybody(ring: KeyRing) -> None:
    issued = await ring.keys.create_key(name="k", role=Role.ADMIN)

    with pytest.raises(ServiceError) as caught:
        await BearerGuard(ring.checker).admit("/x/Y", (("authorization", f"Bearer {issued.token}"),))

    assert caught.value.kind is Kind.PERMISSION_DENIED


@pytest.mark.parametrize(
    "metadata", [(), (("authorization", ""),), (("authorization", "Basic eA=="),), (("authorization", b"x"),)]
)
async def test_a_call_without_token_is_unauthenticated(ring: KeyRing, metadata: Any) -> None:
    guard = BearerGuard(ring.checker)

    for method in METHODS.keys() - OPEN:
        with pytest.raises(ServiceError) as caught:
            await guard.admit(method, metadata)
        assert (caught.value.kind, caught.value.reason) == (Kind.UNAUTHENTICATED, "TOKEN_MISSING")


@pytest.mark.parametrize(
    ("scopes", "refused"),
    [
        ({}, set()),
        ({INSTANCE_ID: frozenset()}, UNLIMITED),
        ({INSTANCE_ID: frozenset({"team"})}, UNLIMITED | WHOLE_INSTANCES),
    ],
)
async def test_a_limited_key_may_call_what_the_tables_say(
    ring: KeyRing, scopes: dict[str, frozenset[str]], refused: set[str]
) -> None:
    issued = await ring.keys.create_key(name="k", role=Role.OPERATOR)
    key = dataclasses.replace(issued.key, scopes=scopes)

    for method, least in MINIMAL_ROLES.items():
        if isinstance(least, Open) or not suffices(key.role, least):
            continue
        try:
            authorize(key, method)
            admitted = True
        except ServiceError as error:
            assert (error.kind, error.reason) == (Kind.PERMISSION_DENIED, "KEY_LIMITED")
            admitted = False
        assert admitted is (method not in refused), method
