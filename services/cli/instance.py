"""`drydock instance`: the registries that Drydock looks after."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import engine as engines
from services.cli import instance_sync
from services.cli.connect import Client, listed, shown
from services.cli.failure import reported, tell
from services.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SERVER,
    DataOption,
    InstanceArgument,
    OutputOption,
    OwnEngineOption,
    PasswordOption,
    ServerOption,
    examples,
)
from services.cli.output import Output, Record, to_record
from services.cli.password import check_pair, read_password
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.reference import parse_repository

if TYPE_CHECKING:
    from drydock.rules.v1.instance_pb2 import Edition as EditionNumber
    from drydock.rules.v1.instance_pb2 import Instance

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Registries that Drydock looks after.",
)

_COLUMNS = ("name", "instance_id", "edition", "region", "address", "plain_http", "engine", "create_time")


class Edition(enum.Enum):
    """Editions as they are typed."""

    ENTERPRISE = "enterprise"
    PERSONAL = "personal"


AddressOption = Annotated[str, typer.Option(metavar="HOST[:PORT]", help="The registry as people write it.")]
PrivateOption = Annotated[
    str, typer.Option(metavar="HOST[:PORT]", help="The address that Drydock itself uses, when it is another one.")
]
EditionOption = Annotated[Edition, typer.Option(help="Personal instances are refused scans and rules.")]
RegionOption = Annotated[str, typer.Option(metavar="R", help="A free word for filters.")]
UsernameOption = Annotated[str, typer.Option(metavar="U", help="User that Drydock pulls as; none for anonymous.")]
WebhookBaseOption = Annotated[
    str,
    typer.Option(
        metavar="URL", help="Where the registry reaches the gateway's HTTP door, when the server does not know it."
    ),
]


@app.command(
    epilog=examples(
        "drydock instance create prod --address registry.example.com",
        "drydock instance create prod --address HOST --username U --password-stdin < password",
    )
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    address: AddressOption,
    private_address: PrivateOption = "",
    edition: EditionOption = Edition.ENTERPRISE,
    region: RegionOption = "",
    plain_http: Annotated[bool, typer.Option("--plain-http", help="The registry has no TLS.")] = False,
    username: UsernameOption = "",
    password_stdin: PasswordOption = False,
    engine: OwnEngineOption = "",
    no_default_rule: Annotated[
        bool, typer.Option("--no-default-rule", help='Leave out the rule "every push" (AUTO, tag `.*`).')
    ] = False,
    webhook_base: WebhookBaseOption = "",
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Registers a registry; prints its id, and the URL and token for its webhook.

    The token is shown this once. The URL is for the distribution registry: for Harbor and for CloudEvents it has
    `harbor` or `cloudevents` in that place.
    """

    async def work(client: Client) -> Record:
        from drydock.rules.v1.instance_pb2 import Instance
        from drydock.rules.v1.rules_service_pb2 import CreateInstanceRequest

        new = Instance(
            name=name,
            edition=_number(edition),
            region=region,
            address=address,
            private_address=private_address,
            plain_http=plain_http,
            username=username,
        )
        request = CreateInstanceRequest(
            instance=new, password=password, engine=engine, no_default_rule=no_default_rule
        )
        saved = (await client.rules.CreateInstance(request)).instance
        return await _with_webhook(client, saved, webhook_base, output)

    with reported(output):
        check_pair(username, password_wanted=password_stdin)
        password = read_password(wanted=password_stdin)
    shown(work, server=server, data=data, output=output)


@app.command("list")
def list_(
    *,
    region: Annotated[str, typer.Option(metavar="R", help="Only those of this region.")] = "",
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists instances by name; `instance regions` lists the regions."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.rules.v1.rules_service_pb2 import ListInstancesRequest

        request = ListInstancesRequest(region=region, page_size=size, page_token=token)
        page = await client.rules.ListInstances(request)
        return [to_record(item) for item in page.instances], page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output)


