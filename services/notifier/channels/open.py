"""Every way of telling, behind one channel."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from services.kernel.clock import Clock
from services.kernel.egress import Egress
from services.notifier.api import TargetKind
from services.notifier.channels.chat import ChatChannel
from services.notifier.channels.dingtalk import DingTalkChannel
from services.notifier.channels.email import EmailChannel
from services.notifier.channels.http import HttpChannel
from services.notifier.channels.interface import Channel, Outcome, Parcel
from services.notifier.channels.post import open_post
from services.notifier.channels.slack import SlackChannel


class ChannelByKind(Channel):
    """Takes for each parcel the way that its target's kind says."""

    def __init__(self, channels: Mapping[TargetKind, Channel]) -> None:
        self._channels = channels

    async def send(self, parcel: Parcel) -> Outcome:
        """Makes one attempt."""
        return await self._channels[parcel.kind].send(parcel)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Ways of telling."""

    any: Channel
    """Takes whatever a parcel says."""
    chats: Mapping[TargetKind, ChatChannel]
    """Those that are told merged, as often as they let themselves be called."""


@asynccontextmanager
async def open_channels(egress: Egress, clock: Clock, *, attempt_seconds: float) -> AsyncIterator[Channels]:
    """Opens them all, with connections of their own."""
    async with open_post(egress, clock, attempt_seconds=attempt_seconds) as post:
        http = HttpChannel(post, clock)
        email = EmailChannel(egress, clock, attempt_seconds=attempt_seconds)
        chats: dict[TargetKind, ChatChannel] = {
            TargetKind.DINGTALK: DingTalkChannel(post, clock),
            TargetKind.SLACK: SlackChannel(post),
        }
        programs = {TargetKind.HTTP: http, TargetKind.HTTPS: http, TargetKind.EMAIL: email}
        yield Channels(any=ChannelByKind({**programs, **chats}), chats=chats)
