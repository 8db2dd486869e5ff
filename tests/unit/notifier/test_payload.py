"""The body of a notification, and which events make one."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.events.v1.scan_event_pb2 import Reevaluation
from services.kernel.errors import ServiceError
from services.kernel.model.finding import FindingKind
from services.kernel.model.severity import Severity
from services.notifier.api import Occasion
from services.notifier.convert_events import from_scan_event
from services.notifier.events import News, news_in
from services.notifier.filters import Unanswered
from services.notifier.payload import delivery_id_of, encode, notification_of
from services.scanner.api import Comparison
from tests.builders.notifier import scan_event
from tests.builders.reports import FINDINGS, malware
from tests.builders.whole import whole

_SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "notification.schema.json").read_text())
_VALIDATOR = jsonschema.Draft202012Validator(
    _SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)

COUNTS = st.dictionaries(
    st.sampled_from(FindingKind), st.dictionaries(st.sampled_from(Severity), st.integers(1, 10**6), min_size=1)
)


@given(
    state=st.sampled_from(["COMPLETE", "FAILED"]),
    findings=st.dictionaries(st.sampled_from([s.value for s in Severity]), st.integers(1, 1000)),
    coverage=st.sampled_from(["FULL", "PARTIAL", "NONE", ""]),
    message=st.text(st.characters(codec="utf-8"), max_size=50),
)
def test_every_notification_is_what_the_schema_says(
    state: str, findings: dict[str, int], coverage: str, message: str
) -> None:
    event = from_scan_event(
        scan_event("tgt-1", state=state, findings=findings, coverage=coverage, message=message).message.value
    )
    for news in (News.SCAN_COMPLETED, News.SCAN_FAILED):
        body = json.loads(encode(notification_of(event, news, "tgt-1", occasions=tuple(Occasion))))
        _VALIDATOR.validate(body)
        assert set(body) == set(_SCHEMA["required"])
        assert body["findings"]["total"] == sum(findings.values())
        assert body["message"] == message


def test_a_notification_says_what_happened_to_what() -> None:
    event = from_scan_event(scan_event("tgt-1", event_id=str(uuid.UUID(int=7))).message.value)
    body = json.loads(encode(notification_of(event, News.SCAN_COMPLETED, "tgt-1", occasions=())))
    assert body["event"] == "scan.completed"
    assert body["time"] == "2026-11-24T12:00:00.000Z"
    assert body["repository"] == {"repo_id": "crr-1", "namespace": "team", "name": "app"}
    assert body["findings"] == {"UNKNOWN": 0, "LOW": 1, "MEDIUM": 0, "HIGH": 2, "CRITICAL": 0, "total": 3}
    assert (body["tag"], body["status"], body["rule_ids"]) == ("1.0", "COMPLETE", ["crscnr-1"])


def test_a_delivery_has_one_id_for_each_event_and_target() -> None:
    one, two = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
    assert delivery_id_of(one, "tgt-1") == delivery_id_of(one, "tgt-1")
    assert len({delivery_id_of(event, target) for event in (one, two) for target in ("tgt-1", "tgt-2")}) == 4


@pytest.mark.parametrize(
    ("reevaluation", "news"),
    [
        (Reevaluation(new_findings={"HIGH": 1}), News.SCAN_COMPLETED),
        (Reevaluation(gone_findings={"HIGH": 1}), None),
        (Reevaluation(changed_findings=1), None),
        (Reevaluation(new_findings={"HIGH": 1}, first=True), None),
        (Reevaluation(new_findings={"HIGH": 1}, superseded=True), None),
    ],
)
def test_of_what_newer_advisories_changed_only_what_is_new_about_a_tag_is_told(
    reevaluation: Reevaluation, news: News | None
) -> None:
    record = scan_event("tgt-1", reevaluation=reevaluation)
    assert news_in(from_scan_event(record.message.value)) is news


@pytest.mark.parametrize("value", [b"\xff", b"", scan_event(event_id="x").message.value])
def test_an_event_that_cannot_be_read_is_refused(value: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        from_scan_event(value)
    assert caught.value.reason == "BAD_EVENT"


@given(
    whole(
        Comparison, new=COUNTS, found=COUNTS, examples=st.lists(st.sampled_from(FINDINGS), max_size=20).map(tuple)
    )
)
def test_what_is_new_is_said_as_the_schema_says(comparison: Comparison) -> None:
    event = from_scan_event(scan_event("tgt-1").message.value)
    said = notification_of(event, News.SCAN_COMPLETED, "tgt-1", occasions=(), answer=comparison)
    body = json.loads(encode(said))
    _VALIDATOR.validate(body)
    assert body["comparison"]["new"]["total"] == sum(body["comparison"]["new_by_kind"].values())


def test_that_nobody_could_compare_is_said() -> None:
    event = from_scan_event(scan_event("tgt-1").message.value)
    answer = Unanswered(reason="PEER_UNAVAILABLE")
    body = json.loads(encode(notification_of(event, News.SCAN_COMPLETED, "tgt-1", occasions=(), answer=answer)))
    _VALIDATOR.validate(body)
    assert body["comparison"]["doubt"] == "PEER_UNAVAILABLE"


def test_names_that_an_image_makes_as_long_as_it_likes_are_cut() -> None:
    event = from_scan_event(scan_event("tgt-1").message.value)
    long = msgspec.structs.replace(malware(), path="/" + "x" * 100_000)
    answer = Comparison(task_id="", earlier_task_id="", doubt="", found={}, new={}, examples=(long,))
    body = encode(notification_of(event, News.SCAN_COMPLETED, "tgt-1", occasions=(), answer=answer))
    _VALIDATOR.validate(json.loads(body))
    assert len(body) < 4096
