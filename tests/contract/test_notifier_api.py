"""What the notifier promises, kept by the application in process and by its client across the network."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.kernel.errors import Kind, ServiceError
from services.notifier.api import Format, NewTarget, NotifierApi, TargetChange, TargetKind
from services.notifier.client import NotifierClient
from services.notifier.servicer import inner_services
from tests.builders.notifier import notifier_bench
from tests.builders.peers import inner_door, peer_at


@pytest.fixture(params=["application", "client"])
async def api(request: pytest.FixtureRequest, database: str) -> AsyncIterator[NotifierApi]:
    async with notifier_bench(database) as bench:
        if request.param == "application":
            yield bench.api
            return
        async with inner_door(inner_services(bench.api)) as door, peer_at(door.address) as peer:
            yield NotifierClient(peer)


async def test_targets_live_and_die(api: NotifierApi) -> None:
    made = await api.create_target(NewTarget(name="chat", kind=TargetKind.HTTPS, url="https://chat.example/hook"))
    assert (made.name, made.kind, made.url) == ("chat", TargetKind.HTTPS, "https://chat.example/hook")
    other = await api.create_target(NewTarget(name="board", kind=TargetKind.HTTP, url="http://board.example/"))
    page = await api.list_targets(page_size=1)
    rest = await api.list_targets(page_size=1, page_token=page.next_token)
    assert (*page.items, *rest.items) == (other, made)
    await api.delete_target("chat")
    await api.delete_target(other.target_id)
    assert (await api.list_targets()).items == ()


async def test_what_is_named_of_a_target_changes_and_the_rest_stays(api: NotifierApi) -> None:
    made = await api.create_target(
        NewTarget(name="chat", kind=TargetKind.HTTP, url="http://chat.example/hook", secret="first")
    )
    assert (made.has_secret, made.format, made.old_secret_until) == (True, Format.JSON, None)
    moved = await api.update_target("chat", TargetChange(url="http://board.example/"))
    assert (moved.url, moved.has_secret, moved.target_id) == ("http://board.example/", True, made.target_id)
    formed = await api.update_target(made.target_id, TargetChange(format=Format.CLOUDEVENTS_BINARY))
    assert (formed.url, formed.format) == ("http://board.example/", Format.CLOUDEVENTS_BINARY)
    turned = await api.update_target("chat", TargetChange(secret="second", overlap=timedelta(hours=1)))
    assert turned.old_secret_until is not None
    bare = await api.update_target("chat", TargetChange(secret=""))
    assert (bare.has_secret, bare.old_secret_until) == (False, None)
    assert (await api.list_targets()).items == (bare,)


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        (TargetChange(url="https://chat.example/"), "INVALID_URL", "url"),
        (TargetChange(url="http://169.254.169.254/"), "ADDRESS_REFUSED", "url"),
        (TargetChange(url="http://10.0.0.1/"), "ADDRESS_NOT_ALLOWED", "url"),
        (TargetChange(secret="a\nb"), "INVALID_SECRET", "secret"),
        (TargetChange(secret="s" * 2000), "INVALID_SECRET", "secret"),
        (TargetChange(secret="s", overlap=timedelta(days=31)), "INVALID_OVERLAP", "overlap"),
        (TargetChange(ca_certificates="PEM"), "INVALID_CERTIFICATES", "ca_certificates"),
    ],
)
async def test_a_change_outside_the_rules_is_refused_and_changes_nothing(
    api: NotifierApi, change: TargetChange, reason: str, field: str
) -> None:
    made = await api.create_target(NewTarget(name="chat", kind=TargetKind.HTTP, url="http://chat.example/"))
    with pytest.raises(ServiceError) as caught:
        await api.update_target("chat", change)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert (await api.list_targets()).items == (made,)


async def test_targets_are_known_by_their_ids(api: NotifierApi) -> None:
    made = await api.create_target(NewTarget(name="chat", kind=TargetKind.HTTPS, url="https://chat.example/hook"))
    await api.check_targets([])
    await api.check_targets((made.target_id,))
    with pytest.raises(ServiceError) as caught:
        await api.check_targets([made.target_id, "tgt-none"])
    assert (caught.value.reason, caught.value.field) == ("TARGET_NOT_EXIST", "target_ids")


async def test_refusals_keep_kind_reason_and_field(api: NotifierApi) -> None:
    url = "http://chat.example/"
    await api.create_target(NewTarget(name="chat", kind=TargetKind.HTTP, url=url))
    for call, kind, reason, field in (
        (
            api.create_target(NewTarget(name="chat", kind=TargetKind.HTTP, url=url)),
            Kind.ALREADY_EXISTS,
            "TARGET_ALREADY_EXIST",
            "name",
        ),
        (
            api.create_target(NewTarget(name="NO", kind=TargetKind.HTTP, url=url)),
            Kind.INVALID_ARGUMENT,
            "INVALID_NAME",
            "name",
        ),
        (api.update_target("none", TargetChange()), Kind.NOT_FOUND, "TARGET_NOT_EXIST", ""),
        (api.delete_target("none"), Kind.NOT_FOUND, "TARGET_NOT_EXIST", ""),
        (api.list_targets(page_token="junk"), Kind.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN", "page_token"),
    ):
        with pytest.raises(ServiceError) as caught:
            await call
        assert (caught.value.kind, caught.value.reason, caught.value.field) == (kind, reason, field)


def test_the_client_has_every_method_of_the_interface() -> None:
    for name, method in inspect.getmembers(NotifierApi, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(getattr(NotifierClient, name)) == inspect.signature(method), name
