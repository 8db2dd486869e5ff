"""The jars of Apache Kafka: fetched by jgo, each by name and version, and held against `kafka_jars.lock`.

`python -m services.kernel.embedded.kafka_jars [FOLDER]` fetches them ahead, where there is internet.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import structlog

from services.kernel.errors import Kind, ServiceError

log = structlog.get_logger()

_LOCK = "kafka_jars.lock"
_AT_ONCE = 4
_BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One line of the lock: `GROUP:ARTIFACT:VERSION sha256:HEX`."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """What it is called in our folder."""
        return f"{self.artifact}-{self.version}.jar"


def default_folder() -> Path:
    """Returns where jars are kept for every data folder of this user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "drydock" / "kafka-jars"


def locked_jars() -> tuple[Jar, ...]:
    """Reads the lock."""
    lines = files("services.kernel.embedded").joinpath(_LOCK).read_text().splitlines()
    jars = []
    for line in lines:
        name, _, digest = line.partition(" sha256:")
        group, artifact, version = name.split(":")
        jars.append(Jar(group=group, artifact=artifact, version=version, sha256=digest))
    return tuple(jars)


def ensure_jars(folder: Path) -> tuple[Path, ...]:
    """Returns the jars of the lock, in its order; what is missing, or is not what the lock says, is fetched.

    Without a missing one it needs neither jgo nor a network.

    Raises:
        ServiceError: KAFKA_JARS_MISSING when they cannot be fetched; KAFKA_JAR_CHANGED when one is not the
            locked one.
    """
    jars, folder = locked_jars(), folder.resolve()
    missing = [jar for jar in jars if not _is_locked(folder / jar.file_name, jar)]
    if missing:
        log.info("kafka.fetching", jars=len(missing), folder=str(folder))
        _fetch(missing, folder)
    return tuple(folder / jar.file_name for jar in jars)


def _fetch(jars: Sequence[Jar], folder: Path) -> None:
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415 - an optional part
    except ImportError as error:
        raise _missing("jgo is not installed") from error
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as scratch:
        context = MavenContext(repo_cache=Path(scratch))

        def fetch(jar: Jar) -> None:
            component = context.project(jar.group, jar.artifact).at_version(jar.version)
            got = Path(component.artifact().resolve())
            if not _is_locked(got, jar):
                raise ServiceError(
                    Kind.FAILED_PRECONDITION,
                    "KAFKA_JAR_CHANGED",
                    f"{jar.file_name} is not the file that Drydock was made with.",
                    hint="Something between here and the repository changes files; do not use it.",
                )
            shutil.move(got, folder / jar.file_name)

        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(fetch, jars))
        except ServiceError:
            raise
        except Exception as error:  # whatever jgo and its HTTP library raise; there is no common base
            raise _missing(f"fetching failed with {type(error).__name__}") from error


def _is_locked(file: Path, jar: Jar) -> bool:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as handle:
            while block := handle.read(_BLOCK):
                digest.update(block)
    except FileNotFoundError:
        return False
    return digest.hexdigest() == jar.sha256


def _missing(why: str) -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "KAFKA_JARS_MISSING",
        f"The embedded Kafka has not all of its jars: {why}.",
        hint="Run `make kafka` (or install requirements/kafka.txt) where there is internet, or name "
        "brokers of your own with --kafka HOST:PORT.",
    )


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else default_folder()
    try:
        sys.stdout.write(f"{len(ensure_jars(target))} jars in {target}\n")
    except ServiceError as failure:
        sys.exit(failure.sentence())
