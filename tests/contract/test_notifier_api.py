"""What the notifier promises, kept by the application in process and by its client across the network."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.kernel.errors import Kind, ServiceError
from services.notifier.api import (
    DeliveryFilter,
    DeliveryState,
    EventRecordFilter,
    EventRule,
    Format,
    NewTarget,
    NotifierApi,
    Occasion,
    Subscription,
    TargetChange,
    TargetKind,
)
from services.notifier.client import NotifierClient
from services.notifier.servicer import inner_services
from tests.builders.notifier import MOMENT, NotifierBench, notifier_bench, scan_event
from tests.builders.peers import inner_door, peer_at


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The interface, and what stands behind it."""

    api: NotifierApi
    notifier: NotifierBench


@pytest.fixture(params=["application", "client"])
async def bench(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Bench]:
    async with notifier_bench(database) as notifier:
        if request.param == "application":
            yield Bench(api=notifier.api, notifier=notifier)
            return
        async with inner_door(inner_services(notifier.api)) as door, peer_at(door.address) as peer:
            yield Bench(api=NotifierClient(peer), notifier=notifier)


@pytest.fixture
def api(bench: Bench) -> NotifierApi:
    return bench.api


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


async def test_what_a_target_is_told_of_can_be_said_and_read(api: NotifierApi) -> None:
    await api.create_target(NewTarget(name="chat", kind=TargetKind.HTTPS, url="https://chat.example/hook"))
    assert await api.get_subscription("chat") == Subscription()
    wanted = Subscription(occasions=frozenset({Occasion.FINDINGS}), new_only=True, namespaces=("team",))
    assert await api.set_subscription("chat", wanted) == await api.get_subscription("chat") == wanted
    with pytest.raises(ServiceError) as caught:
        await api.set_subscription("chat", Subscription(tag_pattern="("))
    assert (caught.value.reason, caught.value.field) == ("INVALID_TAG_PATTERN", "tag_pattern")


async def test_deliveries_are_listed_shown_and_not_replayed_while_they_live(bench: Bench) -> None:
    api = bench.api
    target = await api.create_target(NewTarget(name="chat", kind=TargetKind.HTTP, url="http://127.0.0.1:9/"))
    await bench.notifier.tell(scan_event(target.target_id), scan_event(target.target_id))
    page = await api.list_deliveries(DeliveryFilter(target="chat", state=DeliveryState.PENDING), page_size=1)
    [delivery] = page.items
    assert page.next_token
    account = await api.get_delivery(delivery.delivery_id)
    assert (account.delivery, account.attempts) == (delivery, ())
    assert json.loads(account.body)["delivery_id"] == delivery.delivery_id
    assert await api.replay_deliveries("chat") == 0
    with pytest.raises(ServiceError) as caught:
        await api.replay_delivery(delivery.delivery_id)
    assert (caught.value.kind, caught.value.reason) == (Kind.FAILED_PRECONDITION, "DELIVERY_NOT_DEAD")
    assert caught.value.metadata["state"] == "PENDING"


async def test_event_rules_are_made_changed_listed_and_deleted(bench: Bench) -> None:
    api = bench.api
    target = await api.create_target(NewTarget(name="chat", kind=TargetKind.HTTP, url="http://127.0.0.1:9/"))
    wanted = EventRule(
        rule_id="", instance_id="cri-1", name="all", target_id="chat", created_at=MOMENT, updated_at=MOMENT
    )
    made = await api.create_event_rule(wanted)
    assert (made.rule_id[:6], made.target_id) == ("crecr-", target.target_id)
    assert await api.list_event_rules("cri-1") == (made,)
    assert await api.list_event_rules("cri-2") == ()
    changed = await api.update_event_rule(dataclasses.replace(made, tag_pattern="v.*"))
    assert await api.list_event_rules("cri-1") == (changed,)
    await bench.notifier.tell(scan_event())  # 1.0 is none of these tags
    assert await api.list_event_records(EventRecordFilter(instance_id="cri-1")) == ((), 0)
    await api.update_event_rule(dataclasses.replace(made, tag_pattern=""))
    await bench.notifier.tell(scan_event())
    (record,), total = await api.list_event_records(EventRecordFilter(instance_id="cri-1"), size=1)
    assert (record.rule_id, record.kind, total) == (made.rule_id, "HTTP", 1)
    await api.delete_event_rule("cri-1", made.rule_id)
    with pytest.raises(ServiceError) as caught:
        await api.delete_event_rule("cri-1", made.rule_id)
    assert (caught.value.kind, caught.value.reason) == (Kind.NOT_FOUND, "EVENT_RULE_NOT_EXIST")


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
