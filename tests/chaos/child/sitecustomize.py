"""Shifts the clock of a process of ours by as many seconds as the file named by CHAOS_CLOCK says.

Python imports this before the program, where this folder is on PYTHONPATH. Monotonic time stays what it is, as it
does when a machine's clock is set; so does `time.time`, which gRPC compares with the clock that its C core reads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import cast

_file = os.environ.get("CHAOS_CLOCK", "")


def _install() -> None:
    import datetime as module
    import importlib.abc
    import importlib.machinery
    import importlib.util
    import sys

    real_now = module.datetime.now

    def shift() -> float:
        try:
            return float(Path(_file).read_text() or "0")
        except OSError:
            return 0.0

    class Shifted(module.datetime):
        @classmethod
        def now(cls, tz: module.tzinfo | None = None) -> Shifted:
            return cast("Shifted", real_now(tz) + module.timedelta(seconds=shift()))  # what it is does not matter

    class Finder(importlib.abc.MetaPathFinder):
        """Gives `services.kernel.clock`, the one place that reads the wall clock, the shifted class."""

        def find_spec(
            self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
        ) -> importlib.machinery.ModuleSpec | None:
            if name != "services.kernel.clock":
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.loader is not None
            execute = spec.loader.exec_module

            def exec_module(loaded: ModuleType) -> None:
                execute(loaded)
                vars(loaded)["datetime"] = Shifted

            vars(spec.loader)["exec_module"] = exec_module
            return spec

    sys.meta_path.insert(0, Finder())


if _file:
    _install()
