"""What the engines are: their versions are everything that changes what they find in the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from services.kernel.clock import Clock
from services.kernel.model.engine import Engine
from services.kernel.model.report import EngineInfo
from services.kernel.release import VERSION
from services.scanner.matcher import MATCHER

if TYPE_CHECKING:  # a scan without a database has no use for what these import
    from services.scanner.advisories.watch import AdvisoryWatch
    from services.scanner.trivy.watch import TrivyWatch

ENGINE = EngineInfo(name=Engine.SECURITY_CENTER.value, version=VERSION)


class EngineRelease:
    """Says what a scan that began now would be made with."""

    def __init__(
        self,
        watch: AdvisoryWatch,
        analysers: Callable[[], str],
        trivy: TrivyWatch,
        *,
        clock: Clock,
        max_age: timedelta,
    ) -> None:
        """`max_age` is that of advisories that a verdict may rest on."""
        self._watch = watch
        self._clock = clock
        self._max_age = max_age
        self._analysers = analysers
        self._trivy = trivy

    def engine_version(self, engine: Engine) -> str:
        """Returns all but the advisories that changes the results, so that something new scans anew.

        That advisories have become too old for a verdict is among it: a report from before that is no answer.
        """
        return "+".join(f"{member.value};{self._version(member)}" for member in engine.members)

    def advisories_version(self, engine: Engine) -> str:
        """Returns the version of the advisories that each engine has now."""
        versions = {Engine.SECURITY_CENTER: self._watch.version, Engine.TRIVY: self._trivy.advisories_version}
        return "; ".join(versions[member] for member in engine.members)

    def _version(self, member: Engine) -> str:
        if member is Engine.TRIVY:
            return f"{self._trivy.engine_version}{_stale(self._trivy.stale)}"
        stale = self._watch.meta.stale_families(self._clock.now(), self._max_age)
        return f"matcher={MATCHER}{_stale(stale)};{self._analysers()}"


def _stale(families: Sequence[str]) -> str:
    return f";stale={','.join(families)}" if families else ""
