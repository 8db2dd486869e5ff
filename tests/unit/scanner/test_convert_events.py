"""What the scanner reads from the bus: a record that cannot be read is a BAD_EVENT, whatever is wrong in it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from drydock.events.v1 import image_event_pb2, scan_request_pb2
from drydock.events.v1.scan_request_pb2 import ScanRequest
from services.kernel.bus.interface import IMAGE_EVENTS, SCAN_REQUESTS, Message, Record
from services.kernel.errors import ServiceError
from services.kernel.model.digest import digest_of
from services.kernel.model.engine import Engine
from services.scanner.convert_events import from_image_event, from_scan_request
from services.scanner.events import TagPushed
from services.scanner.lanes import LANE_BULK, LANE_PERSON, LANE_PUSH, LANE_REEVALUATION

DIGEST = digest_of(b"image")
UUID = str(uuid.UUID(int=7))
NO_TIME = {"seconds": 1 << 50}
PUSH = image_event_pb2.ImageEvent.ACTION_PUSH
PLACE = {"instance_id": "cri-1", "namespace": "team", "repository": "app", "tag": "1.0"}


def record(topic: str, value: bytes) -> Record:
    return Record(message=Message(topic=topic, key=b"k", value=value), partition=0, position="0")


def a_push(**changes: Any) -> Record:
    fields = {
        "event_id": UUID,
        "action": PUSH,
        **PLACE,
        "digest": DIGEST,
        "occurred_at": {"seconds": 1},
        **changes,
    }
    return record(IMAGE_EVENTS, image_event_pb2.ImageEvent(**fields).SerializeToString())


def a_request(**changes: Any) -> Record:
    fields = {"task_id": UUID, **PLACE, "digest": DIGEST, "engine": "SECURITY_CENTER", **changes}
    return record(SCAN_REQUESTS, scan_request_pb2.ScanRequest(**fields).SerializeToString())


def test_a_push_and_a_request_are_read() -> None:
    push, request = from_image_event(a_push()), from_scan_request(a_request())
    assert isinstance(push, TagPushed)
    assert (push.event_id, push.image.digest) == (UUID, DIGEST)
    assert (request.task_id, request.image, request.engine) == (UUID, push.image, Engine.SECURITY_CENTER)


@pytest.mark.parametrize(
    ("said", "lane"),
    [
        ({}, LANE_PUSH),  # from a release that knew no lanes
        ({"lane": ScanRequest.LANE_PUSH}, LANE_PUSH),
        ({"lane": ScanRequest.LANE_PERSON}, LANE_PERSON),
        ({"lane": ScanRequest.LANE_REEVALUATION}, LANE_REEVALUATION),
        ({"lane": ScanRequest.LANE_BULK}, LANE_BULK),
        ({"lane": 99}, LANE_BULK),  # from a release that knows more of them
    ],
)
def test_a_request_says_in_which_lane_it_waits(said: dict[str, int], lane: int) -> None:
    assert from_scan_request(a_request(**said)).lane == lane


@pytest.mark.parametrize(
    "bad",
    [
        record(IMAGE_EVENTS, b"\xff"),
        a_push(event_id="no uuid"),
        a_push(event_id=""),
        a_push(occurred_at=NO_TIME),
        a_push(digest=""),
        a_push(digest="md5:1"),
        a_push(digest="a" * 64),
    ],
)
def test_a_push_that_cannot_be_read_is_refused(bad: Record) -> None:
    with pytest.raises(ServiceError) as caught:
        from_image_event(bad)
    assert caught.value.reason == "BAD_EVENT"


@pytest.mark.parametrize(
    "bad",
    [
        record(SCAN_REQUESTS, b"\xff"),
        a_request(task_id="no uuid"),
        a_request(requested_at=NO_TIME),
        a_request(digest=""),
        a_request(digest="md5:1"),
        a_request(engine=""),
        a_request(engine="CLAIR"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused(bad: Record) -> None:
    with pytest.raises(ServiceError) as caught:
        from_scan_request(bad)
    assert caught.value.reason == "BAD_EVENT"
