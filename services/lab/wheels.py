"""Fetches the old wheels of the demo's image from the package index, each verified against its digest."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from services.kernel.errors import Kind, ServiceError

_PATIENCE_SECONDS = 300


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A published wheel, which never changes."""

    requirement: str
    file: str
    sha256: str


OLD_WHEELS = (
    Wheel(
        requirement="django==3.2",
        file="Django-3.2-py3-none-any.whl",
        sha256="0604e84c4fb698a5e53e5857b5aea945b2f19a18f25f10b8748dbdf935788927",
    ),
    Wheel(
        requirement="flask==0.12.2",
        file="Flask-0.12.2-py2.py3-none-any.whl",
        sha256="0749df235e3ff61ac108f69ac178c9770caeaccad2509cb762ce1f65570a8856",
    ),
    Wheel(
        requirement="jinja2==2.10",
        file="Jinja2-2.10-py2.py3-none-any.whl",
        sha256="74c935a1b8bb9a3947c50a54766a969d4846290e1e788ea44c1392163723c3bd",
    ),
    Wheel(
        requirement="requests==2.19.1",
        file="requests-2.19.1-py2.py3-none-any.whl",
        sha256="63b52e3c866428a224f97cab011de738c36aec0185aa91cfacd418b5d58911d1",
    ),
    Wheel(
        requirement="urllib3==1.23",
        file="urllib3-1.23-py2.py3-none-any.whl",
        sha256="b5725a0bd4ba422ab0e66e89e030c806576753ea3ee08554382c14e685d117b5",
    ),
    Wheel(
        requirement="werkzeug==0.14.1",
        file="Werkzeug-0.14.1-py2.py3-none-any.whl",
        sha256="d5da73735293558eb1651ee2fddc4d0dedcfa06538b8813a2e20011583c9e49b",
    ),
)
"""Real packages with known vulnerabilities; nothing of them is ever run."""


def fetch_wheels(folder: Path, wheels: tuple[Wheel, ...] = OLD_WHEELS) -> tuple[Path, ...]:
    """Returns the wheels' files in the given order; downloads what the folder does not hold yet.

    Blocks. pip and its own configuration decide which index is asked. A file with another digest is never kept.

    Raises:
        ServiceError: WHEELS_UNAVAILABLE when pip cannot get them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = tuple(wheel for wheel in wheels if not _intact(folder / wheel.file, wheel))
    if missing:
        _download(folder, missing)
    return tuple(folder / wheel.file for wheel in wheels)


def default_folder() -> Path:
    """Returns the folder in the user's cache where wheels are kept between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "drydock" / "wheels"


def _intact(path: Path, wheel: Wheel) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == wheel.sha256
    except FileNotFoundError:
        return False


def _download(folder: Path, wheels: tuple[Wheel, ...]) -> None:
    """Lets pip download into a folder beside the cache, then moves each file in by one rename."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        pins = Path(scratch) / "wheels.txt"
        pins.write_text("".join(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n" for wheel in wheels))
        _run_pip(pins, Path(scratch))
        for wheel in wheels:
            fetched = Path(scratch) / wheel.file
            if not _intact(fetched, wheel):
                raise _unavailable(f"The package index gave something else than {wheel.file}.")
            fetched.replace(folder / wheel.file)


def _run_pip(pins: Path, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--requirement", str(pins), "--dest", str(target)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, pinned names, no shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _unavailable(f"pip did not finish within {_PATIENCE_SECONDS} s.") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if "ERROR" in line]
        raise _unavailable(f"pip could not download the wheels of the demo: {' '.join(lines)[:500]}")


def _unavailable(message: str) -> ServiceError:
    return ServiceError(
        Kind.UNAVAILABLE,
        "WHEELS_UNAVAILABLE",
        message,
        hint="Check that `pip download jinja2==2.10` works here.",
    )
