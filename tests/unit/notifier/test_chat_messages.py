"""Messages to chats: within their bytes whatever a notification holds, and nothing in them that is not ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifier.channels import words
from services.notifier.channels.chat import ChatChannel, fill
from services.notifier.channels.dingtalk import LONGEST_BODY, DingTalkChannel
from services.notifier.channels.post import open_post
from services.notifier.convert_events import from_scan_event
from services.notifier.events import News
from services.notifier.payload import Notification, notification_of
from tests.builders.notifier import scan_event, way_out
from tests.builders.whole import whole
from tests.fakes.clock import ManualClock


def said(**changes: object) -> Notification:
    event = from_scan_event(scan_event("tgt-1").message.value)
    return msgspec.structs.replace(notification_of(event, News.SCAN_COMPLETED, "tgt-1", occasions=()), **changes)


@asynccontextmanager
async def robots() -> AsyncIterator[ChatChannel]:
    async with open_post(way_out(), ManualClock(), attempt_seconds=1.0) as post:
        yield DingTalkChannel(post, ManualClock())


TEXT = st.text(st.characters(codec="utf-8"), max_size=600) | st.sampled_from(['"\\\n' * 900, "\U0001f6a2" * 900])


@given(
    st.lists(
        whole(Notification, **dict.fromkeys(("tag", "digest", "message", "task_id", "time"), TEXT)), min_size=1
    )
)
@settings(max_examples=60, deadline=None)
async def test_a_message_fits_whatever_it_says(many: list[Notification]) -> None:
    async with robots() as robot:
        written = robot.write(many)
    assert 1 <= written.count <= len(many)
    assert len(written.body) <= LONGEST_BODY
    markdown = json.loads(written.body)["markdown"]
    assert markdown["title"].startswith("Drydock")
    assert markdown["text"]


@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=60), st.integers(200, 600))
def test_a_message_is_as_full_as_it_can_be(lines: list[str], longest: int) -> None:
    def write(some: list[str]) -> bytes:
        return msgspec.json.encode([str(len(some)), *some])

    written = fill(lines, lambda some: write(list(some)), longest=longest)
    assert written.body == write(lines[: written.count])
    assert len(written.body) <= longest
    if written.count < len(lines):
        assert len(write(lines[: written.count + 1])) > longest - len("99")


@pytest.mark.parametrize(
    ("changes", "summary"),
    [
        ({}, "2 high, 1 low"),
        ({"coverage": "PARTIAL"}, "2 high, 1 low (coverage partial)"),
        (
            {"findings": {}, "coverage": "NONE", "reason": "NO_ADVISORIES"},
            "nothing could be judged: NO_ADVISORIES",
        ),
        ({"findings": {}}, "nothing found"),
        ({"status": "FAILED", "reason": "LAYER_TOO_LARGE"}, "not scanned: LAYER_TOO_LARGE"),
    ],
)
def test_a_summary_says_what_there_is_to_know(changes: dict[str, object], summary: str) -> None:
    assert words.summary_of(said(**changes)) == summary


def test_an_image_is_called_by_its_tag_or_its_digest() -> None:
    assert words.image_of(said()) == "team/app:1.0"
    assert words.image_of(said(tag="", digest="sha256:ab")) == "team/app@sha256:ab"
