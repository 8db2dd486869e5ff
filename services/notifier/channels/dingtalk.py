"""Telling a custom robot of DingTalk (open.dingtalk.com, "Custom robot access").

It answers 200 whatever happened: what counts is `errcode`. A message has 20,000 bytes at most, and a robot takes
20 of them in a minute; who sends more is not heard for ten minutes.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from urllib.parse import quote_plus

import msgspec
from yarl import URL

from services.kernel.clock import Clock
from services.notifier.channels import words
from services.notifier.channels.chat import ChatChannel, Pace, Written, fill
from services.notifier.channels.interface import Outcome, Parcel, Verdict
from services.notifier.channels.post import Answer, Post, judge
from services.notifier.payload import Notification

LONGEST_BODY = 20_000
_MUTED_SECONDS = 600.0
_OVER_LIMIT_SECONDS = 3600.0
# What could be a link, a mention or markup in somebody's text; names of images hold none of these.
_MARKUP = str.maketrans({"[": "(", "]": ")", "<": "(", ">": ")", "`": "'", "*": "+", "@": " at "})


class _Said(msgspec.Struct, frozen=True):
    errcode: int
    errmsg: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    verdict: Verdict
    reason: str
    retry_after: float | None = None
    blames_content: bool = False


_MEANINGS: Mapping[int, _Meaning] = MappingProxyType(
    {
        -1: _Meaning(verdict=Verdict.TRY_AGAIN, reason="ROBOT_BUSY"),
        130101: _Meaning(verdict=Verdict.TRY_AGAIN, reason="ROBOT_MUTED", retry_after=_MUTED_SECONDS),
        90030: _Meaning(verdict=Verdict.TRY_AGAIN, reason="ROBOT_OVER_LIMIT", retry_after=_OVER_LIMIT_SECONDS),
        # The signature, a key word that is missing, an address outside of the robot's list.
        310000: _Meaning(verdict=Verdict.GIVE_UP, reason="ROBOT_REFUSES"),
        300001: _Meaning(verdict=Verdict.GIVE_UP, reason="ROBOT_UNKNOWN"),
        300005: _Meaning(verdict=Verdict.GIVE_UP, reason="ROBOT_UNKNOWN"),
        40035: _Meaning(verdict=Verdict.GIVE_UP, reason="ROBOT_REFUSES", blames_content=True),
        460101: _Meaning(verdict=Verdict.GIVE_UP, reason="ROBOT_REFUSES", blames_content=True),
        # Links, words, pictures, content that it does not pass on.
        430101: _Meaning(verdict=Verdict.GIVE_UP, reason="ROBOT_REFUSES_TEXT", blames_content=True),
        430102: _Meaning(verdict=Verdict.GIVE_UP, reason="ROBOT_REFUSES_TEXT", blames_content=True),
        430103: _Meaning(verdict=Verdict.GIVE_UP, reason="ROBOT_REFUSES_TEXT", blames_content=True),
        430104: _Meaning(verdict=Verdict.GIVE_UP, reason="ROBOT_REFUSES_TEXT", blames_content=True),
    }
)
_UNKNOWN = _Meaning(verdict=Verdict.TRY_AGAIN, reason="ROBOT_ERROR")


class DingTalkChannel(ChatChannel):
    """Posts markdown."""

    # A second more than a minute: their clock may run slower than ours.
    pace = Pace(places=20, window_seconds=61.0, at_once=10, spacing_seconds=3.0)

    def __init__(self, post: Post, clock: Clock) -> None:
        self._post = post
        self._clock = clock

    def write(self, said: Sequence[Notification]) -> Written:
        """Writes one notification in full, or several with a line for each."""
        if len(said) == 1:
            return Written(count=1, body=_message(f"Drydock: {words.image_of(said[0])}", _in_full(said[0])))
        return fill([_line(one) for one in said], _digest, longest=LONGEST_BODY)

    async def send(self, parcel: Parcel) -> Outcome:
        """Makes one attempt, signed now: an old signature is none."""
        url = URL(parcel.url, encoded=True)
        if parcel.secrets:
            url = URL(signed(parcel.url, parcel.secrets[0], self._clock), encoded=True)
        answer = await self._post.send(
            url,
            parcel.body,
            {"Content-Type": "application/json; charset=utf-8"},
            ca_certificates=parcel.ca_certificates,
        )
        return answer if isinstance(answer, Outcome) else _judge(answer)


def signed(url: str, secret: str, clock: Clock) -> str:
    """Returns the URL with the time in milliseconds and the signature, which is encoded exactly once."""
    timestamp = str(int(clock.now().timestamp() * 1000))
    digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()
    return f"{url}{'&' if '?' in url else '?'}timestamp={timestamp}&sign={quote_plus(base64.b64encode(digest))}"


def _judge(answer: Answer) -> Outcome:
    outcome = judge(answer)
    if outcome.verdict is not Verdict.DELIVERED:
        return outcome
    try:
        said = msgspec.json.decode(answer.beginning, type=_Said)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return answer.outcome(Verdict.TRY_AGAIN, "ROBOT_ERROR", "The robot's answer is not one of DingTalk's.")
    if said.errcode == 0:
        return outcome
    meaning = _MEANINGS.get(said.errcode, _UNKNOWN)
    outcome = answer.outcome(meaning.verdict, meaning.reason, f"The robot answers errcode {said.errcode}.")
    return dataclasses.replace(
        outcome,
        retry_after=max(meaning.retry_after or 0.0, outcome.retry_after or 0.0) or None,
        blames_content=meaning.blames_content,
    )


def _in_full(said: Notification) -> str:
    facts = "".join(f"- {name}: {_plain(value)}\n" for name, value in words.facts_of(said))
    return f"### {_plain(words.image_of(said))}\n**{_plain(words.summary_of(said))}**\n\n{facts}"


def _line(said: Notification) -> str:
    parts = (words.short_digest(said), words.summary_of(said), words.clock_of(said), said.delivery_id)
    return f"- **{_plain(words.image_of(said))}** {_plain(' · '.join(filter(None, parts)))}\n"


def _digest(lines: Sequence[str]) -> bytes:
    title = f"Drydock: {len(lines)} notifications"
    return _message(title, f"### {title}\n{''.join(lines)}")


def _message(title: str, text: str) -> bytes:
    return msgspec.json.encode({"msgtype": "markdown", "markdown": {"title": title, "text": text}})


def _plain(text: str) -> str:
    return text.translate(_MARKUP).replace("://", ":/ /")
