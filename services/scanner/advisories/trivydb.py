"""The advisories as a database of Trivy's, for machines that fetch none; `deploy/trivy`, in Go, writes it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final, cast

from services.kernel.errors import Kind, ServiceError

_NAME: Final = "trivy-advisories"
_SECONDS: Final = 1800.0
_MAX_TOLD: Final = 4000


def write_trivy_database(lines: Iterable[bytes], folder: Path, writer: Path | None) -> str:
    """Replaces the folder's `db` by one of the exported lines, whole or not at all; returns what was left out.

    Args:
        lines: of `export.export_lines`.
        folder: what is Trivy's cache folder then, with all else that is in it.
        writer: the program; by default looked for on PATH and where `make trivy` builds it.

    Raises:
        ServiceError: TRIVY_WRITER_MISSING, TRIVY_DATABASE_NOT_WRITTEN.
    """
    command = [_find(writer), str(folder)]
    with tempfile.TemporaryFile() as said:
        try:
            with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said) as process:  # noqa: S603 - ours
                try:
                    # One that ends before it has read all says why, and that counts.
                    with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", process.stdin) as way:
                        way.writelines(lines)
                    code = process.wait(_SECONDS)
                except BaseException:
                    process.kill()
                    raise
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _not_written(folder, str(error)) from error
        said.seek(0)
        told = said.read(_MAX_TOLD).decode("utf-8", "replace")
    if code != 0:
        raise _not_written(folder, told.strip() or f"{_NAME} ended with {code}")
    return told


def _find(writer: Path | None) -> str:
    built = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "drydock" / "trivy"
    places = [writer.expanduser()] if writer else [Path(_NAME), *sorted(built.glob(f"*/{_NAME}"), reverse=True)]
    for place in places:
        if found := shutil.which(place):
            return found
    raise ServiceError(
        Kind.FAILED_PRECONDITION,
        "TRIVY_WRITER_MISSING",
        f"There is no program {writer or _NAME}, which writes Trivy's database.",
        hint="Build it with `make trivy`, or name it in DRYDOCK_ADVISORY_TRIVY_WRITER.",
    )


def _not_written(folder: Path, why: str) -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "TRIVY_DATABASE_NOT_WRITTEN",
        f"Trivy's database could not be written into {folder}: {why.removesuffix('.')}.",
        hint="What was there before is still there.",
    )
