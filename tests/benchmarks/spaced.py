"""Spaced pushes on a Drydock that has nothing else to do, from the webhook to the receiver."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Collection, Mapping, Sequence

from services.lab.receiver import Receiver, serve_receiver
from tests.benchmarks.commits import Commits, watched_commits
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.pushes import REPOSITORY, Pushes, pushes_to
from tests.benchmarks.stage import BusChoice, Stage, whole_drydock

SPACING_SECONDS = 0.1
"""A scan of a new image costs two cores some 50 ms: closer together, pushes would wait for each other."""
_WARM_UP = 20
_PATIENCE_SECONDS = 120.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """When what happened to one push, by `time.monotonic`."""

    sent: float
    answered: float
    """The webhook got its 2xx."""
    committed: float
    """The row of the task was committed: the status is SCANNING."""
    running: float
    """A worker had leased the scan."""
    complete: float
    """Report and state were committed."""
    told: float
    """The receiver had read the notification, and answered 2xx."""


async def spaced_pushes(bus: BusChoice, count: int) -> Sequence[Push]:
    """Pushes so many images that nobody has seen, well apart, after some that warm up.

    A rule tells a receiver of each. The status call is asked once a commit is heard of, and has to know of it.
    """
    async with (
        whole_drydock(bus) as stage,
        watched_commits(stage.database_url) as commits,
        pushes_to(stage, default_rule=False) as pushes,
        serve_receiver() as receiver,
    ):
        await stage.client.rule(pushes.instance_id, await stage.client.target(receiver.url))
        digests = {tag: await pushes.put(tag) for tag in (f"t{number}" for number in range(_WARM_UP + count))}
        tasks = []
        async with asyncio.timeout(_PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            for tag, digest in digests.items():
                tasks.append(group.create_task(_push(stage, pushes, commits, tag, digest)))
                await asyncio.sleep(SPACING_SECONDS)
        told = await _told(receiver, digests.keys())
    made = [dataclasses.replace(task.result(), told=told[tag]) for tag, task in zip(digests, tasks, strict=True)]
    return made[_WARM_UP:]


async def _push(stage: Stage, pushes: Pushes, commits: Commits, tag: str, digest: str) -> Push:
    sent = time.monotonic()
    await pushes.tell(tag, digest)
    answered = time.monotonic()
    committed = await commits.at(tag, "PENDING")
    status = await stage.client.status(pushes.instance_id, REPOSITORY, tag)
    assert status.is_success, status
    running, complete = await commits.at(tag, "RUNNING"), await commits.at(tag, "COMPLETE")
    return Push(
        sent=sent, answered=answered, committed=committed, running=running, complete=complete, told=complete
    )


def in_milliseconds(what: str, seconds: Sequence[float], *, bar: str = "") -> tuple[Figure, ...]:
    """Returns median and 99th percentile; a bar is for the latter."""
    return tuple(
        Figure(
            what=f"{what}, p{percent}",
            rounds=(percentile(seconds, percent) * 1000,),
            unit="ms",
            bar=bar if percent == 99 else "",
        )
        for percent in (50, 99)
    )


async def _told(receiver: Receiver, tags: Collection[str]) -> Mapping[str, float]:
    """Waits until every tag was told; returns when each was. Looking for one at a time held the last ones up."""
    await receiver.wait_for(lambda _: len(receiver.received) >= len(tags), _PATIENCE_SECONDS)
    told = {str(json.loads(each.body)["tag"]): each.monotonic for each in reversed(receiver.received)}
    assert told.keys() == set(tags), "something was told twice"
    return told
