"""Fixes real images and holds them against what their own tools make: `python -m tests.fixes SYSTEM`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main() -> int:
    """Runs the module of the name."""
    names = sorted(each.stem for each in Path(__file__).parent.glob("[a-z]*.py"))
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        print(f"Usage: python -m tests.fixes {{{','.join(names)}}} [ARGUMENTS]", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"tests.fixes.{sys.argv[1]}").main(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
