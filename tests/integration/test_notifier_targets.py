"""Targets on a real database."""

from __future__ import annotations

import pytest

from services.kernel.errors import Kind, ServiceError
from services.notifier.api import TargetKind
from tests.builders.notifier import notifier_bench, scan_event

URL = "http://127.0.0.1:9/hook"


async def test_a_target_is_saved_and_listed_by_name(database: str) -> None:
    async with notifier_bench(database) as bench:
        made = [await bench.target(URL, name) for name in ("c", "a", "b")]
        first = await bench.api.list_targets(page_size=2)
        rest = await bench.api.list_targets(page_size=2, page_token=first.next_token)
        assert [target.name for target in (*first.items, *rest.items)] == ["a", "b", "c"]
        assert rest.next_token == ""
        assert made[0] in rest.items
        assert made[0].target_id.startswith("tgt-")


async def test_a_taken_name_and_a_bad_url_are_refused(database: str) -> None:
    async with notifier_bench(database) as bench:
        await bench.target(URL)
        with pytest.raises(ServiceError) as caught:
            await bench.target(URL)
        assert (caught.value.kind, caught.value.reason) == (Kind.ALREADY_EXISTS, "TARGET_ALREADY_EXIST")
        with pytest.raises(ServiceError) as caught:
            await bench.target(URL, "b", kind=TargetKind.HTTPS)
        assert caught.value.reason == "INVALID_URL"


async def test_a_target_is_deleted_by_id_or_name_and_only_once(database: str) -> None:
    async with notifier_bench(database) as bench:
        one = await bench.target(URL, "one")
        await bench.target(URL, "two")
        await bench.api.delete_target(one.target_id)
        await bench.api.delete_target("two")
        for gone in (one.target_id, "two", "", "x\0"):
            with pytest.raises(ServiceError) as caught:
                await bench.api.delete_target(gone)
            assert caught.value.reason == "TARGET_NOT_EXIST"


async def test_deleting_a_target_cancels_what_is_under_way_to_it(database: str) -> None:
    async with notifier_bench(database) as bench:
        gone, stays = await bench.target(URL, "gone"), await bench.target(URL, "stays")
        await bench.tell(scan_event(gone.target_id, stays.target_id))
        await bench.api.delete_target("gone")
        states = {row["target_id"]: (row["state"], row["reason"]) for row in await bench.deliveries()}
        assert states == {gone.target_id: ("CANCELLED", "TARGET_DELETED"), stays.target_id: ("PENDING", "")}