@app.command()
def show(
    instance: InstanceArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Shows one instance, and how it is kept in step with its registry."""

    async def work(client: Client) -> Record:
        from drydock.rules.v1.rules_service_pb2 import GetSyncRequest

        found = await find_instance(client, instance)
        answer = await client.rules.GetSync(GetSyncRequest(instance=found.instance_id))
        return {**to_record(found), "sync_status": _without_id(to_record(answer.sync))}

    shown(work, server=server, data=data, output=output)


@app.command()
def update(
    instance: InstanceArgument,
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="New name.")] = None,
    address: Annotated[str | None, typer.Option(metavar="HOST[:PORT]")] = None,
    private_address: Annotated[str | None, typer.Option(metavar="HOST[:PORT]", help="Empty for none.")] = None,
    edition: Annotated[Edition | None, typer.Option()] = None,
    region: Annotated[str | None, typer.Option(metavar="R")] = None,
    plain_http: Annotated[bool | None, typer.Option("--plain-http/--no-plain-http")] = None,
    username: Annotated[str | None, typer.Option(metavar="U", help="Empty for anonymous.")] = None,
    password_stdin: PasswordOption = False,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Changes what is named; the rest stays. Credentials count from the next scan on.

    Another address, or plain HTTP, needs a saved password again (--password-stdin).

    Example: drydock instance update prod --private-address 10.0.0.5:5000
    """
    given = {
        "name": name,
        "address": address,
        "private_address": private_address,
        "region": region,
        "plain_http": plain_http,
        "username": username,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes and edition is None and not password_stdin:
        raise typer.BadParameter("Name at least one thing to change.")

    async def work(client: Client) -> Record:
        from google.protobuf.field_mask_pb2 import FieldMask

        from drydock.rules.v1.instance_pb2 import Instance
        from drydock.rules.v1.rules_service_pb2 import UpdateInstanceRequest

        old = await find_instance(client, instance)
        new = Instance(instance_id=old.instance_id)
        for key, value in changes.items():
            setattr(new, key, value)
        paths = list(changes)
        if edition is not None:
            new.edition = _number(edition)
            paths.append("edition")
        if username is None and password_stdin:
            check_pair(old.username, password_wanted=True)
        if password_stdin:
            paths.append("password")
        request = UpdateInstanceRequest(instance=new, password=password, update_mask=FieldMask(paths=paths))
        return to_record((await client.rules.UpdateInstance(request)).instance)

    with reported(output):
        if username is not None:
            check_pair(username, password_wanted=password_stdin)
        password = read_password(wanted=password_stdin)
    shown(work, server=server, data=data, output=output)


@app.command()
def delete(
    instance: InstanceArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Forgets an instance with its repositories and rules, and after the grace period its results.

    The registry itself is not touched.
    """

    async def work(client: Client) -> Record:
        from drydock.rules.v1.rules_service_pb2 import DeleteInstanceRequest

        return to_record(await client.rules.DeleteInstance(DeleteInstanceRequest(instance=instance)))

    shown(work, server=server, data=data, output=output)


@app.command(epilog=examples("drydock instance regions", "drydock instance list --region eu"))
def regions(
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists the regions that instances lie in, with how many there are."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.rules.v1.rules_service_pb2 import ListRegionsRequest

        del size, token  # there are few
        return [to_record(one) for one in (await client.rules.ListRegions(ListRegionsRequest())).regions], ""

    listed(fetch, ("region", "instances"), server=server, data=data, output=output)


app.command(epilog=examples("drydock instance engines prod", "drydock instance engines prod --output json"))(
    engines.engines
)
app.command(
    epilog=examples(
        "drydock instance activate prod security-center --authorize",
        "drydock instance activate prod trivy   # checks, and changes nothing",
    )
)(engines.activate)
app.command(epilog=examples("drydock instance switch prod trivy", "drydock instance switch prod security-center"))(
    engines.switch
)


@app.command(epilog=examples("drydock instance tags prod team/app"))
def tags(
    instance: InstanceArgument,
    repository: Annotated[str, typer.Argument(metavar="NAMESPACE/REPO", help="The repository.")],
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists the tags of a repository as last seen, and when they were last pulled (while sync is on)."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.scanner.v1.scanner_service_pb2 import ListTagsRequest

        request = ListTagsRequest(
            instance=instance,
            namespace=name.namespace,
            repository=name.name,
            page_size=size,
            page_token=token,
        )
        page = await client.scanner.ListTags(request)
        return [to_record(tag) for tag in page.tags], page.next_page_token

    with reported(output):
        name = parse_repository(repository)
    listed(fetch, ("tag", "digest", "seen_time", "pull_time"), server=server, data=data, output=output)


app.command(epilog=instance_sync.EPILOG)(instance_sync.sync)


async def find_instance(client: Client, instance: str) -> Instance:
    """Returns an instance by name or id."""
    from drydock.rules.v1.rules_service_pb2 import GetInstanceRequest

    return (await client.rules.GetInstance(GetInstanceRequest(instance=instance))).instance


async def _with_webhook(client: Client, saved: Instance, webhook_base: str, output: Output) -> Record:
    """Adds the webhook's address and a key for it to what is printed."""
    from drydock.gateway.v1.admin_service_pb2 import ROLE_WEBHOOK, CreateKeyRequest
    from services.kernel.rpc.client import translated_errors

    name = f"webhook.{saved.instance_id}"
    request = CreateKeyRequest(name=name, role=ROLE_WEBHOOK, instance=saved.instance_id)
    try:
        with translated_errors():
            key = await client.admin.CreateKey(request)
    except ServiceError as error:
        if error.reason != "ROLE_INSUFFICIENT":
            raise
        # The instance is saved: a failure now would keep its id from whoever made it.
        tell(output, _administrators_work(name, saved))
        return {**to_record(saved), "webhook_url": None, "webhook_token": None}
    url = key.webhook_url
    if webhook_base:
        url = f"{webhook_base.rstrip('/')}/webhooks/distribution/{saved.instance_id}"
    return {**to_record(saved), "webhook_url": url, "webhook_token": key.token}


def _without_id(sync: Record) -> Record:
    return {key: value for key, value in sync.items() if key not in ("instance_id", "on")}


def _administrators_work(name: str, saved: Instance) -> ServiceError:
    return ServiceError(
        Kind.PERMISSION_DENIED,
        "ROLE_INSUFFICIENT",
        "The instance is saved. Its webhook needs a key, which only an administrator can make.",
        hint=f"Ask one for: drydock key create {name} --role webhook --instance {saved.name}",
    )


def _number(edition: Edition) -> EditionNumber.ValueType:
    from drydock.rules.v1 import instance_pb2

    return instance_pb2.Edition.Value(f"EDITION_{edition.name}")
