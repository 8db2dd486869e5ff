"""Who is told of an event, who is not, and when the scanner must be asked first: within a transaction."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection
from services.notifier.api import EventRule, Occasion, Subscription
from services.notifier.event_rules import matching, records_of
from services.notifier.event_store import EventStore, NewRecord
from services.notifier.events import ScanEvent, news_in
from services.notifier.filters import Answer, Ask, Pass, Tell, decide
from services.notifier.grammar import may_name_target
from services.notifier.metrics import Decided
from services.notifier.payload import delivery_id_of, encode, notification_of
from services.notifier.records import NewDelivery
from services.notifier.store import NotifierStore
from services.notifier.subscription_store import NewInquiry, SubscriptionStore

log = structlog.get_logger()

INQUIRIES = "drydock_inquiries"
"""Notified at the commit of new questions."""


BY_EVENT_RULE = Subscription(occasions=frozenset({Occasion.COMPLETED, Occasion.FAILED}))
"""What a target hears of by an event rule, unless it was told otherwise: every end of a scan, as there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An event, and whom it may concern."""

    event: ScanEvent
    value: bytes = dataclasses.field(repr=False)
    """As it came."""
    traceparent: str
    target_ids: tuple[str, ...]
    answer: Answer | None = None
    """What the scanner said of it, once it was asked."""


class Desk:
    """Turns events into deliveries and questions, each (target, event) into one of them."""

    def __init__(self, store: NotifierStore, subscriptions: SubscriptionStore, clock: Clock) -> None:
        self._store = store
        self._subscriptions = subscriptions
        self._events = EventStore()
        self._clock = clock

    async def take(self, conn: Connection, heard: Sequence[Heard]) -> Mapping[Decided, int]:
        """Writes down what becomes of events, and says how often what did. Idempotent by event id and target."""
        heard, rules = await self._with_rules(conn, heard)
        named = {target for each in heard for target in each.target_ids if may_name_target(target)}
        if not named:
            return {}
        living = await self._store.living_targets(conn, named)
        subscriptions = await self._subscriptions.subscriptions(conn, living)
        new: list[NewDelivery] = []
        records: list[NewRecord] = []
        waiting: dict[str, list[str]] = defaultdict(list)
        tally: Counter[Decided] = Counter()
        for each, target_id in _pairs(heard, living):
            told_by = rules.get((each.event.event_id, target_id), ())
            subscription = subscriptions.get(target_id, BY_EVENT_RULE if told_by else Subscription())
            match decide(subscription, each.event, each.answer):
                case Tell() as tell:
                    new.append(_delivery(each, target_id, tell, subscription))
                    records.extend(records_of(told_by, each.event))
                case Ask():
                    waiting[each.event.event_id].append(target_id)
                case Pass():
                    tally[Decided.PASSED] += 1
        tally += await self.deliver(conn, new)
        if records:
            await self._events.insert_records(conn, records, self._clock.now())
        tally += await self._ask(conn, {each.event.event_id: each for each in heard}, waiting)
        return tally

    async def _with_rules(
        self, conn: Connection, heard: Sequence[Heard]
    ) -> tuple[Sequence[Heard], Mapping[tuple[str, str], Sequence[EventRule]]]:
        """Returns the events with those targets, too, that event rules name; and these rules, by event and target.

        Who waited for an answer is known: no rule that was made meanwhile adds anybody.
        """
        known = await self._events.rules(conn, {each.event.instance_id for each in heard})
        if not known:
            return heard, {}
        rules: dict[tuple[str, str], list[EventRule]] = defaultdict(list)
        widened = []
        for each in heard:
            fitting = matching(known, each.event)
            for rule in fitting:
                rules[each.event.event_id, rule.target_id].append(rule)
            more = () if each.answer is not None else tuple(rule.target_id for rule in fitting)
            widened.append(dataclasses.replace(each, target_ids=(*each.target_ids, *more)))
        return widened, rules

    async def deliver(self, conn: Connection, new: list[NewDelivery]) -> Counter[Decided]:
        """Saves deliveries, those of them that are new, and says how many were."""
        if not new:
            return Counter()
        # In one order always: two consumers of the same events then wait for each other, and never deadlock.
        new.sort(key=lambda delivery: (delivery.target_id, delivery.event_id))
        saved = await self._store.insert_deliveries(conn, new, self._clock.now())
        if saved:
            await self._store.wake_workers(conn)
        log.info("deliveries.saved", count=len(saved), repeated=len(new) - len(saved))
        held = sum(each.delivery_id in saved for each in new if each.window_seconds)
        repeated = len(new) - len(saved)
        return Counter({Decided.TOLD: len(saved) - held, Decided.HELD: held, Decided.REPEATED: repeated})

    async def _ask(
        self, conn: Connection, heard: Mapping[str, Heard], waiting: Mapping[str, Sequence[str]]
    ) -> Counter[Decided]:
        new = [
            NewInquiry(
                event_id=event_id,
                target_ids=tuple(targets),
                event=heard[event_id].value,
                traceparent=heard[event_id].traceparent,
            )
            for event_id, targets in sorted(waiting.items())
        ]
        if not new:
            return Counter()
        saved = await self._subscriptions.insert_inquiries(conn, new)
        if saved:
            await self._subscriptions.wake(conn, INQUIRIES)
        log.info("inquiries.saved", count=len(saved), repeated=len(new) - len(saved))
        asked = sum(len(each.target_ids) for each in new if each.event_id in saved)
        repeated = sum(len(each.target_ids) for each in new) - asked
        return Counter({Decided.ASKED: asked, Decided.REPEATED: repeated})


def _pairs(heard: Iterable[Heard], living: frozenset[str]) -> Iterator[tuple[Heard, str]]:
    for each in heard:
        for target_id in sorted(set(each.target_ids)):
            if target_id in living:
                yield each, target_id
            else:
                log.warning(
                    "target.missing",
                    target_id=target_id[:80],
                    event_id=each.event.event_id,
                    task_id=each.event.task_id,
                )


def _delivery(heard: Heard, target_id: str, tell: Tell, subscription: Subscription) -> NewDelivery:
    event = heard.event
    news = news_in(event)
    assert news is not None, "nobody is told of what is no news"  # noqa: S101 - for the type checker
    return NewDelivery(
        target_id=target_id,
        event_id=event.event_id,
        delivery_id=delivery_id_of(event.event_id, target_id),
        news=news,
        body=encode(notification_of(event, news, target_id, occasions=tell.occasions, answer=heard.answer)),
        traceparent=heard.traceparent,
        window_seconds=subscription.window_seconds,
    )
