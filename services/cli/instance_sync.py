"""`drydock instance sync`: keeps an instance in step with its registry."""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, call
from services.cli.failure import Exit, tell
from services.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SERVER,
    DataOption,
    OutputOption,
    ServerOption,
    WaitOption,
    examples,
)
from services.cli.output import Output, Record, show_record, show_records, to_record
from services.kernel.errors import Kind, ServiceError

if TYPE_CHECKING:
    from drydock.rules.v1.sync_pb2 import Sync

_REMOVALS = ("note_time", "cause", "namespace", "repository", "tag", "digest", "due_time", "end_time", "tasks")
_SHOWN = 100
_PAUSE_SECONDS = 0.5


class Action(enum.Enum):
    """What to do, as it is typed."""

    ON = "on"
    OFF = "off"
    NOW = "now"
    STATUS = "status"


_WORDS = "|".join(action.value for action in Action)


EPILOG = examples(
    "drydock instance sync prod on",
    "drydock instance sync prod now --wait 10m",
    "drydock instance sync prod status --output json",
)
"""What the end of the command's help shows; `drydock instance` adds the command."""


def sync(
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="Name or id of the instance.")],
    action: Annotated[str, typer.Argument(metavar=_WORDS, help="What to do.")],
    *,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Keeps an instance in step with its registry: what is deleted there goes here, what was not told is found.

    `on` begins with a reconciliation, `now` asks for another; `status` also tells what was deleted, the last 100.
    With --wait until no reconciliation is under way; exit 5 when the time is up, or the registry cannot be read.
    """
    named, wanted = _in_order(instance, action)

    async def work(client: Client) -> tuple[Sync, list[Record]]:
        answer = await _do(client, named, wanted)
        if wait is not None and answer.on:
            answer = await _settled(client, named, wait)
        return answer, await _removals(client, answer.instance_id) if wanted is Action.STATUS else []

    answer, removals = call(work, server=server, data=data, output=output)
    record = to_record(answer)
    if wanted is Action.STATUS and output is Output.JSON:
        show_record(output, {**record, "removals": removals})
    else:
        show_record(output, record)
        if removals:
            show_records(output, removals, _REMOVALS)
    if wait is not None and record["state"] in ("RUNNING", "DELAYED"):
        tell(output, _not_over(record))
        raise typer.Exit(int(Exit.UNDECIDED))


def _in_order(instance: str, action: str) -> tuple[str, Action]:
    """Takes both orders, for `sync on prod` is said as easily; where both are words, the first is the name."""
    words = {one.value: one for one in Action}
    if action in words:
        return instance, words[action]
    if instance in words:
        return action, words[instance]
    raise typer.BadParameter(f"{action[:40]!r} is none of {_WORDS}.")


async def _do(client: Client, instance: str, action: Action) -> Sync:
    from drydock.rules.v1.rules_service_pb2 import GetSyncRequest, SetSyncRequest, SyncNowRequest

    if action is Action.NOW:
        return (await client.rules.SyncNow(SyncNowRequest(instance=instance))).sync
    if action is Action.STATUS:
        return (await client.rules.GetSync(GetSyncRequest(instance=instance))).sync
    return (await client.rules.SetSync(SetSyncRequest(instance=instance, on=action is Action.ON))).sync


async def _settled(client: Client, instance: str, seconds: float) -> Sync:
    """Asks until no reconciliation is under way, or the time is up; returns the last answer."""
    from drydock.rules.v1.rules_service_pb2 import GetSyncRequest
    from drydock.rules.v1.sync_pb2 import SyncState

    loop = asyncio.get_running_loop()
    give_up = loop.time() + seconds
    while True:
        answer = (await client.rules.GetSync(GetSyncRequest(instance=instance))).sync
        if answer.state != SyncState.SYNC_STATE_RUNNING or loop.time() >= give_up:
            return answer
        await asyncio.sleep(min(_PAUSE_SECONDS, max(give_up - loop.time(), 0.0)))


async def _removals(client: Client, instance_id: str) -> list[Record]:
    from drydock.scanner.v1.scanner_service_pb2 import ListRemovalsRequest

    request = ListRemovalsRequest(instance=instance_id, page_size=_SHOWN)
    return [to_record(removal) for removal in (await client.scanner.ListRemovals(request)).removals]


def _not_over(record: Record) -> ServiceError:
    if record["state"] == "DELAYED":
        message = f"The reconciliation was put off: {record['message']}"
        return ServiceError(Kind.UNAVAILABLE, str(record["reason"]), message, hint="It goes on by itself.")
    message = "The reconciliation is not over in the time allowed."
    return ServiceError(
        Kind.DEADLINE_EXCEEDED, "WAIT_TIMED_OUT", message, hint="It goes on; ask again, or wait longer."
    )
