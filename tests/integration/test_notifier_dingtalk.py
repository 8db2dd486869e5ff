"""A DingTalk robot that judges as the vendor's does takes our calls, never too many, and is told everything."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.kernel.clock import SystemClock
from services.kernel.errors import ServiceError
from services.kernel.wakeup import wait
from services.notifier.api import Format, NewTarget, Target, TargetKind
from services.notifier.channels.chat import Pace
from services.notifier.channels.dingtalk import DingTalkChannel
from services.notifier.channels.interface import Outcome, Parcel
from services.notifier.channels.post import open_post
from services.notifier.robots import RobotWorker
from tests.builders.notifier import NotifierBench, notifier_bench, scan_event, way_out
from tests.dingtalk import SECRET, TOKEN, DingTalkRobot, serve_robot
from tests.fakes.clock import ManualClock


class Stage:
    """A notifier beside a robot; both live in a time that the test moves."""

    def __init__(self, bench: NotifierBench, robot: DingTalkRobot, clock: ManualClock) -> None:
        self.bench = bench
        self.robot = robot
        self.clock = clock
        self.worker = bench.robot_worker()
        self.sent: list[str] = []
        """Ids of deliveries that there must be."""

    async def target(self, name: str = "chat", *, secret: str = SECRET) -> Target:
        return await self.bench.target(self.robot.url, name, kind=TargetKind.DINGTALK, secret=secret)

    async def tell(
        self,
        target: Target,
        count: int = 1,
        *,
        tag: str = "1.0",
        state: str = "COMPLETE",
        reason: str = "",
        message: str = "",
    ) -> None:
        events = [str(uuid.uuid4()) for _ in range(count)]
        await self.bench.tell(
            *(
                scan_event(target.target_id, event_id=event, tag=tag, state=state, reason=reason, message=message)
                for event in events
            )
        )
        self.sent += [str(uuid.uuid5(uuid.UUID(event), target.target_id)) for event in events]

    async def call(self) -> int:
        """Lets the worker make the calls that it may; returns how many."""
        calls = await self.worker.claim(10)
        await asyncio.gather(*(self.worker.deliver(call) for call in calls))
        return len(calls)

    async def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.bench.later(seconds)

    def told(self) -> list[str]:
        """Returns the ids that occur in messages, each as often as it does."""
        return [id_ for message in self.robot.shown for id_ in self.sent if id_ in message.text]

    async def states(self) -> list[tuple[str, str]]:
        return [(row["state"], row["reason"]) for row in await self.bench.deliveries()]


@contextlib.asynccontextmanager
async def a_stage(database: str, **settings: float) -> AsyncIterator[Stage]:
    clock = ManualClock()
    robot = DingTalkRobot(
        # The database's time is what the test skips and what really goes by: so is the robot's.
        seconds=lambda: clock.monotonic() + time.monotonic(),
        now_ms=lambda: int(clock.now().timestamp() * 1000),
        keyword="Drydock",
    )
    async with notifier_bench(database, clock=clock, egress=None, **settings) as bench, serve_robot(robot):
        yield Stage(bench, robot, clock)


async def test_the_robot_takes_a_signed_message_that_says_what_happened(database: str) -> None:
    async with a_stage(database) as stage:
        await stage.tell(await stage.target())
        assert await stage.call() == 1
        (message,) = stage.robot.shown
        assert message.title == "Drydock: team/app:1.0"
        assert "### team/app:1.0\n**2 high, 1 low**\n" in message.text
        assert stage.told() == stage.sent
        assert await stage.states() == [("DELIVERED", "")]
        (receipt,) = await stage.bench.receipts()
        assert (receipt["outcome"], receipt["http_status"]) == ("DELIVERED", 200)
        assert '"errcode": 0' in receipt["excerpt"]


async def test_a_robot_without_a_secret_is_told_too(database: str) -> None:
    clock = ManualClock()
    async with notifier_bench(database, clock=clock) as bench, serve_robot(DingTalkRobot(secret="")) as robot:
        stage = Stage(bench, robot, clock)
        await stage.tell(await stage.target(secret=""))
        await stage.call()
        assert len(robot.shown) == 1


async def test_each_attempt_is_signed_anew_also_days_later(database: str) -> None:
    async with a_stage(database, age_seconds=1_000_000) as stage:
        stage.robot.says = [-1]
        await stage.tell(await stage.target())
        await stage.call()
        await stage.later(7200)
        await stage.call()
        assert (stage.robot.refused, len(stage.robot.shown)) == ([-1], 1)


@pytest.mark.parametrize(
    ("errcode", "state", "reason"),
    [
        (-1, "PENDING", "ROBOT_BUSY"),
        (130101, "PENDING", "ROBOT_MUTED"),
        (90030, "PENDING", "ROBOT_OVER_LIMIT"),
        (12345, "PENDING", "ROBOT_ERROR"),
        (310000, "DEAD", "ROBOT_REFUSES"),
        (300001, "DEAD", "ROBOT_UNKNOWN"),
        (460101, "DEAD", "ROBOT_REFUSES"),
    ],
)
async def test_the_code_in_the_body_decides(database: str, errcode: int, state: str, reason: str) -> None:
    async with a_stage(database) as stage:
        stage.robot.says = [errcode]
        await stage.tell(await stage.target())
        await stage.call()
        assert await stage.states() == [(state, reason)]
        (receipt,) = await stage.bench.receipts()
        assert (receipt["http_status"], str(errcode) in receipt["message"]) == (200, True)
        assert "as the test wants" in receipt["excerpt"]
        assert TOKEN not in str(list(receipt.items()))


async def test_a_wrong_secret_is_refused_at_once_and_not_tried_again(database: str) -> None:
    async with a_stage(database) as stage:
        await stage.tell(await stage.target(secret="SECwrong"))
        await stage.call()
        await stage.later(7200)
        assert await stage.call() == 0
        assert stage.robot.refused == [310000]
        assert await stage.states() == [("DEAD", "ROBOT_REFUSES")]


async def test_a_muted_robot_is_left_alone_for_ten_minutes(database: str) -> None:
    async with a_stage(database) as stage:
        stage.robot.says = [130101]
        target = await stage.target()
        await stage.tell(target)
        await stage.call()
        await stage.tell(target, 3)
        await stage.later(599)
        assert await stage.call() == 0
        await stage.later(2)
        assert await stage.call() == 1
        assert sorted(stage.told()) == sorted(stage.sent)
        assert len(stage.robot.shown) == 1


async def test_what_waits_is_merged_into_one_message_oldest_first(database: str) -> None:
    async with a_stage(database) as stage:
        target = await stage.target()
        for tag in ("v1", "v2", "v3"):
            await stage.tell(target, tag=tag)
            stage.clock.advance(1)
        assert await stage.call() == 1
        (message,) = stage.robot.shown
        assert message.title == "Drydock: 3 notifications"
        places = [message.text.index(f"team/app:{tag}") for tag in ("v1", "v2", "v3")]
        assert places == sorted(places)
        assert stage.told() == stage.sent
        assert [state for state, _ in await stage.states()] == ["DELIVERED"] * 3


async def test_what_failed_is_told_before_what_came_later(database: str) -> None:
    async with a_stage(database) as stage:
        stage.robot.says = [-1]
        target = await stage.target()
        await stage.tell(target, tag="first")
        await stage.call()
        stage.clock.advance(1)
        await stage.tell(target, tag="second")
        assert await stage.call() == 0
        await stage.later(3600)
        await stage.call()
        (message,) = stage.robot.shown
        assert message.text.index("app:first") < message.text.index("app:second")


async def test_a_message_never_has_more_bytes_than_the_robot_takes_and_nothing_is_dropped(database: str) -> None:
    async with a_stage(database) as stage:
        target = await stage.target()
        await stage.tell(target, 300, tag='\u00fc"\\' * 40)
        calls = 0
        while await stage.call():
            calls += 1
            await stage.later(30)
        assert stage.robot.refused == []
        assert calls == len(stage.robot.shown) > 2
        assert all(15_000 < message.size <= 20_000 for message in stage.robot.shown[:-1])
        assert sorted(stage.told()) == sorted(stage.sent)
        rows = await stage.bench.deliveries()
        assert {(row["state"], row["attempts"]) for row in rows} == {("DELIVERED", 1)}


async def test_one_text_that_the_robot_refuses_takes_no_other_with_it(database: str) -> None:
    async with a_stage(database) as stage:
        stage.robot.says = [430102, 430102]
        target = await stage.target()
        await stage.tell(target, 4)
        calls = 0
        while await stage.call():
            calls += 1
            await stage.later(10)
        assert calls == 5
        states = await stage.states()
        assert sorted(states) == [("DEAD", "ROBOT_REFUSES_TEXT")] + [("DELIVERED", "")] * 3
        assert len(set(stage.told())) == 3


async def test_markup_in_somebodys_text_is_no_markup(database: str) -> None:
    async with a_stage(database) as stage:
        hostile = "[pay](https://evil.example) @all <script>\n# big\u202e"
        await stage.tell(await stage.target(), state="FAILED", reason="BAD", message=hostile)
        await stage.call()
        (message,) = stage.robot.shown
        for piece in ("](", "https://evil", "@all", "<script>", "\n# big", "\u202e"):
            assert piece not in message.text


async def test_a_thousand_events_a_minute_are_all_told_in_at_most_twenty_calls(database: str) -> None:
    async with a_stage(database) as stage:
        target = await stage.target()
        workers = [stage.worker, stage.bench.robot_worker("second"), stage.bench.robot_worker("third")]
        for second in range(180):
            if second < 120:
                await stage.tell(target, 17 if second % 3 else 16)
            for worker in workers:
                for call in await worker.claim(10):
                    await worker.deliver(call)
            await stage.later(1)
        assert len(stage.sent) == 2000
        assert stage.robot.refused == []
        assert stage.robot.most_in_a_window() <= 20
        told = stage.told()
        assert sorted(told) == sorted(stage.sent)
        assert all(message.size <= 20_000 for message in stage.robot.shown)
        assert {row["state"] for row in await stage.bench.deliveries()} == {"DELIVERED"}


async def test_failures_count_as_calls(database: str) -> None:
    async with a_stage(database, retry_first_seconds=0.001, retry_longest_seconds=0.001, attempts=1000) as stage:
        stage.robot.says = [-1] * 1000
        await stage.tell(await stage.target())
        for _ in range(180):
            await stage.call()
            await stage.later(1)
        assert 30 < len(stage.robot.asked) <= 60
        assert stage.robot.most_in_a_window() <= 20


async def test_two_targets_of_one_robot_share_its_places(database: str) -> None:
    async with a_stage(database) as stage:
        one = await stage.target("one")
        stage.robot.url += "&from=two"
        two = await stage.target("two")
        for _ in range(90):
            await stage.tell(one)
            await stage.tell(two)
            await stage.call()
            await stage.later(1)
        assert stage.robot.refused == []
        assert stage.robot.most_in_a_window() <= 20


async def test_a_slow_call_holds_its_place_until_a_minute_after_its_end(database: str) -> None:
    async with a_stage(database) as stage:
        target = await stage.target()
        await stage.tell(target)
        (slow,) = await stage.worker.claim(10)
        await stage.later(25)  # under way: within its lease, and nobody knows when it arrives
        await stage.worker.deliver(slow)
        taken = await stage.bench.pool.fetchval("SELECT until - now() FROM notifier.robot_call")
        assert timedelta(seconds=60) < taken < timedelta(seconds=62)


async def test_a_dead_workers_call_is_repeated_with_its_ids_and_its_place_stays_taken(database: str) -> None:
    async with a_stage(database) as stage:
        target = await stage.target()
        await stage.tell(target, 2)
        (lost,) = await stage.bench.robot_worker("dead").claim(10)
        assert await stage.call() == 0
        await stage.later(60)
        assert await stage.call() == 1
        assert await stage.bench.pool.fetchval("SELECT count(*) FROM notifier.robot_call") == 2
        assert sorted(stage.told()) == sorted(claim.delivery_id for claim in lost.claims)
        receipts = [(r["attempt"], r["outcome"]) for r in await stage.bench.receipts()]
        assert sorted(receipts) == [(1, "UNKNOWN")] * 2 + [(2, "DELIVERED")] * 2


async def test_a_robot_that_is_away_delays_no_other(database: str) -> None:
    async with a_stage(database) as stage:
        away = await stage.bench.target(
            "http://127.0.0.1:9/robot/send?access_token=x", "away", kind=TargetKind.DINGTALK
        )
        await stage.tell(await stage.target())
        await stage.bench.tell(*(scan_event(away.target_id) for _ in range(50)))
        await stage.call()
        assert stage.told() == stage.sent
        dead = [row for row in await stage.bench.deliveries() if row["target_id"] == away.target_id]
        assert {(row["state"], row["reason"]) for row in dead} == {("PENDING", "TARGET_UNREACHABLE")}


async def test_the_robots_token_is_in_no_row(database: str) -> None:
    async with a_stage(database) as stage:
        await stage.tell(await stage.target())
        await stage.call()
        for table in ("target", "robot", "robot_call", "delivery", "receipt"):
            rows = await stage.bench.pool.fetch(f"TABLE notifier.{table}")
            kept = "".join(repr(list(row.items())) for row in rows)
            assert TOKEN not in kept
            assert SECRET not in kept


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://oapi.example/robot/send?access_token=x", "INVALID_URL"), ("ftp://oapi.example/", "INVALID_URL")],
)
async def test_a_robot_is_called_in_clear_on_this_machine_alone(database: str, url: str, reason: str) -> None:
    async with notifier_bench(database) as bench:
        with pytest.raises(ServiceError) as caught:
            await bench.target(url, kind=TargetKind.DINGTALK)
        assert caught.value.reason == reason
        with pytest.raises(ServiceError) as caught:
            await bench.api.create_target(
                NewTarget(
                    name="chat",
                    kind=TargetKind.DINGTALK,
                    url="https://oapi.example/",
                    format=Format.CLOUDEVENTS_BINARY,
                )
            )
        assert caught.value.reason == "INVALID_TARGET_FORMAT"


class Wayward(DingTalkChannel):
    """A channel whose minute has three seconds, and whose calls arrive sooner or later."""

    pace = Pace(places=20, window_seconds=3.05, at_once=20, spacing_seconds=0.0)
    _delays = itertools.cycle((0.0, 0.5, 0.02, 0.0, 0.2))

    async def send(self, parcel: Parcel) -> Outcome:
        await wait(asyncio.Event(), next(self._delays))
        return await super().send(parcel)


async def test_several_workers_in_real_time_never_call_too_often(database: str) -> None:
    robot, stopping = DingTalkRobot(window=3.0), asyncio.Event()

    async def work(worker: RobotWorker) -> None:
        while not stopping.is_set():
            for call in await worker.claim(1):
                await worker.deliver(call)
            await wait(stopping, 0.01)

    async with (
        notifier_bench(database, clock=SystemClock()) as bench,
        serve_robot(robot),
        open_post(way_out(), bench.clock, attempt_seconds=5.0) as post,
        asyncio.TaskGroup() as tasks,
    ):
        stage = Stage(bench, robot, ManualClock())
        targets = []
        for number in range(4):
            targets.append(await stage.target(f"t{number}"))
            robot.url += "&x=y"
        chats = {TargetKind.DINGTALK: Wayward(post, bench.clock)}
        for number in range(4):
            tasks.create_task(work(bench.robot_worker(f"w{number}", chats)))
        async with asyncio.timeout(90):
            for _ in range(60):
                for target in targets:
                    await stage.tell(target, 4)
                await wait(stopping, 0.05)
            while {row["state"] for row in await bench.deliveries()} != {"DELIVERED"}:
                await wait(stopping, 0.1)
        stopping.set()
    assert robot.refused == []
    assert robot.most_in_a_window() <= 20
    assert len(robot.asked) > 20
    assert sorted(stage.told()) == sorted(stage.sent)
