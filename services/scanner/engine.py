"""The SECURITY_CENTER engine: its version is everything that changes what it finds in the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from services.kernel.model.engine import Engine
from services.kernel.model.report import EngineInfo
from services.kernel.release import VERSION

if TYPE_CHECKING:  # a scan without a database has no use for what it imports
    from services.scanner.advisories.watch import AdvisoryWatch

MATCHER = 4
"""Raised whenever the same packages and advisories would give another report."""
ENGINE = EngineInfo(name=Engine.SECURITY_CENTER.value, version=VERSION)


class EngineRelease:
    """Says what a scan that began now would be made with."""

    def __init__(self, watch: AdvisoryWatch, analysers: Callable[[], str]) -> None:
        self._watch = watch
        self._analysers = analysers

    def engine_version(self, engine: Engine) -> str:
        """Returns the analysers and the matcher, so that a new one scans anew."""
        return f"{engine.value};matcher={MATCHER};{self._analysers()}"

    def advisories_version(self) -> str:
        """Returns the version of the current advisory file."""
        return self._watch.version
