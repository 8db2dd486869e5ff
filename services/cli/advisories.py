"""`drydock advisories`: brings advisories into the data directory and tells what is there."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.failure import reported
from services.cli.options import DEFAULT_DATA, DataOption, OutputOption, examples
from services.cli.output import Output, console_for, show_record
from services.kernel.errors import invalid

if TYPE_CHECKING:
    from services.scanner.advisories.compile import Progress
    from services.scanner.advisories.database import Meta

app = typer.Typer(
    name="advisories",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def advisories() -> None:
    """The advisory file: import, update, status, export. A failed import leaves the old file serving.

    With DRYDOCK_DATABASE_URL, the youngest import is shared with every node of that database.
    """
    from services.kernel.log import configure_logs

    configure_logs(level="warning")  # what happened is what the commands print


@app.command(
    "import",
    epilog=examples(
        "drydock advisories import Debian.zip PyPI.zip",
        "drydock advisories import ./records https://mirror.example/Alpine/all.zip",
    ),
)
def import_(
    sources: Annotated[list[str], typer.Argument(metavar="PATH|URL...", help="OSV records.")],
    data: DataOption = DEFAULT_DATA,
    output: OutputOption = Output.TABLE,
) -> None:
    """Imports OSV records: zips, directories, .json and .ndjson files, or URLs of them.

    All that is named becomes one set, which replaces the set before. Damage in any source leaves the old set.
    """
    with _reported(output):
        show_record(output, _record(_install(sources, data), data, _share(data)))


@app.command()
def update(data: DataOption = DEFAULT_DATA, output: OutputOption = Output.TABLE) -> None:
    """Fetches the configured sources and imports them.

    DRYDOCK_ADVISORY_SOURCES names their URLs, separated by commas; the default is osv.dev's own records.

    Example: drydock advisories update
    """
    from services.scanner.advisories.settings import AdvisorySettings

    with _reported(output):
        show_record(output, _record(_install(AdvisorySettings().sources, data), data, _share(data)))


@app.command()
def status(data: DataOption = DEFAULT_DATA, output: OutputOption = Output.TABLE) -> None:
    """Tells which advisories scans use, how old they are, and what they cover.

    built_at is when they were imported, facts_at when the youngest of them was last modified. Each family, as
    Debian, is stale or not by its own; stale overall is true when any of them is.

    Example: drydock advisories status --output json
    """
    from services.scanner.advisories.files import AdvisoryFiles

    with _reported(output):
        shared = _share(data)
        with AdvisoryFiles(data.expanduser()).open() as database:
            show_record(output, _record(database.meta, data, shared))


class Form(enum.Enum):
    """What advisories are exported as."""

    LINES = "lines"
    TRIVY = "trivy-db"


@app.command(
    epilog=examples(
        "drydock advisories export > advisories.ndjson",
        "drydock advisories export --format trivy-db /srv/trivy",
    ),
)
def export(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="For trivy-db: where it goes; DATA/trivy, which the engine reads."),
    ] = None,
    *,
    form: Annotated[Form, typer.Option("--format", help="Lines of JSON, or a database of Trivy's.")] = Form.LINES,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Writes every fact of the current advisories: lines of JSON to standard output, or a database for Trivy.

    docs/advisories-export.md tells what the lines hold. Trivy's database is written by a program that `make trivy`
    builds: it replaces FOLDER/db whole, and Trivy reads it with --cache-dir FOLDER --skip-db-update.
    """
    from services.scanner.advisories.export import export_lines
    from services.scanner.advisories.files import AdvisoryFiles
    from services.scanner.advisories.settings import AdvisorySettings
    from services.scanner.advisories.trivydb import write_trivy_database

    with _reported(Output.TABLE):
        if form is Form.LINES and folder is not None:
            raise invalid(
                "INVALID_ARGUMENT", "Lines go to standard output.", field="folder", hint="Leave FOLDER out."
            )
        with AdvisoryFiles(data.expanduser()).open() as database:
            lines = export_lines(database)
            if form is Form.LINES:
                sys.stdout.buffer.writelines(lines)
                sys.stdout.buffer.flush()
                return
            target = (folder or data / "trivy").expanduser()
            told = write_trivy_database(lines, target, AdvisorySettings().trivy_writer)
            print(told, end="", file=sys.stderr)
            print(target)


@contextmanager
def _reported(output: Output) -> Iterator[None]:
    """Reports failures, the first of which is a setting that is none."""
    from services.settings import check_environment

    with reported(output):
        check_environment()
        yield


def _install(sources: Sequence[str], data: Path) -> Meta:
    import asyncio

    from services.kernel.clock import SystemClock
    from services.scanner.advisories.files import AdvisoryFiles
    from services.scanner.advisories.settings import AdvisorySettings
    from services.scanner.advisories.update import import_sources

    with _progress() as progress:
        return asyncio.run(
            import_sources(
                AdvisoryFiles(data.expanduser()),
                sources,
                settings=AdvisorySettings(),
                clock=SystemClock(),
                progress=progress,
            )
        )


def _share(data: Path) -> str | None:
    """Shares with the nodes of a configured database; returns the version that it has then."""
    import asyncio

    from services.kernel.settings import KernelSettings
    from services.scanner.advisories.files import AdvisoryFiles
    from services.scanner.advisories.shared import synchronise_with

    url = KernelSettings().database_url
    if not url:
        return None
    shared = asyncio.run(synchronise_with(url, AdvisoryFiles(data.expanduser())))
    return shared.version if shared else None


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Tells on standard error how far the import is, where somebody is watching."""
    if not sys.stderr.isatty():
        yield None
        return
    from services.cli.output import styled

    with console_for(sys.stderr).status("Importing advisories") as line:
        yield lambda source, records: line.update(styled(f"{source}: {records} records", ""))


def _record(meta: Meta, data: Path, shared: str | None) -> dict[str, object]:
    from services.kernel.clock import SystemClock
    from services.scanner.advisories.settings import AdvisorySettings

    now, max_age = SystemClock().now(), AdvisorySettings().max_age
    stale = meta.stale_families(now, max_age)
    return {
        "version": meta.version,
        "built_at": meta.built_at.isoformat().replace("+00:00", "Z"),
        **_age(meta.facts_at, now),
        "stale": meta.is_stale(now, max_age),
        "families": {
            family: {**_age(facts_at, now), "stale": family in stale} for family, facts_at in meta.families.items()
        },
        "sample": meta.sample,
        "records": meta.records,
        "packages": meta.packages,
        "ecosystems": meta.ecosystems,
        "left_out": meta.left_out,
        "sources": [
            {"name": source.name, "records": source.records, "newest": source.newest} for source in meta.sources
        ],
        "data": str(data.expanduser()),
        "shared": shared,
    }


def _age(facts_at: datetime | None, now: datetime) -> dict[str, object]:
    return {
        "facts_at": None if facts_at is None else facts_at.isoformat().replace("+00:00", "Z"),
        "age_seconds": None if facts_at is None else max(0, int((now - facts_at).total_seconds())),
    }
