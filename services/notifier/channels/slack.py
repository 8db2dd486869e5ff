"""Telling an incoming webhook of Slack (docs.slack.dev, "Sending messages using incoming webhooks"), or of what
takes the same: Mattermost, Rocket.Chat, Discord's `/slack`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
from yarl import URL

from services.notifier.channels import words
from services.notifier.channels.chat import ChatChannel, Pace, Written, fill
from services.notifier.channels.interface import Outcome, Parcel, Verdict
from services.notifier.channels.post import Post, judge
from services.notifier.payload import Notification

LONGEST_BODY = 12_000
"""Bytes; the least that one of them takes is 16,383 characters (Mattermost)."""
_OF_CONTENT = frozenset({400, 413, 422})
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "*": "+", "`": "'", "@": " at ", "[": "(", "]": ")"}
)


class SlackChannel(ChatChannel):
    """Posts text."""

    # One message in a second and webhook, with short bursts.
    pace = Pace(places=50, window_seconds=61.0, at_once=3, spacing_seconds=1.1)

    def __init__(self, post: Post) -> None:
        self._post = post

    def write(self, said: Sequence[Notification]) -> Written:
        """Writes one notification in full, or several with a line for each."""
        if len(said) == 1:
            return Written(count=1, body=_message(_in_full(said[0])))
        return fill([_line(one) for one in said], _digest, longest=LONGEST_BODY)

    async def send(self, parcel: Parcel) -> Outcome:
        """Makes one attempt; the status says what became of it."""
        answer = await self._post.send(
            URL(parcel.url, encoded=True),
            parcel.body,
            {"Content-Type": "application/json"},
            ca_certificates=parcel.ca_certificates,
        )
        if isinstance(answer, Outcome):
            return answer
        outcome = judge(answer)
        blamed = outcome.verdict is Verdict.GIVE_UP and answer.status in _OF_CONTENT
        return dataclasses.replace(outcome, blames_content=blamed)


def _in_full(said: Notification) -> str:
    facts = "".join(f"\n• {name}: {_plain(value)}" for name, value in words.facts_of(said))
    return f"Drydock: *{_plain(words.image_of(said))}*: {_plain(words.summary_of(said))}{facts}"


def _line(said: Notification) -> str:
    parts = (words.short_digest(said), words.summary_of(said), words.clock_of(said), said.delivery_id)
    return f"\n• *{_plain(words.image_of(said))}* {_plain(' · '.join(filter(None, parts)))}"


def _digest(lines: Sequence[str]) -> bytes:
    return _message(f"Drydock: {len(lines)} notifications{''.join(lines)}")


def _message(text: str) -> bytes:
    return msgspec.json.encode({"text": text})


def _plain(text: str) -> str:
    return text.translate(_ESCAPES).replace("://", ":/ /")
