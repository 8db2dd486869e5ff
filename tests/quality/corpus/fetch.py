"""Real packages by the ordinary client of each index, pinned by hash, kept outside of the work tree."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.kernel.errors import ServiceError
from services.lab.wheels import Wheel, default_folder, fetch_wheels
from tests.quality.corpus.image import Unavailable

PINS = Path(__file__).parents[1] / "pins"
_PATIENCE_SECONDS = 600


def default_cache() -> Path:
    """Returns the folder where downloads are kept between runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "drydock" / "quality"


def wheels(pinned: Sequence[Wheel]) -> tuple[Path, ...]:
    """Returns wheels, by pip."""
    try:
        return fetch_wheels(default_folder(), tuple(pinned))
    except ServiceError as error:
        raise Unavailable(error.sentence()) from error


def node_modules(cache: Path) -> Path:
    """Returns a folder with `node_modules` as npm installs them from our lock file, by its hashes."""
    lock = (PINS / "node" / "package-lock.json").read_bytes()
    folder = cache / f"node-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not folder.exists():
        with _beside(folder) as scratch:
            draft = shutil.copytree(PINS / "node", scratch / "node")
            run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"], draft)
            draft.rename(folder)
    return folder


def jars(cache: Path) -> dict[str, Path]:
    """Returns jars by `ARTIFACT-VERSION.jar`, by jgo from the Maven repository that it knows."""
    found = {}
    for line in (PINS / "jars.lock").read_text().splitlines():
        name, _, digest = line.partition(" sha256:")
        group, artifact, version = name.split(":")
        file = cache / "jars" / f"{artifact}-{version}.jar"
        if not file.exists():
            _fetch_jar(file, group, artifact, version, digest)
        found[file.name] = file
    return found


def run(command: Sequence[str | Path], folder: Path) -> None:
    """Runs somebody else's program.

    Raises:
        Unavailable: it is not there, failed, or did not come to an end.
    """
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} did not finish within {_PATIENCE_SECONDS} s") from error
    if ran.returncode != 0:
        raise Unavailable(f"{command[0]} failed: {ran.stderr.strip()[-300:]}")


def _fetch_jar(file: Path, group: str, artifact: str, version: str, digest: str) -> None:
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        raise Unavailable("jgo is not installed (requirements/kafka.txt)") from error
    with _beside(file) as scratch:
        try:
            got = Path(
                MavenContext(repo_cache=scratch).project(group, artifact).at_version(version).artifact().resolve()
            )
        except Exception as error:  # whatever jgo and its HTTP library raise; there is no common base
            raise Unavailable(f"{file.name} could not be fetched: {type(error).__name__}") from error
        if hashlib.sha256(got.read_bytes()).hexdigest() != digest:
            raise Unavailable(f"{file.name} is not the file that the corpus was made with")
        got.rename(file)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Gives a scratch folder on the target's file system: what is whole is then moved in by one rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
        yield Path(scratch)
