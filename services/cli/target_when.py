"""`drydock target when`: what a target is told of."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, shown
from services.cli.duration import parse_duration
from services.cli.options import DEFAULT_DATA, DEFAULT_SERVER, DataOption, OutputOption, ServerOption
from services.cli.output import Output, Record, to_record
from services.cli.severity import SeverityWord

if TYPE_CHECKING:
    from drydock.notifier.v1 import subscription_pb2 as pb


class OccasionWord(enum.Enum):
    """Occasions as they are typed."""

    COMPLETED = "completed"
    FINDINGS = "findings"
    MALICIOUS_SAMPLE = "malicious"
    FAILED = "failed"


def when(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Name or id of the target.")],
    *,
    on: Annotated[
        list[OccasionWord] | None, typer.Option("--on", help="When it is told; may be repeated.")
    ] = None,
    min_severity: Annotated[
        SeverityWord | None, typer.Option(help="Less severe findings are no occasion.")
    ] = None,
    new_only: Annotated[
        bool | None,
        typer.Option("--new-only/--all-findings", help="Whether what the scan before had is no occasion."),
    ] = None,
    instance: Annotated[
        list[str] | None, typer.Option("--instance", metavar="INSTANCE", help="Only of these; may be repeated.")
    ] = None,
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", metavar="NS", help="Only of these; may be repeated.")
    ] = None,
    repo: Annotated[
        list[str] | None, typer.Option("--repo", metavar="NS/REPO", help="Only of these; may be repeated.")
    ] = None,
    tag: Annotated[str | None, typer.Option(metavar="RE2", help="Only tags that this matches as a whole.")] = None,
    together: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="TIME",
            help="Tell together what happens within 10m, 1h or 1d; 0s: tell each at once.",
        ),
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Begin from the default, not from what is set.")] = False,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Says what a target is told of, or changes it: what is not named stays as it is.

    Example: drydock target when chat --on findings --on malicious --min-severity high --new-only
    """
    said = (on, min_severity, new_only, instance, namespace, repo, tag, together)

    async def work(client: Client) -> Record:
        from drydock.notifier.v1 import subscription_pb2 as pb

        asked = await client.notifier.GetSubscription(pb.GetSubscriptionRequest(target=target))
        wanted = _default() if reset else asked.subscription
        if not reset and all(each is None for each in said):
            return to_record(wanted)
        if on is not None:
            wanted.occasions[:] = [pb.Occasion.Value(f"OCCASION_{each.name}") for each in on]
        if instance is not None:
            wanted.instance_ids[:] = [await _instance_id(client, name) for name in instance]
        if namespace is not None:
            wanted.namespaces[:] = namespace
        if repo is not None:
            wanted.repositories[:] = repo
        if min_severity is not None:
            wanted.min_severity = min_severity.name
        if new_only is not None:
            wanted.new_only = new_only
        if tag is not None:
            wanted.tag_pattern = tag
        if together is not None:
            wanted.window_seconds = int(together)
        saved = await client.notifier.SetSubscription(
            pb.SetSubscriptionRequest(target=target, subscription=wanted)
        )
        return to_record(saved.subscription)

    shown(work, server=server, data=data, output=output)


def _default() -> pb.Subscription:
    from drydock.notifier.v1 import subscription_pb2 as pb

    return pb.Subscription(occasions=[pb.OCCASION_FINDINGS, pb.OCCASION_FAILED])


async def _instance_id(client: Client, name: str) -> str:
    from drydock.rules.v1.rules_service_pb2 import GetInstanceRequest

    return (await client.rules.GetInstance(GetInstanceRequest(instance=name))).instance.instance_id
