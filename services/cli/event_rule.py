"""`drydock event-rule`: targets that are told of an instance's scans."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.connect import Client, listed, shown
from services.cli.options import DEFAULT_DATA, DEFAULT_SERVER, DataOption, OutputOption, ServerOption
from services.cli.output import Output, Record, to_record

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Event rules: who is told of an instance's scans.",
)

_COLUMNS = ("name", "rule_id", "target_id", "scope", "namespaces", "repo_names", "tag_pattern")
_RECORD_COLUMNS = ("create_time", "rule_name", "namespace", "repository", "tag", "kind", "delivery_id")

InstanceArgument = Annotated[str, typer.Argument(metavar="INSTANCE", help="Name or id of the instance.")]


@app.command()
def create(
    instance: InstanceArgument,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    target: Annotated[str, typer.Option(metavar="TARGET", help="Who is told, by name or id.")],
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", metavar="NS", help="Only of these; may be repeated.")
    ] = None,
    repo: Annotated[
        list[str] | None,
        typer.Option("--repo", metavar="REPO", help="Only of these, in the one namespace; may be repeated."),
    ] = None,
    tag: Annotated[str, typer.Option(metavar="RE2", help="Only tags that this matches as a whole.")] = "",
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Has a target told of every end of a scan of an instance, whatever rule or person asked for it.

    Example: drydock event-rule create prod everything --target chat
    """
    scope = "REPO" if repo else "NAMESPACE" if namespace else "INSTANCE"

    async def work(client: Client) -> Record:
        from drydock.notifier.v1 import event_rule_pb2 as pb

        rule = pb.EventRule(
            instance_id=await _instance_id(client, instance),
            name=name,
            target_id=target,
            scope=scope,
            namespaces=namespace or (),
            repo_names=repo or (),
            tag_pattern=tag,
        )
        saved = await client.notifier.CreateEventRule(pb.CreateEventRuleRequest(rule=rule))
        return to_record(saved.rule)

    shown(work, server=server, data=data, output=output)


@app.command("list")
def list_(
    instance: InstanceArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists the event rules of an instance by name."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.notifier.v1.event_rule_pb2 import ListEventRulesRequest

        del size, token
        request = ListEventRulesRequest(instance_id=await _instance_id(client, instance))
        return [to_record(rule) for rule in (await client.notifier.ListEventRules(request)).rules], ""

    listed(fetch, _COLUMNS, server=server, data=data, output=output)


@app.command()
def delete(
    instance: InstanceArgument,
    rule: Annotated[str, typer.Argument(metavar="RULE_ID", help="Id of the event rule.")],
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Deletes an event rule; what it had told stays on record."""

    async def work(client: Client) -> Record:
        from drydock.notifier.v1.event_rule_pb2 import DeleteEventRuleRequest

        request = DeleteEventRuleRequest(instance_id=await _instance_id(client, instance), rule_id=rule)
        return to_record(await client.notifier.DeleteEventRule(request))

    shown(work, server=server, data=data, output=output)


@app.command()
def records(
    instance: InstanceArgument,
    *,
    rule: Annotated[str, typer.Option(metavar="RULE_ID", help="Only those of this rule.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists what event rules had told, newest first."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.notifier.v1.event_rule_pb2 import ListEventRecordsRequest

        begin = int(token or "0")
        page = await client.notifier.ListEventRecords(
            ListEventRecordsRequest(
                instance_id=await _instance_id(client, instance), rule_id=rule, offset=begin, page_size=size
            )
        )
        end = begin + len(page.records)
        more = str(end) if page.records and end < page.total_size else ""
        return [to_record(record) for record in page.records], more

    listed(fetch, _RECORD_COLUMNS, server=server, data=data, output=output, limit=limit)


async def _instance_id(client: Client, name: str) -> str:
    from drydock.rules.v1.rules_service_pb2 import GetInstanceRequest

    return (await client.rules.GetInstance(GetInstanceRequest(instance=name))).instance.instance_id
