"""Keys: who gets in, for how long, and what is kept of a token."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.gateway.api import KeyScope, Role
from services.gateway.rates import Rates
from services.gateway.tokens import TokenChecker, is_token, mint_token
from services.kernel.errors import Kind, ServiceError
from tests.builders.gateway import INSTANCE_ID, KeyRing, fresh_key_ring, key_ring


@pytest.fixture
async def ring(database: str) -> AsyncIterator[KeyRing]:
    async with fresh_key_ring(database) as ring:
        yield ring


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_a_new_key_opens_the_door(ring: KeyRing) -> None:
    issued = await ring.keys.create_key(name="ci", role=Role.CLIENT)

    assert await ring.checker.check(issued.token) == issued.key
    assert is_token(issued.token)


async def test_nothing_that_is_kept_holds_the_token(ring: KeyRing) -> None:
    issued = await ring.keys.create_key(name="ci", role=Role.CLIENT)

    async with ring.pool.acquire() as conn:
        kept = str(await conn.fetchval("SELECT row_to_json(keys)::text FROM gateway.keys"))

    assert issued.token not in kept + repr(issued)
    assert issued.token.removeprefix("ddk_").encode().hex() not in kept


@pytest.mark.parametrize("text", ["x", "ddk_", "ddk_" + "a" * 42, "ddk_" + "a" * 44, "ddk_" + "ä" * 43])
async def test_what_is_no_token_is_unknown(ring: KeyRing, text: str) -> None:
    with pytest.raises(ServiceError) as caught:
        await ring.checker.check(text)

    assert (caught.value.kind, caught.value.reason) == (Kind.UNAUTHENTICATED, "TOKEN_UNKNOWN")


async def test_a_token_that_nobody_issued_is_unknown(ring: KeyRing) -> None:
    with pytest.raises(ServiceError, match="not valid"):
        await ring.checker.check(mint_token())


async def test_a_revoked_key_is_refused_at_once_where_it_was_revoked(ring: KeyRing) -> None:
    issued = await ring.keys.create_key(name="ci", role=Role.CLIENT)
    await ring.checker.check(issued.token)

    await ring.keys.revoke_key("ci")

    with pytest.raises(ServiceError, match="not valid"):
        await ring.checker.check(issued.token)


async def test_a_revoked_key_is_refused_within_two_seconds_elsewhere(ring: KeyRing) -> None:
    elsewhere = key_ring(ring.pool)
    issued = await ring.keys.create_key(name="ci", role=Role.CLIENT)
    await elsewhere.checker.check(issued.token)
    await ring.keys.revoke_key(issued.key.key_id)

    elsewhere.clock.advance(1.9)

    with pytest.raises(ServiceError, match="not valid"):
        await elsewhere.checker.check(issued.token)


async def test_a_token_is_looked_up_once_a_moment(ring: KeyRing) -> None:
    issued = await ring.keys.create_key(name="ci", role=Role.CLIENT)
    await ring.checker.check(issued.token)
    await ring.pool.close()

    assert await ring.checker.check(issued.token) == issued.key


async def test_a_name_is_free_again_after_revocation(ring: KeyRing) -> None:
    await ring.keys.create_key(name="ci", role=Role.CLIENT)
    with pytest.raises(ServiceError) as caught:
        await ring.keys.create_key(name="ci", role=Role.VIEWER)
    assert caught.value.reason == "KEY_ALREADY_EXIST"

    await ring.keys.revoke_key("ci")

    assert (await ring.keys.create_key(name="ci", role=Role.VIEWER)).key.role is Role.VIEWER


async def test_a_second_revocation_finds_no_key(ring: KeyRing) -> None:
    await ring.keys.create_key(name="ci", role=Role.CLIENT)
    await ring.keys.revoke_key("ci")

    with pytest.raises(ServiceError) as caught:
        await ring.keys.revoke_key("ci")

    assert caught.value.reason == "KEY_NOT_EXIST"


async def test_a_webhook_key_is_bound_to_its_instance_by_id(ring: KeyRing) -> None:
    issued = await ring.keys.create_key(name="hook", role=Role.WEBHOOK, instance="lab")

    assert issued.key.instance_id == INSTANCE_ID


@pytest.mark.parametrize(
    ("name", "role", "instance", "reason"),
    [
        ("hook", Role.WEBHOOK, "", "INVALID_INSTANCE"),
        ("hook", Role.WEBHOOK, "none", "INSTANCE_NOT_EXIST"),
        ("root", Role.ADMIN, "lab", "INVALID_SCOPE"),
        ("ci", Role.CLIENT, "none", "INSTANCE_NOT_EXIST"),
        ("CI", Role.CLIENT, "", "INVALID_NAME"),
        ("", Role.CLIENT, "", "INVALID_NAME"),
        ("a" * 65, Role.CLIENT, "", "INVALID_NAME"),
        ("a b", Role.CLIENT, "", "INVALID_NAME"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(
    ring: KeyRing, name: str, role: Role, instance: str, reason: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        await ring.keys.create_key(name=name, role=role, instance=instance)

    assert caught.value.reason == reason


async def test_pages_of_keys_have_each_key_once_oldest_first(ring: KeyRing) -> None:
    for number in range(5):
        await ring.keys.create_key(name=f"k{number}", role=Role.VIEWER)
        ring.clock.advance(1)
    names, token = [], ""
    while True:
        page = await ring.keys.list_keys(page_size=2, page_token=token)
        names += [key.name for key in page.items]
        token = page.next_token
        if not token:
            break

    assert names == [f"k{number}" for number in range(5)]


async def test_bootstrap_writes_a_token_that_only_its_owner_reads(ring: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    before = os.umask(0)
    try:
        await ring.keys.bootstrap_admin(path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (await ring.checker.check(path.read_text().strip())).role is Role.ADMIN
    assert names_in(tmp_path) == ["admin.token"]


async def test_bootstrap_keeps_the_token_that_is_there(ring: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    await ring.keys.bootstrap_admin(path)
    first = path.read_text()

    await ring.keys.bootstrap_admin(path)

    assert path.read_text() == first
    assert len((await ring.keys.list_keys()).items) == 1


async def test_a_token_that_an_operator_provides_becomes_the_admins(ring: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    token = mint_token()
    path.write_text(token)

    await ring.keys.bootstrap_admin(path)

    assert (await ring.checker.check(token)).role is Role.ADMIN


@pytest.mark.parametrize("content", ["", "garbage\n", "\x00" * 10_000])
async def test_a_lost_or_broken_token_file_is_replaced(ring: KeyRing, tmp_path: Path, content: str) -> None:
    path = tmp_path / "admin.token"
    await ring.keys.bootstrap_admin(path)
    old = path.read_text().strip()
    await ring.checker.check(old)
    path.write_text(content)

    await ring.keys.bootstrap_admin(path)

    assert (await ring.checker.check(path.read_text().strip())).role is Role.ADMIN
    with pytest.raises(ServiceError):
        await ring.checker.check(old)


async def test_a_revoked_token_in_the_file_never_comes_back(ring: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    await ring.keys.bootstrap_admin(path)
    old = path.read_text().strip()
    await ring.keys.revoke_key("admin")

    await ring.keys.bootstrap_admin(path)

    assert path.read_text().strip() != old


async def test_a_file_with_another_roles_token_is_not_promoted(ring: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    path.write_text((await ring.keys.create_key(name="ci", role=Role.VIEWER)).token)

    with pytest.raises(ServiceError) as caught:
        await ring.keys.bootstrap_admin(path)

    assert caught.value.reason == "TOKEN_FILE_NOT_ADMIN"


async def test_several_gateways_starting_at_once_agree_on_one_token(ring: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(key_ring(ring.pool).keys.bootstrap_admin(path))

    assert (await ring.checker.check(path.read_text().strip())).role is Role.ADMIN
    assert len((await ring.keys.list_keys()).items) == 1


async def test_a_token_file_in_a_missing_folder_is_a_clear_error(ring: KeyRing, tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as caught:
        await ring.keys.bootstrap_admin(tmp_path / "none" / "admin.token")

    assert caught.value.reason == "TOKEN_FILE_UNWRITABLE"


async def test_no_token_at_all_is_told_apart_from_a_wrong_one(ring: KeyRing) -> None:
    for token, reason in (("", "TOKEN_MISSING"), ("ddk_abc", "TOKEN_UNKNOWN")):
        with pytest.raises(ServiceError) as caught:
            await ring.checker.check(token)
        assert caught.value.reason == reason


async def refused(ring: KeyRing, token: str) -> str:
    with pytest.raises(ServiceError) as caught:
        await ring.checker.check(token)
    return caught.value.reason


async def test_a_key_ends_when_its_time_is_over_to_the_moment(ring: KeyRing) -> None:
    issued = await ring.keys.create_key(name="ci", role=Role.CLIENT, lifetime=timedelta(minutes=1))
    ring.clock.advance(59)
    await ring.checker.check(issued.token)  # remembered for 1.5 s, and no longer than it lives
    ring.clock.advance(1.1)

    assert await refused(ring, issued.token) == "TOKEN_UNKNOWN"
    assert (await ring.keys.list_keys()).items[0].expires_at == issued.key.created_at + timedelta(minutes=1)


async def test_after_a_rotation_both_tokens_open_until_the_overlap_is_over(ring: KeyRing) -> None:
    old = await ring.keys.create_key(name="ci", role=Role.CLIENT)
    new = await ring.keys.rotate_key("ci", overlap=timedelta(hours=1))
    for token in (old.token, new.token):
        assert (await ring.checker.check(token)).key_id == old.key.key_id
    assert (await ring.keys.list_keys()).items[0].overlap_until == ring.clock.now() + timedelta(hours=1)

    ring.clock.advance(3600)

    assert await refused(ring, old.token) == "TOKEN_UNKNOWN"
    await ring.checker.check(new.token)
    assert (await ring.keys.list_keys()).items[0].overlap_until is None


async def test_two_tokens_at_most_open_a_key(ring: KeyRing) -> None:
    first = await ring.keys.create_key(name="ci", role=Role.CLIENT)
    second = await ring.keys.rotate_key("ci")
    third = await ring.keys.rotate_key(first.key.key_id)

    assert await refused(ring, first.token) == "TOKEN_UNKNOWN"
    for token in (second.token, third.token):
        await ring.checker.check(token)


async def test_a_rotation_without_overlap_ends_the_old_token_at_once(ring: KeyRing) -> None:
    old = await ring.keys.create_key(name="ci", role=Role.CLIENT)
    await ring.checker.check(old.token)
    await ring.keys.rotate_key("ci", overlap=timedelta(0))

    assert await refused(ring, old.token) == "TOKEN_UNKNOWN"


async def test_revoking_ends_both_tokens(ring: KeyRing) -> None:
    old = await ring.keys.create_key(name="ci", role=Role.CLIENT)
    new = await ring.keys.rotate_key("ci")
    for token in (old.token, new.token):
        await ring.checker.check(token)
    await ring.keys.revoke_key("ci")

    for token in (old.token, new.token):
        assert await refused(ring, token) == "TOKEN_UNKNOWN"


async def test_the_administrators_key_is_not_rotated_away_from_its_file(ring: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    await ring.keys.bootstrap_admin(path)
    with pytest.raises(ServiceError) as caught:
        await ring.keys.rotate_key("admin")

    assert caught.value.reason == "KEY_OF_TOKEN_FILE"
    assert (await ring.checker.check(path.read_text().strip())).role is Role.ADMIN


async def test_a_token_from_before_a_rotation_never_becomes_the_admins(ring: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    old = await ring.keys.create_key(name="root", role=Role.ADMIN)
    await ring.keys.rotate_key("root", overlap=timedelta(0))
    path.write_text(old.token)

    await ring.keys.bootstrap_admin(path)

    assert path.read_text().strip() != old.token


async def test_the_last_use_is_told_to_the_minute(ring: KeyRing) -> None:
    issued = await ring.keys.create_key(name="ci", role=Role.CLIENT)
    assert (await ring.keys.list_keys()).items[0].last_used_at is None
    first = ring.clock.now()
    await ring.checker.check(issued.token)
    ring.clock.advance(30)
    await ring.checker.check(issued.token)
    assert (await ring.keys.list_keys()).items[0].last_used_at == first

    ring.clock.advance(30)
    await ring.checker.check(issued.token)
    assert (await ring.keys.list_keys()).items[0].last_used_at == ring.clock.now()


async def test_limits_are_saved_by_id_and_come_back_with_the_token(ring: KeyRing) -> None:
    scope = KeyScope(instance="lab", namespaces=("team", "team/tools"))
    issued = await ring.keys.create_key(name="ci", role=Role.CLIENT, scopes=[scope])
    limits = {INSTANCE_ID: frozenset({"team", "team/tools"})}

    assert issued.key.scopes == limits
    assert (await ring.checker.check(issued.token)).limits == limits


@pytest.mark.parametrize(
    ("scopes", "reason"),
    [
        ([KeyScope(instance="lab"), KeyScope(instance=INSTANCE_ID)], "INVALID_SCOPE"),
        ([KeyScope(instance="lab", namespaces=("",))], "INVALID_NAMESPACE"),
        ([KeyScope(instance="lab", namespaces=("a\0",))], "INVALID_NAMESPACE"),
        ([KeyScope(instance="lab", namespaces=("a",) * 101)], "INVALID_SCOPE"),
        ([KeyScope(instance="")], "INSTANCE_NOT_EXIST"),
    ],
)
async def test_limits_that_make_no_sense_are_refused(ring: KeyRing, scopes: list[KeyScope], reason: str) -> None:
    with pytest.raises(ServiceError) as caught:
        await ring.keys.create_key(name="ci", role=Role.CLIENT, scopes=scopes)

    assert caught.value.reason == reason
    assert not (await ring.keys.list_keys()).items


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(days=-1), timedelta(days=4000)])
async def test_a_life_that_is_none_is_refused(ring: KeyRing, lifetime: timedelta) -> None:
    with pytest.raises(ServiceError) as caught:
        await ring.keys.create_key(name="ci", role=Role.CLIENT, lifetime=lifetime)

    assert caught.value.reason == "INVALID_LIFETIME"


async def test_each_key_has_a_rate_of_its_own_and_is_told_when_to_come_back(ring: KeyRing) -> None:
    rates = Rates(ring.clock, per_second=2.0, burst=3)
    checker = TokenChecker(ring.pool, ring.store, ring.clock, rates)
    ci = (await ring.keys.create_key(name="ci", role=Role.CLIENT)).token
    other = (await ring.keys.create_key(name="other", role=Role.CLIENT)).token
    for _ in range(3):
        await checker.check(ci)
    with pytest.raises(ServiceError) as caught:
        await checker.check(ci)
    assert (caught.value.kind, caught.value.reason) == (Kind.RESOURCE_EXHAUSTED, "RATE_EXCEEDED")
    assert caught.value.retry_after == 0.5
    await checker.check(other)

    ring.clock.advance(0.5)
    await checker.check(ci)
    with pytest.raises(ServiceError):
        await checker.check(ci)


async def test_a_webhook_key_has_the_rate_of_its_instance_and_no_other(ring: KeyRing) -> None:
    checker = TokenChecker(ring.pool, ring.store, ring.clock, Rates(ring.clock, per_second=1.0, burst=1))
    hook = (await ring.keys.create_key(name="hook", role=Role.WEBHOOK, instance=INSTANCE_ID)).token
    for _ in range(5):
        assert (await checker.check(hook)).role is Role.WEBHOOK


async def test_an_access_key_is_rotated_with_its_key_and_both_open_until_the_overlap_is_over(
    ring: KeyRing,
) -> None:
    made = await ring.keys.create_key(name="sdk", role=Role.CLIENT, access_key=True)
    rotated = await ring.keys.rotate_key("sdk", overlap=timedelta(hours=1))
    old, new = made.access_key, rotated.access_key
    assert old is not None
    assert new is not None
    for each in (old, new):
        found = await ring.access_keys.find(each.access_key_id)
        assert found is not None
        assert (found[0].key_id, found[1]) == (made.key.key_id, each.secret)

    ring.clock.advance(3600)

    assert await ring.access_keys.find(old.access_key_id) is None
    assert await ring.access_keys.find(new.access_key_id) is not None


async def test_a_key_without_access_key_gets_none_by_a_rotation(ring: KeyRing) -> None:
    await ring.keys.create_key(name="ci", role=Role.CLIENT)

    assert (await ring.keys.rotate_key("ci")).access_key is None


async def test_two_access_keys_at_most_open_a_key(ring: KeyRing) -> None:
    first = (await ring.keys.create_key(name="sdk", role=Role.CLIENT, access_key=True)).access_key
    second = (await ring.keys.rotate_key("sdk")).access_key
    third = (await ring.keys.rotate_key("sdk")).access_key
    assert first is not None
    assert second is not None
    assert third is not None

    assert await ring.access_keys.find(first.access_key_id) is None
    for each in (second, third):
        assert await ring.access_keys.find(each.access_key_id) is not None


async def test_an_access_key_ends_with_its_key_and_tells_its_use(ring: KeyRing) -> None:
    made = await ring.keys.create_key(name="sdk", role=Role.CLIENT, access_key=True, lifetime=timedelta(minutes=1))
    assert made.access_key is not None
    await ring.access_keys.find(made.access_key.access_key_id)
    assert (await ring.keys.list_keys()).items[0].last_used_at == ring.clock.now()

    ring.clock.advance(60)

    assert await ring.access_keys.find(made.access_key.access_key_id) is None
