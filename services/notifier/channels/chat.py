"""What chat robots have in common: they may be called so often, and one message may hold many notifications."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Sequence

from services.notifier.channels.interface import Channel
from services.notifier.payload import Notification


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a robot may be called."""

    places: int
    """Calls in any window."""
    window_seconds: float
    at_once: int
    """So many follow each other as they come; the rest keep their distance, so that the last are not used up."""
    spacing_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A message."""

    count: int
    """How many notifications are in it: the first ones, at least one."""
    body: bytes


class ChatChannel(Channel):
    """A way of telling people in a chat."""

    pace: Pace

    @abstractmethod
    def write(self, said: Sequence[Notification]) -> Written:
        """Writes as many of the notifications as fit into one message, in their order."""


def fill(lines: Sequence[str], write: Callable[[Sequence[str]], bytes], *, longest: int) -> Written:
    """Writes as many lines as a body of `longest` bytes holds, at least one; each line fits by itself."""
    alone = len(write(lines[:1]))
    room, count = longest - alone, 1
    for line in lines[1:]:
        room -= len(write([lines[0], line])) - alone
        if room < 0:
            break
        count += 1
    while len(body := write(lines[:count])) > longest and count > 1:  # the heading grew with the number in it
        count -= 1
    return Written(count=count, body=body)
