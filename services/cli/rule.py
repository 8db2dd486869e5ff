"""`drydock rule`: what is scanned, when, and who is told; runs of rules are in `rule_run.py`."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, listed, shown
from services.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SERVER,
    DataOption,
    InstanceArgument,
    OutputOption,
    ServerOption,
    examples,
)
from services.cli.output import Output, Record, to_record
from services.cli.rule_run import RuleArgument, preview, run

if TYPE_CHECKING:
    from drydock.rules.v1.scan_rule_pb2 import ScanRule

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Scan rules: what is scanned, and who is told.",
)

_COLUMNS = (
    "name",
    "rule_id",
    "scope",
    "namespaces",
    "repo_names",
    "tag_pattern",
    "trigger",
    "scan_type",
    "target_ids",
    "schedule",
    "next_run_time",
)


class Scope(enum.Enum):
    """Scopes as they are typed."""

    NAMESPACE = "namespace"
    REPO = "repo"
    INSTANCE = "instance"


class Trigger(enum.Enum):
    """Triggers as they are typed."""

    AUTO = "auto"
    MANUAL = "manual"


class ScanType(enum.Enum):
    """Scan types as they are typed."""

    VUL = "vul"
    SBOM = "sbom"


NamespaceOption = Annotated[
    list[str] | None, typer.Option("--namespace", metavar="NS", help="Namespace; may be repeated for that scope.")
]
RepoOption = Annotated[
    list[str] | None, typer.Option("--repo", metavar="REPO", help="Repository of the namespace; may be repeated.")
]
TargetOption = Annotated[
    list[str] | None, typer.Option("--target", metavar="TARGET_ID", help="Who is told; may be repeated.")
]
ScheduleOption = Annotated[
    str | None,
    typer.Option(
        "--schedule", metavar="CRON", help="When it is run by itself: minute, hour, day, month, weekday, in UTC."
    ),
]


@app.command(
    epilog=examples(
        "drydock rule create prod all --scope instance --tag '.*' --target tgt-…",
        "drydock rule create prod releases --scope namespace --namespace team --tag 'v[0-9.]+'",
        "drydock rule create prod weekly --scope instance --tag '.*' --trigger manual --schedule '30 2 * * MON'",
    )
)
def create(
    instance: InstanceArgument,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    scope: Annotated[Scope, typer.Option(help="How far it reaches.")],
    tag: Annotated[str, typer.Option(metavar="RE2", help="Expression that the whole tag must match.")],
    namespace: NamespaceOption = None,
    repo: RepoOption = None,
    trigger: Annotated[Trigger, typer.Option(help="Every push that matches, or a person.")] = Trigger.AUTO,
    scan_type: Annotated[
        ScanType, typer.Option(help="What is wrong, or what is inside: one scan answers both; it never changes.")
    ] = ScanType.VUL,
    target: TargetOption = None,
    schedule: ScheduleOption = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Saves a scan rule."""

    async def work(client: Client) -> Record:
        from drydock.rules.v1 import scan_rule_pb2 as pb
        from drydock.rules.v1.rules_service_pb2 import CreateScanRuleRequest

        wanted = pb.ScanType.Value(f"SCAN_TYPE_{scan_type.name}")
        rule = pb.ScanRule(instance_id=instance, name=name, scan_type=wanted)
        _apply(
            rule,
            scope=scope,
            namespaces=namespace or [],
            repos=repo or [],
            tag=tag,
            trigger=trigger,
            targets=target or [],
            schedule=schedule,
        )
        return to_record((await client.rules.CreateScanRule(CreateScanRuleRequest(rule=rule))).rule)

    shown(work, server=server, data=data, output=output)


@app.command("list")
def list_(
    instance: InstanceArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists the rules of an instance, oldest first."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.rules.v1.rules_service_pb2 import ListScanRulesRequest

        request = ListScanRulesRequest(instance=instance, page_size=size, page_token=token)
        page = await client.rules.ListScanRules(request)
        return [to_record(item) for item in page.rules], page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output)


