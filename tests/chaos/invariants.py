"""What must hold after every run, each a named check over the evidence that lists what contradicts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

from services.fixer.api import FIXED_SUFFIX
from tests.chaos.evidence import Evidence
from tests.chaos.fixes.evidence import Fixes
from tests.chaos.fixes.invariants import FIX_INVARIANTS
from tests.chaos.pushes import Push
from tests.plain_consumer import compacted, disorder, rebuilt, words_of

Check = Callable[[Evidence], list[str]]
HOMEMADE = frozenset({"WORKER_DIED", "SPOOL_FULL"})
"""Reasons that our own faults may end a good image with, once all attempts are used up."""


def everything_comes_to_rest(found: Evidence) -> list[str]:
    return [f"{count} {what}" for what, count in found.unsettled.items()]


def every_push_has_one_task(found: Evidence) -> list[str]:
    wanted = Counter(_place(push) for push in found.pushes)
    there = Counter(_of(row) for row in found.tasks if not row["tag"].endswith(FIXED_SUFFIX))
    return [
        f"{place}: {wanted[place]} pushes, {there[place]} tasks"
        for place in wanted | there
        if wanted[place] != there[place]
    ]


def every_task_ends_with_a_verdict_or_a_reason(found: Evidence) -> list[str]:
    return [
        f"{row['task_id']}: {row['state']} {row['reason']!r} {row['message']!r}"
        for row in found.tasks
        if row["state"] != "COMPLETE" and not (row["state"] == "FAILED" and row["reason"] and row["message"])
    ]


def only_what_is_broken_fails(found: Evidence) -> list[str]:
    broken = {push.digest for push in found.pushes if push.broken}
    wrong = [row for row in found.tasks if (row["state"] == "FAILED") != (row["digest"] in broken)]
    return [f"{_of(row)}: {row['state']} {row['reason']}" for row in wrong if row["reason"] not in HOMEMADE]


def complete_is_readable_on_every_platform(found: Evidence) -> list[str]:
    return [
        f"{row['task_id']}: {row['reports']} reports of {row['parts']}"
        for row in found.tasks
        if row["state"] == "COMPLETE" and row["reports"] != row["parts"]
    ]


def no_task_ends_twice(found: Evidence) -> list[str]:
    ends: dict[str, set[tuple[str, str]]] = {}
    for task_id, state, event_id in found.ends:
        ends.setdefault(task_id, set()).add((state, event_id))
    states = {row["task_id"]: row["state"] for row in found.tasks}
    twice = [f"{task_id}: {sorted(ended)}" for task_id, ended in ends.items() if len(ended) > 1]
    silent = [f"{task_id}: no event of its end" for task_id in states if task_id not in ends]
    other = [
        f"{task}: {state} on the bus, {states.get(task)} in the database"
        for task, state, _ in found.ends
        if states.get(task) != state
    ]
    return twice + silent + other


def no_scan_is_completed_twice(found: Evidence) -> list[str]:
    return [f"{scan_id}: {count} times" for scan_id, count in Counter(found.completions).items() if count > 1]


def tags_point_at_their_last_push(found: Evidence) -> list[str]:
    last: dict[tuple[str, ...], str] = {}
    for push in sorted(found.pushes, key=lambda push: push.number):
        last[_place(push)[:4]] = push.digest
    there = {_of(row)[:4]: row["digest"] for row in found.tags}
    return [
        f"{tag}: {there.get(tag)} instead of {digest}" for tag, digest in last.items() if there.get(tag) != digest
    ]


def every_end_is_told_to_every_target(found: Evidence) -> list[str]:
    events = {event_id: task_id for task_id, _, event_id in found.ends}
    delivery = {row["delivery_id"]: (events.get(row["event_id"]), row["target_id"]) for row in found.deliveries}
    arrived = {delivery[delivery_id] for _, delivery_id in found.received if delivery_id in delivery}
    strangers = [
        f"{delivery_id}: received, but nobody's delivery"
        for _, delivery_id in found.received
        if delivery_id not in delivery
    ]
    return [
        f"{task_id} was not told to {target}" for task_id, target in found.told if (task_id, target) not in arrived
    ] + strangers


def every_delivery_ends_with_its_receipts(found: Evidence) -> list[str]:
    delivered = {row["delivery_id"] for row in found.receipts if row["outcome"] == "DELIVERED"}
    return [
        f"{row['delivery_id']}: {row['state']}, held by {row['lease_owner']}"
        for row in found.deliveries
        if row["state"] != "DELIVERED" or row["delivery_id"] not in delivered or row["lease_owner"]
    ]


def repeated_only_after_an_unknown_outcome(found: Evidence) -> list[str]:
    unknown = Counter(row["delivery_id"] for row in found.receipts if row["outcome"] == "UNKNOWN")
    times = Counter(found.received)
    return [
        f"{delivery_id} came {count} times to {target} with {unknown[delivery_id]} unknown outcomes"
        for (target, delivery_id), count in times.items()
        if count - 1 > unknown[delivery_id]
    ]


def one_delivery_for_each_end_and_target(found: Evidence) -> list[str]:
    rows = Counter((row["event_id"], row["target_id"]) for row in found.deliveries)
    return [f"{pair}: {count} deliveries" for pair, count in rows.items() if count > 1]


def nothing_is_buried(found: Evidence) -> list[str]:
    return [f"{count} dead letters of {topic}" for topic, count in found.dead_letters.items() if count]


def no_process_ends_by_itself(found: Evidence) -> list[str]:
    return [f"{name}: {death}" for name, deaths in found.deaths.items() for death in deaths]


def findings_are_told_in_order_and_once(found: Evidence) -> list[str]:
    return disorder(found.finding_events)


def findings_told_are_those_that_are_open(found: Evidence) -> list[str]:
    told = rebuilt(found.finding_events)
    uids = [f"{uid}: told or open, not both" for uid in told.keys() ^ found.open_uids]
    words = {words_of(event) for event in told.values()}
    return [*uids, *(f"{word}: not told" for word in found.reported - words), *map(str, words - found.reported)]


def the_compacted_topic_holds_what_is_open(found: Evidence) -> list[str]:
    if found.finding_states is None:
        return []
    told, kept = rebuilt(found.finding_events), compacted(found.finding_states)
    return [uid for uid in told.keys() | kept.keys() if told.get(uid) != kept.get(uid)]


def _of_fixes(check: Callable[[Fixes], list[str]]) -> Check:
    return lambda found: check(found.fixes)


INVARIANTS: Mapping[str, Check] = MappingProxyType(
    {
        check.__name__.replace("_", " "): check
        for check in (
            everything_comes_to_rest,
            every_push_has_one_task,
            every_task_ends_with_a_verdict_or_a_reason,
            only_what_is_broken_fails,
            complete_is_readable_on_every_platform,
            no_task_ends_twice,
            no_scan_is_completed_twice,
            tags_point_at_their_last_push,
            every_end_is_told_to_every_target,
            every_delivery_ends_with_its_receipts,
            repeated_only_after_an_unknown_outcome,
            one_delivery_for_each_end_and_target,
            findings_are_told_in_order_and_once,
            findings_told_are_those_that_are_open,
            the_compacted_topic_holds_what_is_open,
            nothing_is_buried,
            no_process_ends_by_itself,
        )
    }
    | {check.__name__.replace("_", " "): _of_fixes(check) for check in FIX_INVARIANTS}
)


def _place(push: Push) -> tuple[str, ...]:
    namespace, _, name = push.repository.rpartition("/")
    return (push.instance_id, namespace or "_", name, push.tag, push.digest)


def _of(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("instance_id", "namespace", "repository", "tag", "digest"))
