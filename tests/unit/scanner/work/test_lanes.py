"""Every lane gets its share of a process, and those that somebody waits for always find a place soon."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.lanes import LANE_BULK, LANE_PERSON, LANE_PUSH, LANE_REEVALUATION, LANES
from services.scanner.work.lanes import WEIGHTS, Slots

BACKGROUND = {LANE_REEVALUATION, LANE_BULK}


def begin(slots: Slots, waiting: Counter[int], now: float = 0.0) -> int | None:
    """Begins a scan as the worker does: of the first lane in the order in which one waits."""
    for lane in slots.open_lanes(now):
        if waiting[lane]:
            waiting[lane] -= 1
            slots.take(lane, now)
            return lane
    return None


def starts(slots: Slots, waiting: Counter[int], count: int) -> list[int | None]:
    """Begins and ends scans one after the other."""
    begun = []
    for second in range(count):
        lane = begin(slots, waiting, second)
        begun.append(lane)
        if lane is not None:
            slots.give_back(lane, second)
    return begun


def test_lanes_that_all_have_work_share_it_by_their_weights() -> None:
    rounds = 20
    begun = Counter(starts(Slots(4, 1), Counter(dict.fromkeys(LANES, 10_000)), rounds * sum(WEIGHTS.values())))
    assert begun == {lane: weight * rounds for lane, weight in WEIGHTS.items()}


def test_bulk_never_has_every_slot_and_a_push_begins_at_once() -> None:
    slots, waiting = Slots(4, 1), Counter({LANE_BULK: 50_000})
    assert [begin(slots, waiting) for _ in range(4)] == [LANE_BULK, LANE_BULK, LANE_BULK, None]
    waiting[LANE_PUSH] += 1
    assert begin(slots, waiting) == LANE_PUSH
    assert slots.open_lanes(0.0) == ()


def test_a_push_after_much_bulk_work_is_the_next_that_begins() -> None:
    slots, waiting = Slots(1, 1), Counter({LANE_BULK: 50_000})
    starts(slots, waiting, 1_000)
    waiting[LANE_PUSH] += 5
    assert starts(slots, waiting, 5).count(LANE_PUSH) >= 4


def test_a_lane_that_had_nothing_to_do_has_not_saved_up() -> None:
    slots, waiting = Slots(4, 1), Counter({LANE_PERSON: 10_000})
    starts(slots, waiting, 1_000)
    waiting[LANE_PUSH] += 10_000
    begun = Counter(starts(slots, waiting, 300))
    assert begun[LANE_PUSH] == pytest.approx(200, abs=2)
    assert begun[LANE_PERSON] == pytest.approx(100, abs=2)


def test_while_pushes_come_bulk_goes_on_one_at_a_time() -> None:
    slots, waiting = Slots(8, 1), Counter({LANE_BULK: 100, LANE_PUSH: 1})
    assert [begin(slots, waiting, now=10.0) for _ in range(3)] == [LANE_PUSH, LANE_BULK, None]
    slots.give_back(LANE_PUSH, 10.0)
    assert begin(slots, waiting, now=11.0) is None
    slots.give_back(LANE_BULK, 11.0)
    assert [begin(slots, waiting, now=now) for now in (11.4, 11.6, 11.8)] == [None, LANE_BULK, None]
    assert [begin(slots, waiting, now=13.0) for _ in range(7)] == [*[LANE_BULK] * 6, None]


def test_one_slot_alone_is_for_everybody() -> None:
    slots = Slots(1, 1)
    assert set(slots.open_lanes(0.0)) == set(LANES)


@given(
    total=st.integers(1, 6),
    reserved=st.integers(0, 6),
    steps=st.lists(st.one_of(st.sampled_from(LANES), st.just("begin"), st.just("end")), max_size=200),
)
def test_no_lane_waits_longer_than_all_weights_together(total: int, reserved: int, steps: list[int | str]) -> None:
    slots, waiting = Slots(total, reserved), Counter[int]()
    running: deque[int] = deque()
    passed_over: Counter[int] = Counter()
    for now, step in enumerate([*steps, *["begin", "end"] * 400]):
        if isinstance(step, int):
            waiting[step] += 1
        elif step == "end" and running:
            slots.give_back(running.popleft(), now)
        elif step == "begin":
            allowed = set(slots.open_lanes(now))
            lane = begin(slots, waiting, now)
            if lane is None:
                assert not any(waiting[each] for each in allowed)
                continue
            running.append(lane)
            passed_over[lane] = 0
            for each in allowed - {lane}:
                passed_over[each] = passed_over[each] + 1 if waiting[each] else 0
                assert passed_over[each] < sum(WEIGHTS.values())
        assert len(running) <= total
        assert sum(lane in BACKGROUND for lane in running) <= max(total - reserved, 1)
    assert not waiting.total()


def test_who_waits_for_a_lane_from_elsewhere_is_not_passed_over_by_bulk() -> None:
    slots = Slots(2, 1)
    slots.take(LANE_BULK, 0.0)
    slots.give_back(LANE_BULK, 0.0)
    with slots.asking(LANE_REEVALUATION):
        assert LANE_BULK not in slots.open_lanes(0.0)
        assert {LANE_PUSH, LANE_PERSON, LANE_REEVALUATION} == set(slots.open_lanes(0.0))
        for _ in range(3):
            slots.take(LANE_REEVALUATION, 0.0)
            slots.give_back(LANE_REEVALUATION, 0.0)
        assert LANE_BULK in slots.open_lanes(0.0)  # it is its turn, with whoever asks still there
    assert set(slots.open_lanes(0.0)) == set(LANES)


def test_who_hears_of_slots_is_told_of_each_that_is_given_back() -> None:
    slots, heard = Slots(2, 1), Counter[str]()
    with slots.hearing(lambda: heard.update(["freed"])):
        slots.take(LANE_BULK, 0.0)
        slots.give_back(LANE_BULK, 0.0)
    slots.take(LANE_BULK, 0.0)
    slots.give_back(LANE_BULK, 0.0)
    assert heard["freed"] == 1
