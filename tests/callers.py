"""Callers of other languages to test with: what `deploy/callers` pins, grpcurl and Go's generators."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BUILD = Path(__file__).parents[1] / "deploy" / "callers" / "build.sh"


def tools() -> Path:
    """The folder of grpcurl and Go's generators, built if need be; the test is skipped where nothing can."""
    built = subprocess.run([BUILD, sys.executable], stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode:
        pytest.skip("grpcurl and Go's generators cannot be built here: see what deploy/callers/build.sh says")
    return Path(built.stdout.strip())


def go_program() -> Path:
    """The Go that builds them."""
    found = subprocess.run([BUILD, "--go", sys.executable], stdout=subprocess.PIPE, text=True, check=True)
    return Path(found.stdout.strip())
