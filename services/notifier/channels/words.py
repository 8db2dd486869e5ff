"""A notification in words that people read; how they look is for each chat to say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from services.kernel.model.reference import RepositoryName
from services.kernel.model.severity import Severity
from services.notifier.payload import Fixed, Notification

_LONGEST = 400
_DIGEST = 19
"""Characters of a digest that are enough to know it by: `sha256:` and twelve more."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


def image_of(said: Notification) -> str:
    """Returns the image as people call it: `team/app:1.0`, or `team/app@sha256:…`."""
    path = RepositoryName(namespace=said.repository.namespace, name=said.repository.name).path
    return one_line(f"{path}:{said.tag}" if said.tag else f"{path}@{said.digest}")


def summary_of(said: Notification) -> str:
    """Returns what there is to know in a few words: `2 critical, 1 low`."""
    if said.event == "target.test":
        return "a test"
    if said.fix:
        return one_line(_fixed(said, said.fix))
    if said.status == "FAILED":
        return one_line(f"not scanned: {said.reason}" if said.reason else "not scanned")
    found = _counted(said.findings)
    if said.coverage == "NONE":
        return one_line(f"nothing could be judged: {said.reason}" if said.reason else "nothing could be judged")
    limits = "" if said.coverage in ("FULL", "") else f" (coverage {said.coverage.lower()})"
    return one_line((found or "nothing found") + limits)


def facts_of(said: Notification) -> Sequence[tuple[str, str]]:
    """Returns the rest, each with its name, without what is empty."""
    facts = (
        ("event", said.event),
        ("fixed", _fixed_image(said)),
        ("asked by", said.fix.created_by if said.fix else ""),
        ("new", _by_newer_advisories(said)),
        ("why", said.message or said.reason),
        ("digest", said.digest),
        ("engine", said.engine),
        ("instance", said.instance_id),
        ("task", said.task_id),
        ("time", said.time),
        ("delivery", said.delivery_id),
    )
    return [(name, one_line(value)) for name, value in facts if value]


def _fixed(said: Notification, fix: Fixed) -> str:
    if said.status == "FAILED":
        return f"not fixed: {said.reason}" if said.reason else "not fixed"
    stay = fix.still_present + fix.not_fixable
    left = f", {stay} left" if stay else ""
    new = f", {fix.new} new" if fix.new else ""
    part = " in part" if said.status == "PARTIAL" else ""
    gone = f"{fix.fixed} finding{'' if fix.fixed == 1 else 's'} gone"
    return f"fixed{part} as {fix.tag}: {gone}{left}{new}"


def _fixed_image(said: Notification) -> str:
    """Names the image that the fix made, where it made one that can be pulled."""
    if not said.fix or not said.fix.tag or said.status == "FAILED":
        return ""
    path = RepositoryName(namespace=said.repository.namespace, name=said.repository.name).path
    return f"{path}:{said.fix.tag}@{said.fix.digest}"


def _by_newer_advisories(said: Notification) -> str:
    return f"{_counted(said.reevaluation.new)}, by newer advisories" if said.reevaluation else ""


def _counted(findings: Mapping[str, int]) -> str:
    counts = ((severity, findings.get(severity.value, 0)) for severity in reversed(Severity))
    return ", ".join(f"{count} {severity.value.lower()}" for severity, count in counts if count)


def short_digest(said: Notification) -> str:
    """Returns the beginning of the digest."""
    return one_line(said.digest[:_DIGEST])


def clock_of(said: Notification) -> str:
    """Returns the time of day, UTC, to the second."""
    return one_line(said.time[11:19])


def one_line(text: str) -> str:
    """Returns text of anybody's without line ends, control characters and changes of direction, cut when long."""
    line = _CONTROLS.sub(" ", text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