@app.command()
def show(
    rule_id: RuleArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Shows one rule. A target that was deleted since stays named in it, and is told no more."""

    async def work(client: Client) -> Record:
        return to_record(await _find(client, rule_id))

    shown(work, server=server, data=data, output=output)


@app.command()
def update(
    rule_id: RuleArgument,
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="New name.")] = None,
    scope: Annotated[
        Scope | None, typer.Option(help="New scope; then name its namespaces and repositories.")
    ] = None,
    tag: Annotated[str | None, typer.Option(metavar="RE2", help="New expression for tags.")] = None,
    namespace: NamespaceOption = None,
    repo: RepoOption = None,
    trigger: Annotated[Trigger | None, typer.Option(help="Every push that matches, or a person.")] = None,
    target: TargetOption = None,
    schedule: ScheduleOption = None,
    no_schedule: Annotated[bool, typer.Option("--no-schedule", help="Run it by itself no more.")] = False,
    no_target: Annotated[bool, typer.Option("--no-target", help="Tell nobody any more.")] = False,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Changes what is named; the rest stays. A repeated option replaces the whole list.

    Example: drydock rule update crscnr-… --tag 'v[0-9.]+' --no-target
    """
    if target and no_target:
        raise typer.BadParameter("--target and --no-target exclude each other.")
    if schedule and no_schedule:
        raise typer.BadParameter("--schedule and --no-schedule exclude each other.")
    given = (name, scope, tag, namespace, repo, trigger, target, schedule)
    if not no_target and not no_schedule and all(value is None for value in given):
        raise typer.BadParameter("Name at least one thing to change.")

    async def work(client: Client) -> Record:
        from drydock.rules.v1.rules_service_pb2 import UpdateScanRuleRequest

        rule = await _find(client, rule_id)
        if name is not None:
            rule.name = name
        if scope is not None:
            del rule.namespaces[:], rule.repo_names[:]
        _apply(
            rule,
            scope=scope,
            namespaces=namespace,
            repos=repo,
            tag=tag,
            trigger=trigger,
            targets=[] if no_target else target,
            schedule="" if no_schedule else schedule,
        )
        return to_record((await client.rules.UpdateScanRule(UpdateScanRuleRequest(rule=rule))).rule)

    shown(work, server=server, data=data, output=output)


@app.command()
def delete(
    rule_id: RuleArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Deletes a rule; tasks that it started go on."""

    async def work(client: Client) -> Record:
        from drydock.rules.v1.rules_service_pb2 import DeleteScanRuleRequest

        return to_record(await client.rules.DeleteScanRule(DeleteScanRuleRequest(rule_id=rule_id)))

    shown(work, server=server, data=data, output=output)


app.command()(preview)
app.command()(run)


async def _find(client: Client, rule_id: str) -> ScanRule:
    from drydock.rules.v1.rules_service_pb2 import GetScanRuleRequest

    return (await client.rules.GetScanRule(GetScanRuleRequest(rule_id=rule_id))).rule


def _apply(
    rule: ScanRule,
    *,
    scope: Scope | None,
    namespaces: list[str] | None,
    repos: list[str] | None,
    tag: str | None,
    trigger: Trigger | None,
    targets: list[str] | None,
    schedule: str | None,
) -> None:
    """Puts what is not None into the rule."""
    from drydock.rules.v1 import scan_rule_pb2 as pb

    if scope is not None:
        rule.scope = pb.Scope.Value(f"SCOPE_{scope.name}")
    if trigger is not None:
        rule.trigger = pb.Trigger.Value(f"TRIGGER_{trigger.name}")
    if tag is not None:
        rule.tag_pattern = tag
    if schedule is not None:
        rule.schedule = schedule
    for field, values in ((rule.namespaces, namespaces), (rule.repo_names, repos), (rule.target_ids, targets)):
        if values is not None:
            field[:] = values
