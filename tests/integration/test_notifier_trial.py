"""A test of a target: one attempt, and exactly what the other side said."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from services.kernel.egress import Egress
from services.kernel.errors import Kind, ServiceError
from services.notifier.api import TargetChange, TargetKind
from tests.builders.images import FixedNames
from tests.builders.notifier import answering, notifier_bench, scan_event, serve_site
from tests.dingtalk import SECRET, DingTalkRobot, serve_robot
from tests.fakes.clock import ManualClock

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "notification.schema.json").read_text())


async def test_a_target_that_takes_it_gets_a_notification_like_any_other_and_no_delivery_is_left(
    database: str,
) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(202, text="queued as 17")) as site:
        target = await bench.target(site.url, secret="s3cr3t")
        answer = await bench.api.send_test_notification(target.target_id)
        assert (answer.delivered, answer.status, answer.answer) == (True, 202, "queued as 17")
        assert (answer.reason, answer.message) == ("", "")
        (hit,) = site.hits
        body = json.loads(hit.body)
        jsonschema.Draft202012Validator(SCHEMA).validate(body)
        assert body["event"] == hit.headers["Drydock-Event"] == "target.test"
        assert body["delivery_id"] == hit.headers["Drydock-Delivery"] == answer.delivery_id
        assert "Drydock-Signature" in hit.headers
        assert await bench.deliveries() == []
        assert await bench.receipts() == []


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (500, "the queue is full", "TARGET_ERROR"),
        (404, "no such hook", "TARGET_REFUSES"),
        (302, "go away", "TARGET_REDIRECTS"),
    ],
)
async def test_a_refusal_is_told_as_it_was_said_and_not_tried_again(
    database: str, status: int, text: str, reason: str
) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(status, text=text)) as site:
        await bench.target(site.url)
        answer = await bench.api.send_test_notification("chat")
        assert (answer.delivered, answer.status, answer.answer, answer.reason) == (False, status, text, reason)
        assert str(status) in answer.message
        assert len(site.hits) == 1


async def test_an_answer_that_repeats_the_url_does_not_tell_it(database: str) -> None:
    async with (
        notifier_bench(database) as bench,
        serve_site(answering(404, text="no /hook/t0k3n-of-mine")) as site,
    ):
        await bench.target(f"{site.url}/t0k3n-of-mine")
        answer = await bench.api.send_test_notification("chat")
        assert answer.answer == "no [hidden]"


async def test_nobody_there_is_told_too(database: str) -> None:
    async with notifier_bench(database) as bench:
        await bench.target("http://127.0.0.1:9/")
        answer = await bench.api.send_test_notification("chat")
        assert (answer.delivered, answer.status, answer.reason) == (False, None, "TARGET_UNREACHABLE")


async def test_a_place_that_must_not_be_called_is_not_called_for_a_test(database: str) -> None:
    names = FixedNames("8.8.8.8")
    async with notifier_bench(database, egress=Egress(names=names)) as bench, serve_site() as site:
        await bench.target(site.url.replace("127.0.0.1", "rebinding.example"))
        names.lead_to("127.0.0.1")
        answer = await bench.api.send_test_notification("chat")
        assert (answer.delivered, answer.reason, site.hits) == (False, "ADDRESS_NOT_ALLOWED", [])


@pytest.mark.parametrize("name", ["nobody", "tgt-none", "", "a\0"])
async def test_a_target_that_does_not_exist_is_not_tested(database: str, name: str) -> None:
    async with notifier_bench(database) as bench:
        with pytest.raises(ServiceError) as caught:
            await bench.api.send_test_notification(name)
        assert caught.value.reason == "TARGET_NOT_EXIST"


async def test_a_robot_says_its_errcode_and_a_test_takes_one_of_its_places(database: str) -> None:
    clock = ManualClock()
    robot = DingTalkRobot(now_ms=lambda: int(clock.now().timestamp() * 1000), keyword="Drydock")
    async with notifier_bench(database, clock=clock) as bench, serve_robot(robot):
        target = await bench.target(robot.url, kind=TargetKind.DINGTALK, secret="SECwrong")
        wrong = await bench.api.send_test_notification("chat")
        assert (wrong.delivered, wrong.status, wrong.reason) == (False, 200, "ROBOT_REFUSES")
        assert json.loads(wrong.answer) == {"errcode": 310000, "errmsg": "sign not match"}
        changed = await bench.api.update_target("chat", TargetChange(secret=SECRET))
        assert changed.old_secret_until is None  # a robot knows one secret
        for _ in range(19):
            assert (await bench.api.send_test_notification("chat")).delivered
        with pytest.raises(ServiceError) as caught:
            await bench.api.send_test_notification("chat")
        assert (caught.value.kind, caught.value.reason) == (Kind.RESOURCE_EXHAUSTED, "ROBOT_RESTING")
        assert 30 < (caught.value.retry_after or 0) <= 61
        await bench.tell(scan_event(target.target_id))
        assert await bench.robot_worker().claim(10) == ()
        assert len(robot.asked) == 20
        assert "a test" in robot.shown[0].text
