"""`python -m tests.quality [IMAGE…]`: holds Drydock's inventories and findings against those of its judges.

Exit status: 0 all was run, every difference is judged and no figure fell; 1 not so; 3 what was run is well, but
not all could be run.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from services.lab.image import build_image, write_layout
from services.lab.layer import BuiltLayer
from tests.quality import record
from tests.quality.compare import Difference, differences, figures
from tests.quality.corpus.all import CORPUS
from tests.quality.corpus.fetch import default_cache
from tests.quality.corpus.image import CorpusImage, Unavailable
from tests.quality.facts import Fact
from tests.quality.judged import read_judgements
from tests.quality.judges import drydock, syft, trivy
from tests.quality.record import Verdict

_ROOT = Path(__file__).parents[2]
_SHARED = Path(os.environ.get("DRYDOCK_SHARED", _ROOT.parent / "shared"))
_OSV = Path(os.environ.get("DRYDOCK_OSV_DIR", _SHARED / "osv"))


@dataclasses.dataclass(slots=True, kw_only=True)
class _Heard:
    """What all of them said, of all images."""

    ours: dict[str, set[Fact]] = dataclasses.field(default_factory=lambda: {"syft": set(), "trivy": set()})
    theirs: dict[str, set[Fact]] = dataclasses.field(default_factory=lambda: {"syft": set(), "trivy": set()})
    images: list[CorpusImage] = dataclasses.field(default_factory=list)
    not_run: list[str] = dataclasses.field(default_factory=list)


def main() -> None:
    """Runs what was named, or everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="IMAGE", help=", ".join(image.name for image in CORPUS))
    parser.add_argument("--record", action="store_true", help="put the figures into docs/quality.md")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {image.name for image in CORPUS}
    if unknown:
        parser.error(f"no such image: {', '.join(sorted(unknown))}")
    if arguments.record and arguments.names:
        parser.error("--record is for all images together")
    images = [image for image in CORPUS if not arguments.names or image.name in arguments.names]
    with tempfile.TemporaryDirectory(prefix="drydock-quality-") as folder:
        heard = _listen(images, Path(folder))
    verdict = _judge(heard, whole=not arguments.names)
    print(verdict.text())
    if arguments.record and verdict.status == 0:
        record.write(verdict)
    sys.exit(verdict.status)


def _listen(images: Sequence[CorpusImage], scratch: Path) -> _Heard:
    heard = _Heard()
    data = scratch / "data"
    judge = _advisories(data, scratch / "trivy", heard.not_run)
    for image in images:
        print(f"… {image.name}", file=sys.stderr, flush=True)
        try:
            layers = image.build(default_cache())
        except Unavailable as error:
            heard.not_run.append(f"the image {image.name}: {error}")
            continue
        layout = scratch / image.name
        write_layout(layout, {"corpus": build_image(layers)})
        ours = drydock.ask(image.name, layout, data)
        for warning in ours.warnings:
            print(f"  {warning}", file=sys.stderr)
        heard.images.append(image)
        heard.ours["syft"] |= ours.packages
        heard.theirs["syft"] |= syft.ask(image.name, layout, scratch).packages
        if judge is not None:
            target = _unpacked(layers, scratch / f"{image.name}-files") if image.locks else layout
            heard.ours["trivy"] |= ours.findings
            heard.theirs["trivy"] |= trivy.ask(judge, image.name, target, locks=image.locks).findings
    return heard


def _advisories(data: Path, cache: Path, not_run: list[str]) -> trivy.Trivy | None:
    """Imports the advisories for both; None where findings cannot be compared."""
    zips = sorted(_OSV.glob("*.zip"))
    if not zips:
        not_run.append("findings: there are no OSV zips; set DRYDOCK_OSV_DIR to the folder that holds them")
        return None
    program = Path(sys.executable).with_name("drydock")
    command: list[str | Path] = [program, "advisories", "import", *zips, "--data", data]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    try:
        return trivy.with_advisories(data, cache)
    except trivy.TrivyMissing as error:
        not_run.append(f"findings: Trivy cannot be had: {error}")
        return None


def _judge(heard: _Heard, *, whole: bool) -> Verdict:
    judgements = read_judgements()
    found: dict[str, list[Difference]] = {}
    counted = {}
    for judge, ours in heard.ours.items():
        theirs = heard.theirs[judge]
        if not ours and not theirs:
            continue
        found[judge] = differences(judge, ours, theirs, judgements)
        counted[judge] = figures(ours, theirs, found[judge])
    used = {each.judged for several in found.values() for each in several}
    idle = [each for each in judgements if each not in used] if whole and not heard.not_run else []
    return Verdict(
        figures=counted,
        differences=found,
        idle=tuple(idle),
        images=tuple(heard.images),
        not_run=tuple(heard.not_run),
        fallen=tuple(record.fallen(counted, record.read())) if whole else (),
    )


def _unpacked(layers: Sequence[BuiltLayer], folder: Path) -> Path:
    """Writes the files of layers that have no links and delete nothing."""
    folder.mkdir()
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer.content)) as archive:
            archive.extractall(folder, filter="data")
    return folder


if __name__ == "__main__":
    main()
