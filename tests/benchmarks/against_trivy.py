"""Drydock against real Trivy: the same image, the same advisories, layers that neither has seen, turn by turn.

A process of its own answers as the warm worker, so that this one's load is in nobody's figures:
`python -m tests.benchmarks.against_trivy LAYOUT DATA SCRATCH KINDS` scans once for each line that it reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from services.cli.kind import KindWord
from services.kernel.clock import SystemClock
from services.kernel.model.finding import VULNERABILITIES, FindingKind
from services.kernel.model.reference import parse_reference
from services.lab.image import build_image, write_layout
from services.registry.spool import LayerSpool
from services.scanner.bounds import read_bounds
from services.scanner.images.open import name_in_source, open_source
from services.scanner.layers.library import RememberedAnalyses
from services.scanner.records import ScannedImage
from services.scanner.reports import unpack_report
from services.scanner.search import open_search
from services.scanner.wiring.pipeline import make_pipeline
from services.scanner.wiring.workers import server_workers
from tests.benchmarks.figures import Figure, Result, ratio
from tests.benchmarks.memory import peak_pss
from tests.quality.corpus.all import PYAPP
from tests.quality.corpus.fetch import default_cache
from tests.quality.corpus.image import Unavailable
from tests.quality.judges import trivy

_ROUNDS: Final = 5
_MEMORY_ROUNDS: Final = 3
_OSV = Path(os.environ.get("DRYDOCK_OSV_DIR", Path(__file__).parents[3] / "shared" / "osv"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    name: str
    kinds: frozenset[FindingKind]
    scanners: str
    """What Trivy has that comes nearest."""
    warm_bar: float
    shell_bar: float


_COMPARISONS: Final = (
    _Comparison(name="vulnerabilities only", kinds=VULNERABILITIES, scanners="vuln", warm_bar=0.5, shell_bar=0.8),
    _Comparison(
        name="all four kinds", kinds=frozenset(FindingKind), scanners="vuln,secret", warm_bar=0.5, shell_bar=0.7
    ),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    layout: Path
    data: Path
    judge: trivy.Trivy
    scratch: Path


async def measure() -> Result:
    """Makes the image and scans it again and again; takes about two minutes once Trivy is built."""
    return await asyncio.to_thread(_measure)


def _measure() -> Result:
    zips = sorted(_OSV.glob("*.zip"))
    if not zips:
        return _not_measured(f"there are no OSV zips in {_OSV.name}; set DRYDOCK_OSV_DIR")
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        root = Path(folder)
        try:
            layers = PYAPP.build(default_cache())
            write_layout(root / "image", {"bench": build_image(layers)})
            command: list[str | Path] = [_drydock(), "advisories", "import", *zips, "--data", root / "data"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            judge = trivy.with_advisories(root / "data", root / "trivy")
        except (Unavailable, trivy.TrivyMissing) as error:
            return _not_measured(str(error))
        stage = _Stage(layout=root / "image", data=root / "data", judge=judge, scratch=root)
        figures = _measured(stage)
    stored = sum(len(layer.content) for layer in layers) / 1e6
    return Result(
        question=(
            f"An image of {len(layers)} layers ({stored:.0f} MB gzip: Debian, Python, six old wheels) as an OCI "
            "layout on disk, layers cold, files in the page cache: vulnerabilities only against `trivy image "
            "--scanners vuln`, all four kinds against `--scanners vuln,secret`, of version 0.72.0 on the same "
            "advisories. Shell command: from its "
            "start to its end, as `drydock scan --format json`. Warm worker: its processes are up. Memory: "
            "the highest sum of PSS over the process tree."
        ),
        figures=figures,
    )


def _measured(stage: _Stage) -> tuple[Figure, ...]:
    return tuple(figure for each in _COMPARISONS for figure in _compared(stage, each))


def _compared(stage: _Stage, what: _Comparison) -> tuple[Figure, ...]:
    with _warm_worker(stage, what) as warm:
        works: dict[str, Callable[[], None]] = {
            "warm worker": warm,
            "shell command": functools.partial(_run, _shell_command(stage, what)),
            "Trivy": functools.partial(_run, _trivy_command(stage, what)),
        }
        for work in works.values():
            work()
        rounds: dict[str, list[float]] = {name: [] for name in works}
        for number in range(_ROUNDS):
            for name in works if number % 2 else reversed(works):
                began = time.perf_counter()
                works[name]()
                rounds[name].append(time.perf_counter() - began)
    seconds = {
        name: Figure(what=f"{what.name}: {name}", rounds=tuple(took), unit="s") for name, took in rounds.items()
    }
    commands = {"warm worker": _three_warm, "shell command": _shell_command, "Trivy": _trivy_command}
    memory = {
        name: Figure(
            what=f"{what.name}: {name}, memory",
            rounds=tuple(peak_pss(command(stage, what)) / 1e6 for _ in range(_MEMORY_ROUNDS)),
            unit="MB",
        )
        for name, command in commands.items()
    }
    bars = {"warm worker": what.warm_bar, "shell command": what.shell_bar}
    return (
        *(
            ratio(f"{what.name}: {name} / Trivy", seconds[name], seconds["Trivy"], bar=f"<= {bar}")
            for name, bar in bars.items()
        ),
        *(
            ratio(f"{what.name}: {name} / Trivy, memory", memory[name], memory["Trivy"], bar="<= 1")
            for name in bars
        ),
        *seconds.values(),
        *memory.values(),
    )


def _run(command: Sequence[str | Path]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _shell_command(stage: _Stage, what: _Comparison) -> Sequence[str | Path]:
    command: list[str | Path] = [
        _drydock(),
        "scan",
        f"oci:{stage.layout}",
        "--data",
        stage.data,
        "--format",
        "json",
    ]
    return [*command, *(f"--kind={word.value}" for word in KindWord if FindingKind[word.name] in what.kinds)]


def _trivy_command(stage: _Stage, what: _Comparison) -> Sequence[str | Path]:
    """In memory it keeps nothing of the layers from run to run, and need not write it either."""
    return [
        *(stage.judge.program, "image", "--input", stage.layout, "--cache-dir", stage.judge.cache),
        *(*trivy.OFFLINE, "--cache-backend", "memory", "--scanners", what.scanners, "--format", "json"),
    ]


def _serving(stage: _Stage, what: _Comparison) -> list[str]:
    kinds = ",".join(kind.value for kind in what.kinds)
    return [sys.executable, "-m", __name__, str(stage.layout), str(stage.data), str(stage.scratch), kinds]


def _three_warm(stage: _Stage, what: _Comparison) -> Sequence[str | Path]:
    """The warm worker on its own, with three scans to do."""
    return ["sh", "-c", f"yes scan | head -3 | {shlex.join(_serving(stage, what))}"]


@contextlib.contextmanager
def _warm_worker(stage: _Stage, what: _Comparison) -> Iterator[Callable[[], None]]:
    """Starts the process that scans on demand; gives what has it scan once."""
    pipe = subprocess.PIPE
    with subprocess.Popen(_serving(stage, what), stdin=pipe, stdout=pipe, text=True) as process:
        to, by = process.stdin, process.stdout
        assert to is not None
        assert by is not None

        def scan() -> None:
            to.write("scan\n")
            to.flush()
            assert by.readline() == "scanned\n"

        yield scan
        to.close()


async def _serve(layout: Path, data: Path, scratch: Path, kinds: frozenset[FindingKind]) -> None:
    """Each scan has a library of its own, so that no layer was ever read; the processes stay."""
    bounds = read_bounds()
    search = open_search(bounds, data, kinds)
    workers = server_workers(bounds, search.inspection)
    reference = parse_reference(f"oci:{layout}")
    while await asyncio.to_thread(sys.stdin.readline):
        async with (
            LayerSpool(scratch / "spool", bounds.spool_bytes) as spool,
            open_source(reference, None, bounds.source) as source,
        ):
            pipeline = make_pipeline(
                spool=spool,
                library=RememberedAnalyses(),
                workers=workers,
                search=lambda: search,
                data=data,
                bounds=bounds,
                clock=SystemClock(),
            )
            found = await pipeline.scan(source, name=name_in_source(reference), reference=str(reference))
        assert isinstance(found, ScannedImage)
        assert unpack_report(found.report).findings
        print("scanned", flush=True)


def _not_measured(why: str) -> Result:
    return Result(question=f"Not measured: {why}.", figures=())


def _drydock() -> Path:
    return Path(sys.executable).with_name("drydock")


if __name__ == "__main__":
    _, image, advisories, spool, words = sys.argv
    asyncio.run(
        _serve(
            Path(image), Path(advisories), Path(spool), frozenset(FindingKind(word) for word in words.split(","))
        )
    )
