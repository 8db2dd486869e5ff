"""Which engines this scanner has, how they are, and why one of them cannot scan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from services.kernel.model.engine import Engine


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EngineHealth:
    """How one engine of this scanner is."""

    engine: Engine
    ready: bool
    """Whether a scan that begins now can be made with it."""
    version: str = ""
    """Of the program; empty where there is none."""
    database_version: str = ""
    """Of its advisories; empty where there are none."""
    database_at: datetime | None = None
    """Moment of the youngest of their facts, which tells their age; None where nobody says."""
    reason: str = ""
    """Code of why it is not ready; of one that is, why no verdict rests on it, as STALE_ADVISORIES; else empty."""
    message: str = ""
    """The same for people."""


class Engines(Protocol):
    """Knows the engines of this scanner."""

    def health(self) -> tuple[EngineHealth, ...]:
        """Returns how each engine was when last looked at; asks nobody now, so it may be called often."""
        ...


class InstalledEngines:
    """Those of this process, each asked by its own function."""

    def __init__(self, *looks: Callable[[], EngineHealth]) -> None:
        self._looks = looks

    def health(self) -> tuple[EngineHealth, ...]:
        """Returns how each engine was when last looked at."""
        return tuple(look() for look in self._looks)
