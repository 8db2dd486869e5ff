"""`drydock migrate`: brings the database up to this release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.failure import reported
from services.cli.options import OutputOption
from services.cli.output import Output, show_records

if TYPE_CHECKING:
    from services.cli.output import Record

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def migrate(
    *,
    database_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The PostgreSQL, better given as DRYDOCK_DATABASE_URL."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Applies the migrations that the database lacks, and tells what each schema has now.

    Run it before the processes of a new release start. Those of the release before go on working meanwhile and
    after it. Running it twice, or twice at once, does no harm.

    Example: DRYDOCK_DATABASE_URL=postgresql://drydock@db/drydock drydock migrate
    """
    with reported(output):
        import asyncio

        from services.kernel.log import configure_logs

        configure_logs(level="warning")  # what happened is what is printed
        show_records(output, asyncio.run(_migrate(database_url)), ("schema", "applied", "now_at"))


async def _migrate(given: str | None) -> list[Record]:
    from services.kernel.db import open_pool
    from services.kernel.errors import invalid
    from services.kernel.migrate import load_migrations, migrate
    from services.kernel.settings import KernelSettings
    from services.schemas import schemas_needed
    from services.settings import check_environment

    check_environment()
    settings = KernelSettings()
    url = given or settings.database_url
    if not url:
        raise invalid(
            "DATABASE_URL_MISSING",
            "There is no database to migrate: DRYDOCK_DATABASE_URL is not set.",
            field="DRYDOCK_DATABASE_URL",
            hint="`drydock up` migrates its own database by itself.",
        )
    done: list[Record] = []
    async with open_pool(url, application_name="drydock migrate", max_size=1) as pool:
        for schema, package in schemas_needed(settings):
            applied = await migrate(pool, schema=schema, package=package)
            done.append({"schema": schema, "applied": applied, "now_at": load_migrations(package)[-1].number})
    return done
