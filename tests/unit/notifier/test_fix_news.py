"""Ends of fixes: who is told, in which words, in which form."""

from __future__ import annotations

import json
from email import message_from_bytes, policy
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from services.kernel.errors import ServiceError
from services.notifier.api import Format, Occasion, Subscription, TargetKind
from services.notifier.channels import words
from services.notifier.channels.cloudevents import wrap
from services.notifier.channels.dingtalk import DingTalkChannel
from services.notifier.channels.email import write
from services.notifier.channels.interface import Parcel
from services.notifier.channels.mailbox import read_mailbox
from services.notifier.channels.post import open_post
from services.notifier.channels.slack import SlackChannel
from services.notifier.convert_events import from_fix_event
from services.notifier.events import News
from services.notifier.filters import Pass, Tell
from services.notifier.fixes import FixEvent, decide_fix, news_in_fix
from services.notifier.payload import Notification, encode, fix_notification_of, read
from tests.builders.notifier import fix_event, way_out
from tests.fakes.clock import ManualClock

_SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "notification.schema.json").read_text())
_VALIDATOR = jsonschema.Draft202012Validator(
    _SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)
WHOLE = {"state": "SUCCEEDED"}
PART = {"state": "PARTIAL", "left": 2, "message": "6 of 8 findings are fixed, 2 left (2 NEEDS_REBUILD)."}
FAILED = {"state": "FAILED", "reason": "PACKAGE_TAMPERED", "message": "A package is not what was signed."}


def event(*targets: str, **fields: object) -> FixEvent:
    return from_fix_event(fix_event(*targets, **fields).message.value)  # type: ignore[arg-type] # its fields


def said(**fields: object) -> Notification:
    of = event("tgt-1", **fields)
    news = news_in_fix(of)
    assert news is not None
    return fix_notification_of(of, news, "tgt-1", occasions=())


def parcel(one: Notification, kind: TargetKind = TargetKind.HTTP) -> Parcel:
    return Parcel(delivery_id=one.delivery_id, event_type=one.event, kind=kind, url="http://h/", body=encode(one))


@given(
    state=st.sampled_from(["SUCCEEDED", "PARTIAL", "FAILED"]),
    left=st.integers(0, 10**6),
    message=st.text(st.characters(codec="utf-8"), max_size=50),
)
def test_every_end_of_a_fix_is_what_the_schema_says(state: str, left: int, message: str) -> None:
    one = said(state=state, left=left, message=message)
    body = json.loads(encode(one))
    _VALIDATOR.validate(body)
    assert set(body) == {*_SCHEMA["required"], "fix"}
    assert set(body["fix"]) == set(_SCHEMA["properties"]["fix"]["required"])
    assert (body["fix"]["not_fixable"], body["message"], body["findings"]["total"]) == (left, message, 0)
    assert read(encode(one)) == one


@pytest.mark.parametrize(
    ("fields", "news", "summary"),
    [
        (WHOLE, News.FIX_FINISHED, "fixed as 1.0_fixd: 6 findings gone"),
        (PART, News.FIX_FINISHED, "fixed in part as 1.0_fixd: 6 findings gone, 2 left"),
        (FAILED, News.FIX_FAILED, "not fixed: PACKAGE_TAMPERED"),
    ],
)
async def test_each_way_of_telling_says_what_became_of_it(
    fields: dict[str, object], news: News, summary: str
) -> None:
    one = said(**fields)
    assert (one.event, words.image_of(one), words.summary_of(one)) == (news.value, "team/app:1.0", summary)
    async with open_post(way_out(), ManualClock(), attempt_seconds=1.0) as post:
        ding = json.loads(DingTalkChannel(post, ManualClock()).write([one]).body)["markdown"]
        slack = json.loads(SlackChannel(post).write([one]).body)["text"]
        many = json.loads(SlackChannel(post).write([one, one]).body)["text"]
    mail = message_from_bytes(
        write(parcel(one), read_mailbox(URL("smtps://mail.example/?from=a@x.org&to=b@x.org")), ManualClock()),
        policy=policy.default,
    )
    text = mail.get_body().get_content()  # type: ignore[union-attr] # it is text
    assert mail["Subject"].strip() == f"Drydock: team/app:1.0: {summary}"  # a long one is folded
    for told in (ding["text"], slack, text, many):
        assert summary in told
    for told in (ding["text"], slack, text):
        assert news.value in told
        assert "ops" in told
        assert not fields.get("message") or str(fields["message"])[:20] in told
        assert ("team/app:1.0_fixd" in told) is (news is News.FIX_FINISHED)


def test_as_a_cloud_event_it_has_a_type_of_its_own() -> None:
    one = said()
    body, headers = wrap(encode(one), Format.CLOUDEVENTS_BINARY)
    assert (headers["ce-type"], headers["ce-subject"]) == ("drydock.fix.finished", "team/app:1.0")
    assert json.loads(body)["fix"]["tag"] == "1.0_fixd"
    whole, _ = wrap(encode(said(**FAILED)), Format.CLOUDEVENTS_STRUCTURED)
    assert json.loads(whole)["type"] == "drydock.fix.failed"
    assert json.loads(whole)["data"]["status"] == "FAILED"


ONLY_MALWARE = Subscription(occasions=frozenset({Occasion.MALICIOUS_SAMPLE}))
ENDS = Subscription(occasions=frozenset({Occasion.COMPLETED}))


@pytest.mark.parametrize(
    ("subscription", "fields", "by_order", "by_rule"),
    [
        (Subscription(), WHOLE, {Occasion.FINDINGS}, {Occasion.FINDINGS}),
        (Subscription(), FAILED, {Occasion.FAILED}, {Occasion.FAILED}),
        (
            Subscription(occasions=frozenset({Occasion.COMPLETED})),
            PART,
            {Occasion.COMPLETED},
            {Occasion.COMPLETED},
        ),
        (ENDS, FAILED, set(), None),
        (ONLY_MALWARE, WHOLE, set(), None),
        (Subscription(namespaces=("other",)), WHOLE, None, None),
        (Subscription(tag_pattern="2.*"), WHOLE, None, None),
        (Subscription(), {**FAILED, "reason": "CANCELLED"}, None, None),
    ],
)
def test_an_order_names_whom_it_means_and_a_rule_those_who_hear_of_such(
    subscription: Subscription,
    fields: dict[str, object],
    by_order: set[Occasion] | None,
    by_rule: set[Occasion] | None,
) -> None:
    for of, expected in (
        (event("tgt-1", **fields), by_order),
        (event(by_rule=("tgt-1",), **fields), by_rule),
    ):
        wanted = Pass() if expected is None else Tell(occasions=frozenset(expected))
        assert decide_fix(subscription, of, "tgt-1") == wanted


@pytest.mark.parametrize("value", [b"\xff\xff", b"", b"\x18\x63"])
def test_what_is_no_end_of_a_fix_is_a_bad_event(value: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        from_fix_event(value)
    assert caught.value.reason == "BAD_EVENT"
