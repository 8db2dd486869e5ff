"""One image, scanned in this process: what `drydock scan` and `drydock gate --local` stand on."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from services.cli.kind import KindWord
from services.cli.output import console_for
from services.cli.password import check_pair, read_password
from services.kernel.environment import settings_in
from services.kernel.errors import ServiceError, invalid

if TYPE_CHECKING:
    from services.kernel.model.access import RegistryAccess
    from services.kernel.model.engine import Engine
    from services.kernel.model.finding import FindingKind
    from services.kernel.model.reference import ImageReference
    from services.kernel.model.report import Report
    from services.kernel.workers.template import Template

_NO_ADVISORIES = frozenset({"ADVISORY_SOURCE_NOT_FOUND", "ADVISORY_SOURCE_BROKEN", "ADVISORY_SOURCE_TOO_LARGE"})
_ADVISORIES_HINT = "Give a zip, a folder, a .json or .ndjson file of OSV records to --advisories."

Progress: TypeAlias = Callable[[str, Mapping[str, object]], None]


class Access(NamedTuple):
    """How the registry is to be met, as it was typed."""

    username: str = ""
    password_stdin: bool = False
    plain_http: bool = False


def scan_here(
    image: str,
    *,
    advisories: Path | None,
    kinds: list[KindWord] | None,
    engine: str,
    platform: str,
    access: Access,
    data: Path,
) -> tuple[Report, str]:
    """Scans one image with a line on standard error that says what is being done.

    Returns the report, and the platforms that the image is there for besides the one that was chosen.

    Raises:
        ServiceError: wrong usage.
        ScanFailure: the image cannot be scanned.
    """
    with _template() as template:
        from services.kernel.model.engine import parse_engines
        from services.kernel.model.platform import parse_platform
        from services.kernel.model.reference import parse_reference

        _check_environment()
        asked = parse_engines(engine)
        sought = _kinds(kinds, asked)
        reference = parse_reference(image)
        wanted = parse_platform(platform) if platform else None
        check_pair(access.username, password_wanted=access.password_stdin)
        folder = data.expanduser()
        way = _access(reference, access, read_password(wanted=access.password_stdin))

        from services.scanner.wiring.one_shot import one_shot

        async def work(progress: Progress) -> Report:
            return await one_shot(
                reference,
                template=template,
                access=way,
                platform=wanted,
                advisories=advisories,
                engine=asked,
                kinds=sought,
                data=folder,
                progress=progress,
            )

        with _named(advisories):
            return _watched(work)


def _kinds(words: list[KindWord] | None, engine: Engine) -> frozenset[FindingKind]:
    """Returns what is looked for; refuses to have only looked for what the engine never finds."""
    from services.kernel.model.engine import Engine
    from services.kernel.model.finding import VULNERABILITIES, FindingKind

    kinds = frozenset(FindingKind[each.name] for each in words or KindWord)
    if engine is Engine.TRIVY and kinds.isdisjoint(VULNERABILITIES):
        raise invalid(
            "KIND_NOT_FOUND_BY_ENGINE",
            "The TRIVY engine finds vulnerabilities only.",
            field="kind",
            hint="Leave --kind out, or scan with security-center.",
        )
    return kinds


def _check_environment() -> None:
    """Reads no setting where none is made: to import all that reads them takes longer than a small image."""
    if any(settings_in(os.environ)):
        from services.settings import check_environment

        check_environment()


@contextmanager
def _template() -> Iterator[Template]:
    """Yields what workers come from: it imports while we do."""
    from services.cli.head_start import take

    with closing(take()) as template:
        take.cache_clear()
        yield template


def _access(reference: ImageReference, access: Access, password: str) -> RegistryAccess | None:
    """Returns how to reach the registry; None for a folder or an archive."""
    from services.kernel.model.reference import RegistryReference

    if not isinstance(reference, RegistryReference):
        if access.username:
            raise invalid(
                "INVALID_CREDENTIALS", "A file asks for no user.", field="username", hint="Leave --username out."
            )
        return None
    from pydantic import SecretStr

    from services.kernel.model.access import RegistryAccess

    return RegistryAccess(
        address=reference.host,
        plain_http=access.plain_http,
        username=access.username,
        password=SecretStr(password),
    )


@contextmanager
def _named(advisories: Path | None) -> Iterator[None]:
    """Makes wrong usage of a failure of the advisories that the caller named: the image was not even looked at."""
    try:
        yield
    except ServiceError as error:
        if advisories is None or error.reason not in _NO_ADVISORIES:
            raise
        raise invalid(error.reason, error.message, field="advisories", hint=_ADVISORIES_HINT) from error


def _watched(work: Callable[[Progress], Coroutine[object, object, Report]]) -> tuple[Report, str]:
    """Runs the scan with a line on standard error that says what is being done.

    Returns the report, and the platforms that the image is there for besides the one that was chosen.
    """
    from services.kernel.late_log import silence

    silence()
    others = ""
    with _display() as show_line:

        def progress(step: str, facts: Mapping[str, object]) -> None:
            nonlocal others
            if step == "platform":
                others = str(facts["others"])
            show_line(f"{step}: {', '.join(f'{key} {value}' for key, value in facts.items())}")

        return asyncio.run(work(progress)), others


@contextmanager
def _display() -> Iterator[Callable[[str], None]]:
    """Yields what shows a line to a person; where none looks, what draws is not even imported."""
    if not sys.stderr.isatty():
        yield lambda line: None
        return
    with console_for(sys.stderr).status("starting") as display:
        yield display.update
