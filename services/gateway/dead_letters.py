"""Dead letters: found on the bus, shown, and sent to their topics again."""

from __future__ import annotations

import structlog

from services.gateway.api import DeadLetter
from services.kernel.bus.interface import DEAD_SUFFIX, TOPICS, Bus, Kept, Place
from services.kernel.bus.letters import refusal_of, revive
from services.kernel.errors import not_found
from services.kernel.model import page as pages
from services.kernel.model.page import Page, bad_token, decode_token, encode_token

log = structlog.get_logger()

_BEGINNING = ""  # the position before a topic's oldest letter, in page tokens


class DeadLetters:
    """The application behind DeadLettersApi."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def list_letters(self, *, topic: str = "", page_size: int = 0, page_token: str = "") -> Page[DeadLetter]:
        """Lists letters by topic and place; see DeadLettersApi."""
        size = pages.page_size(page_size)
        topics = (_known(topic),) if topic else TOPICS
        at, start = _opened(page_token, topic, topics)
        letters: list[DeadLetter] = []
        while at < len(topics):
            excerpt = await self._bus.browse(topics[at] + DEAD_SUFFIX, start=start, limit=size - len(letters))
            letters += [_letter(topics[at], kept) for kept in excerpt.kept]
            if excerpt.next is None:
                at, start = at + 1, None
            else:
                start = excerpt.next
            if start is not None or len(letters) >= size:
                break
        more = at < len(topics)
        return Page(items=tuple(letters), next_token=_token(topics[at], start, topic) if more else "")

    async def get_letter(self, topic: str, place: Place) -> DeadLetter:
        """Returns one letter; see DeadLettersApi."""
        excerpt = await self._bus.browse(_known(topic) + DEAD_SUFFIX, start=place, limit=1)
        for kept in excerpt.kept:
            if (kept.record.partition, kept.record.position) == (place.partition, place.position):
                return _letter(topic, kept)
        raise not_found(
            "DEAD_LETTER_NOT_EXIST",
            "There is no dead letter at this place, or its retention has ended.",
            hint="Take its name from a listing.",
        )

    async def replay_letter(self, topic: str, place: Place) -> None:
        """Publishes a letter to its topic again; see DeadLettersApi."""
        letter = await self.get_letter(topic, place)
        await self._bus.publish([revive(letter.message, place)])
        log.info("letter.replayed", topic=topic, partition=place.partition, position=place.position)


def _known(topic: str) -> str:
    if topic not in TOPICS:
        raise not_found(
            "TOPIC_NOT_EXIST", f"There is no topic {topic[:80]!r}.", hint=f"One of {', '.join(TOPICS)}."
        )
    return topic


def _letter(topic: str, kept: Kept) -> DeadLetter:
    record = kept.record
    return DeadLetter(
        topic=topic,
        place=Place(partition=record.partition, position=record.position),
        buried_at=kept.published_at,
        refusal=refusal_of(record.message),
        message=record.message,
    )


def _token(topic: str, start: Place | None, question: str) -> str:
    place = start or Place(partition=0, position=_BEGINNING)
    return encode_token((topic, str(place.partition), place.position), "letters", question)


def _opened(token: str, question: str, topics: tuple[str, ...]) -> tuple[int, Place | None]:
    position = decode_token(token, "letters", question, length=3)
    if position is None:
        return 0, None
    topic, partition, place = position
    if topic not in topics or not partition.isascii() or not partition.isdecimal() or len(partition) > 9:
        raise bad_token()
    start = Place(partition=int(partition), position=place) if place != _BEGINNING else None
    return topics.index(topic), start
