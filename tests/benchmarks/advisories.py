"""Importing OSV records and matching an image's packages against them."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.kernel.model.finding import Package
from services.scanner.advisories.compile import Source, compile_sources
from services.scanner.advisories.database import Database
from services.scanner.pipeline.match import match
from tests.benchmarks.figures import Figure, Result
from tests.benchmarks.inventories import INVENTORIES

_SHARED = Path(os.environ.get("DRYDOCK_SHARED", Path(__file__).parents[3] / "shared"))
_OSV = Path(os.environ.get("DRYDOCK_OSV_DIR", _SHARED / "osv"))
ROUNDS = 3
_WARM = 20
_HELD = frozenset(INVENTORIES) - {"old Debian"}
"""What the bar is for: nobody has an image with 20,000 findings."""


async def measure() -> Result:
    """Imports everything in processes of their own, whose memory is then known, and matches inventories of 400."""
    if not list(_OSV.glob("*.zip")):
        return Result(
            question=f"Not measured: there are no OSV zips in {_OSV.name}; set DRYDOCK_OSV_DIR.", figures=()
        )
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        output = Path(folder) / "all.mdb"
        imports = [await _in_process("import", str(output)) for _ in range(ROUNDS)]
        matches = {
            name: [await _in_process("match", str(output), name) for _ in range(ROUNDS)] for name in INVENTORIES
        }
    records = imports[0]["records"]
    return Result(
        question=(
            f"{records:,.0f} OSV records ({len(list(_OSV.glob('*.zip')))} zips) compiled into one file; then "
            "inventories of 400 packages matched with it. Debian: of ten sources, newer than every fix or older. "
            "The others: packages that advisories speak of, each without the newest fix; mixed are 300 of Debian, "
            "50 of npm and 50 of PyPI. Cold: the first time in a new process, the file in the page cache."
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
            *(figure for name, rounds in matches.items() for figure in _figures(name, rounds)),
        ),
    )


def _figures(name: str, rounds: Sequence[Mapping[str, float]]) -> Iterator[Figure]:
    what = f"matching {name}, {rounds[0]['findings']:,.0f} findings"
    for state, bar in (("cold", "<= 50"), ("warm", "<= 5")):
        yield Figure(
            what=f"{what}, {state}",
            rounds=tuple(one[state] for one in rounds),
            unit="ms",
            bar=bar if name in _HELD else "",
        )


async def _in_process(what: str, *arguments: str) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, what, *arguments, stdout=asyncio.subprocess.PIPE
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


def _match(output: Path, name: str) -> dict[str, float]:
    with Database(output) as database:
        packages = INVENTORIES[name](database)
    began = time.perf_counter()
    with Database(output) as database:
        findings = _judged(packages, database)
        cold = time.perf_counter() - began
        return {"cold": cold * 1000, "warm": _warm(packages, database), "findings": float(findings)}


def _warm(packages: Sequence[Package], database: Database) -> float:
    took = []
    for _ in range(_WARM):
        began = time.perf_counter()
        _judged(packages, database)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def _judged(packages: Sequence[Package], database: Database) -> int:
    judged = match(None, packages, database, unread=(), now=datetime.now(UTC), max_age=timedelta(days=7))
    return len(judged.findings)


if __name__ == "__main__":
    asked, file, *more = sys.argv[1:]
    print(json.dumps(_import(Path(file)) if asked == "import" else _match(Path(file), *more)))
