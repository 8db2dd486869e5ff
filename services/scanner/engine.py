"""What the engines are: their versions are everything that changes what they find in the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

from services.kernel.model.engine import Engine
from services.kernel.model.report import EngineInfo

if TYPE_CHECKING:  # a scan without a database has no use for what these import
    from datetime import timedelta

    from services.kernel.clock import Clock
    from services.scanner.advisories.watch import AdvisoryWatch
    from services.scanner.engines import EngineHealth
    from services.scanner.trivy.watch import TrivyWatch

MATCHER = 4
"""Raised whenever the same packages and advisories would give another report."""
ENGINE = EngineInfo(name=Engine.SECURITY_CENTER.value, version=version("drydock"))


class EngineRelease:
    """Says what a scan that began now would be made with."""

    def __init__(self, watch: AdvisoryWatch, analysers: Callable[[], str], trivy: TrivyWatch) -> None:
        self._watch = watch
        self._analysers = analysers
        self._trivy = trivy

    def engine_version(self, engine: Engine) -> str:
        """Returns all but the advisories that changes the results, so that something new scans anew."""
        return "+".join(f"{member.value};{self._version(member)}" for member in engine.members)

    def advisories_version(self, engine: Engine) -> str:
        """Returns the version of the advisories that each engine has now."""
        versions = {Engine.SECURITY_CENTER: self._watch.version, Engine.TRIVY: self._trivy.advisories_version}
        return "; ".join(versions[member] for member in engine.members)

    def _version(self, member: Engine) -> str:
        if member is Engine.TRIVY:
            return self._trivy.engine_version
        return f"matcher={MATCHER};{self._analysers()}"


def own_health(watch: AdvisoryWatch, max_age: timedelta, clock: Clock) -> EngineHealth:
    """Returns how our own engine is: with advisories it can scan, whatever their age."""
    from services.scanner.engines import EngineHealth  # noqa: PLC0415 - of use to servers only

    meta, reason, message = watch.meta, "", ""
    if meta is None:
        reason, message = "ADVISORIES_MISSING", "The advisories were not read yet."
    elif meta.sample:
        reason = "SAMPLE_ADVISORIES"
        message = "Only the sample of advisories is there: run `drydock advisories update`."
    elif stale := meta.stale_families(clock.now(), max_age):
        reason, message = "STALE_ADVISORIES", f"Advisories are too old for a verdict: {', '.join(stale)}."
    return EngineHealth(
        engine=Engine.SECURITY_CENTER,
        ready=meta is not None,
        version=ENGINE.version,
        database_version=meta.version if meta else "",
        database_at=meta.facts_at if meta else None,
        reason=reason,
        message=message,
    )
