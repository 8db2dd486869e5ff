"""Real Trivy to test against, and the writer of its database: built from the modules that `deploy/trivy` pins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_BUILD_SCRIPT = Path(__file__).parents[1] / "deploy" / "trivy" / "build.sh"
_SECONDS = 3600


def trivy_programs() -> Path | None:
    """Returns the folder with `trivy` and `trivy-advisories`, built if need be; None where they cannot be had."""
    built = subprocess.run(
        [_BUILD_SCRIPT, sys.executable], stdout=subprocess.PIPE, check=False, text=True, timeout=_SECONDS
    )
    return Path(built.stdout.strip()) if built.returncode == 0 else None
