"""What must hold of fixes after every run, each a named check that lists what contradicts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from services.fixer.api import FIXED_SUFFIX
from tests.chaos.fixes.evidence import FixedTag, Fixes, Row

_GOOD = frozenset({"SUCCEEDED", "PARTIAL"})
_ENDED = _GOOD | {"FAILED"}
HOMEMADE = frozenset(
    {
        "WORKER_DIED",
        "REPOSITORY_UNREACHABLE",
        "REGISTRY_UNREACHABLE",
        "REGISTRY_ERROR",
        "BLOB_TRUNCATED",
    }
)
"""Reasons that our own faults may end a fix with, once all attempts are used up."""


def every_asked_fix_ends_once_with_a_reason(found: Fixes) -> list[str]:
    there = {row["task_id"]: row for row in found.tasks}
    asked = {ask.task_id for ask in found.asked}
    lost = [f"{task_id}: asked for and not there" for task_id in asked - there.keys()]
    strangers = [f"{task_id}: nobody asked for it" for task_id in there.keys() - asked]
    return [
        *lost,
        *strangers,
        *(
            f"{_name(row)}: {row['state']} {row['reason']!r} {row['message']!r}, held by {row['owner']!r}"
            for row in found.tasks
            if row["state"] not in _ENDED
            or row["owner"]
            or (row["state"] == "FAILED" and not (row["reason"] and row["message"]))
        ),
    ]


def only_our_faults_end_a_fix_badly(found: Fixes) -> list[str]:
    off = {ask.task_id for ask in found.asked if ask.called_off}
    bad = [row for row in found.tasks if _bad(row, off)]
    return [f"{_name(row)}: {row['state']} {row['reason']}: {row['message']}" for row in bad] + [
        f"{_name(row)}: called off, and {row['state']}"
        for row in found.tasks
        if row["task_id"] in off and row["state"] != "FAILED"
    ]


def _bad(row: Row, off: set[str]) -> bool:
    if row["state"] == "SUCCEEDED":
        return not row["fixed"] or bool(row["still_present"])
    return row["reason"] not in HOMEMADE and not (row["reason"] == "CANCELLED" and row["task_id"] in off)


def each_end_of_a_fix_is_one_event(found: Fixes) -> list[str]:
    ends: dict[str, set[tuple[str, str]]] = {}
    for task_id, state, event_id in found.ends:
        ends.setdefault(task_id, set()).add((state, event_id))
    states = {row["task_id"]: row["state"] for row in found.tasks}
    return [
        f"{task_id}: {states.get(task_id)}, on the bus {sorted(ends.get(task_id, ()))}"
        for task_id in states.keys() | ends.keys()
        if [state for state, _ in ends.get(task_id, ())] != [states.get(task_id)]
    ]


def each_end_of_a_fix_is_told_once(found: Fixes) -> list[str]:
    wanted = {
        (row["task_id"], target): "fix.finished" if row["state"] in _GOOD else "fix.failed"
        for row in found.tasks
        if row["reason"] != "CANCELLED"
        for target in found.target_ids
    }
    told: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for news in found.news:
        told.setdefault((news.task_id, news.target_id), set()).add((news.delivery_id, news.event))
    return [
        f"{task_id} to {target}: {sorted(told.get((task_id, target), ()))}"
        for task_id, target in wanted.keys() | told.keys()
        if [event for _, event in told.get((task_id, target), ())] != [wanted.get((task_id, target))]
    ]


def fixed_tags_are_there_where_fixes_pushed(found: Fixes) -> list[str]:
    held = {(tag.instance_id, tag.repository, tag.tag): tag.digest for tag in found.tags}
    wrong = []
    for row in found.tasks:
        place = _place(row)
        holds, noted = held.pop(place, ""), row["pushed_digest"] or ""
        must = row["state"] in _GOOD or row["reason"] == "RESCAN_FAILED"
        if (holds or must) and holds != noted:
            wrong.append(f"{_name(row)}: {row['state']} {row['reason']}, wrote {noted!r}, the tag holds {holds!r}")
    return wrong + [f"{place}: nobody's fix" for place in held]


def fixed_images_are_whole(found: Fixes) -> list[str]:
    return [f"{_called(tag)} lacks {each}" for tag in found.tags for each in tag.lost]


def fixes_are_built_from_the_original(found: Fixes) -> list[str]:
    origins: Mapping[tuple[str, ...], str] = {_place(row): row["digest"] for row in found.tasks}
    return [
        f"{_called(tag)}: made from {tag.source}, layers {tag.layers} on {tag.source_layers}"
        for tag in found.tags
        if tag.source != origins.get((tag.instance_id, tag.repository, tag.tag))
        or list(tag.layers[:-1]) != list(tag.source_layers)
    ]


def no_fix_fixes_a_fix(found: Fixes) -> list[str]:
    stacked = [f"{_called(tag)} is a fix of a fix" for tag in found.tags if tag.stacked]
    return stacked + [_name(row) for row in found.tasks if row["tag"].endswith(FIXED_SUFFIX)]


def every_fixed_tag_is_scanned(found: Fixes) -> list[str]:
    complete = Counter((row["instance_id"], row["digest"]) for row in found.scans if row["state"] == "COMPLETE")
    ids = {row["task_id"] for row in found.scans if row["state"] == "COMPLETE"}
    unseen = [_called(tag) for tag in found.tags if not complete[tag.instance_id, tag.digest]]
    return unseen + [
        f"{_name(row)}: proven by {row['scan_task_id']!r}, which is no complete scan of a fix"
        for row in found.tasks
        if row["state"] in _GOOD and row["scan_task_id"] not in ids
    ]


def fixers_leave_nothing_behind(found: Fixes) -> list[str]:
    return list(found.left)


FIX_INVARIANTS = (
    every_asked_fix_ends_once_with_a_reason,
    only_our_faults_end_a_fix_badly,
    each_end_of_a_fix_is_one_event,
    each_end_of_a_fix_is_told_once,
    fixed_tags_are_there_where_fixes_pushed,
    fixed_images_are_whole,
    fixes_are_built_from_the_original,
    no_fix_fixes_a_fix,
    every_fixed_tag_is_scanned,
    fixers_leave_nothing_behind,
)


def _place(row: Row) -> tuple[str, str, str]:
    path = row["repository"] if row["namespace"] == "_" else f"{row['namespace']}/{row['repository']}"
    return row["instance_id"], path, f"{row['tag']}{FIXED_SUFFIX}"


def _name(row: Row) -> str:
    return f"{row['repository']}:{row['tag']} {row['task_id']}"


def _called(tag: FixedTag) -> str:
    return f"{tag.instance_id} {tag.repository}:{tag.tag}"
