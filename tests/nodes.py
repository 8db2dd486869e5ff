"""The official Node clients to test with: what `deploy/node` pins, and a Node to run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SCRIPT = Path(__file__).parents[1] / "deploy" / "node" / "build.sh"
_SECONDS = 300


def node_clients() -> Path | None:
    """Returns the folder that has them in its `node_modules`, installed if need be; None where that cannot be."""
    done = subprocess.run(
        [_SCRIPT, sys.executable], stdout=subprocess.PIPE, check=False, text=True, timeout=_SECONDS
    )
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def node_program() -> str:
    """Returns the Node that runs them."""
    done = subprocess.run(
        [_SCRIPT, "--node", sys.executable], stdout=subprocess.PIPE, check=True, text=True, timeout=_SECONDS
    )
    return done.stdout.strip()
