"""`drydock findings`: what is wrong with an image."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.connect import Client, listed
from services.cli.findings_stream import export, follow
from services.cli.image import to_image_ref
from services.cli.kind import KindWord
from services.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SERVER,
    DataOption,
    ImageArgument,
    InstanceArgument,
    OutputOption,
    SaidByOption,
    ServerOption,
)
from services.cli.output import Output, Record, to_record
from services.cli.severity import SeverityWord

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="What is wrong with an image.",
)

_COLUMNS = ("severity", "id", "package", "version", "fixed_version", "path", "title", "engines")


@app.callback()
def findings() -> None:
    """What is wrong with an image."""


@app.command("list")
def list_(
    instance: InstanceArgument,
    image: ImageArgument,
    *,
    kind: Annotated[KindWord | None, typer.Option(help="Only this kind.")] = None,
    severity: Annotated[
        SeverityWord | None, typer.Option(help="Only this severity.", case_sensitive=False)
    ] = None,
    identifier: Annotated[str, typer.Option("--id", metavar="PART", help="Only ids that contain this.")] = "",
    platform: Annotated[str, typer.Option(metavar="OS/ARCH", help="Only findings of this platform.")] = "",
    engine: SaidByOption = "",
    worst_first: Annotated[bool, typer.Option("--worst-first", help="From CRITICAL to UNKNOWN.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists the findings of the last complete scan, from UNKNOWN to CRITICAL.

    Example: drydock findings list prod team/app:1.0 --severity critical
    """

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.scanner.v1.scanner_service_pb2 import ListFindingsRequest

        request = ListFindingsRequest(
            image=to_image_ref(instance, image, engine),
            kind=kind.name if kind else "",
            severity=severity.name if severity else "",
            id_contains=identifier,
            platform=platform,
            descending=worst_first,
            page_size=size,
            page_token=token,
        )
        page = await client.scanner.ListFindings(request)
        found: list[Record] = [to_record(item) for item in page.findings]
        return found if output is Output.JSON else [flat(item) for item in found], page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output, limit=limit)


app.command()(follow)
app.command()(export)


def flat(finding: Record) -> Record:
    """Puts name and version of the package beside the finding's own fields, for a table, or else what was seen."""
    package = finding["package"]
    inner = package if isinstance(package, dict) else {"name": finding["match"]}
    path = f"{finding['path']} (deleted)" if finding["deleted"] else finding["path"]
    return {**finding, "package": inner.get("name", ""), "version": inner.get("version", ""), "path": path}
