"""Importing OSV records and matching an image's packages against them."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.kernel.model.finding import Package
from services.scanner.advisories.compile import Source, compile_sources
from services.scanner.advisories.database import Database
from services.scanner.pipeline.match import match
from tests.benchmarks.figures import Figure, Result
from tests.builders.advisories import debian

_SHARED = Path(os.environ.get("DRYDOCK_SHARED", Path(__file__).parents[3] / "shared"))
_OSV = Path(os.environ.get("DRYDOCK_OSV_DIR", _SHARED / "osv"))
ROUNDS = 3
_WARM = 20
_SOURCES = ("openssl", "curl", "glibc", "perl", "systemd", "gnutls28", "libxml2", "sqlite3", "tar", "zlib")


async def measure() -> Result:
    """Imports everything in processes of their own, whose memory is then known, and matches 400 packages."""
    if not list(_OSV.glob("*.zip")):
        return Result(
            question=f"Not measured: there are no OSV zips in {_OSV.name}; set DRYDOCK_OSV_DIR.", figures=()
        )
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        output = Path(folder) / "all.mdb"
        imports = [await _in_process("import", str(output)) for _ in range(ROUNDS)]
        matches = [await _in_process("match", str(output)) for _ in range(ROUNDS)]
    records = imports[0]["records"]
    few, many = (f"{matches[0][name]:,.0f}" for name in ("few", "many"))
    return Result(
        question=(
            f"{records:,.0f} OSV records ({len(list(_OSV.glob('*.zip')))} zips) compiled into one file; then 400 "
            "Debian packages of ten sources matched with it: all newer than every fix, then all as old as can be. "
            "Cold: the first time in a new process, the file in the page cache."
        ),
        figures=(
            Figure(what="import", rounds=tuple(records / one["seconds"] for one in imports), unit="records/s"),
            Figure(what="import, whole", rounds=tuple(one["seconds"] for one in imports), unit="s", bar="<= 30"),
            Figure(
                what="import, peak memory",
                rounds=tuple(one["megabytes"] for one in imports),
                unit="MB",
                bar="<= 300",
            ),
            Figure(
                what=f"matching, {few} findings, cold",
                rounds=tuple(one["cold"] for one in matches),
                unit="ms",
                bar="<= 50",
            ),
            Figure(
                what=f"matching, {few} findings, warm",
                rounds=tuple(one["warm"] for one in matches),
                unit="ms",
                bar="<= 5",
            ),
            Figure(
                what=f"matching, {many} findings, warm",
                rounds=tuple(one["warm_old"] for one in matches),
                unit="ms",
            ),
        ),
    )


async def _in_process(what: str, output: str) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, what, output, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, float] = json.loads(said)
    return found


def _import(output: Path) -> dict[str, float]:
    began = time.perf_counter()
    zips = [Source(path=path, name=path.name) for path in sorted(_OSV.glob("*.zip"))]
    compile_sources(zips, output, built_at=datetime.now(UTC))
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with Database(output) as database:
        return {"seconds": seconds, "megabytes": peak, "records": float(database.meta.records)}


def _match(output: Path) -> dict[str, float]:
    new, old = _inventory("99-1"), _inventory("1-1")
    began = time.perf_counter()
    with Database(output) as database:
        few = _judged(new, database)
        cold = time.perf_counter() - began
        return {
            "cold": cold * 1000,
            "warm": _warm(new, database),
            "warm_old": _warm(old, database),
            "few": float(few),
            "many": float(_judged(old, database)),
        }


def _inventory(version: str) -> Sequence[Package]:
    return [debian(f"{source}-{number}", version, source=source) for number in range(40) for source in _SOURCES]


def _warm(packages: Sequence[Package], database: Database) -> float:
    began = time.perf_counter()
    for _ in range(_WARM):
        _judged(packages, database)
    return (time.perf_counter() - began) / _WARM * 1000


def _judged(packages: Sequence[Package], database: Database) -> int:
    judged = match(None, packages, database, unread=(), now=datetime.now(UTC), max_age=timedelta(days=7))
    return len(judged.findings)


if __name__ == "__main__":
    print(json.dumps({"import": _import, "match": _match}[sys.argv[1]](Path(sys.argv[2]))))
