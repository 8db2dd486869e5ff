"""The two engines, and the word for both."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from services.kernel.errors import Kind, ServiceError, invalid


class Engine(enum.Enum):
    """Who looks into an image."""

    TRIVY = "TRIVY"
    SECURITY_CENTER = "SECURITY_CENTER"
    ALL = "ALL"
    """Both, and one verdict: a word for a task, never the engine of an instance."""

    @property
    def members(self) -> tuple[Engine, ...]:
        """Those that scan: itself, or both, the one that locates all it finds first."""
        return (Engine.SECURITY_CENTER, Engine.TRIVY) if self is Engine.ALL else (self,)


def parse_engine(text: str) -> Engine:
    """Reads one engine in any spelling that people use: `security-center`, `SECURITY_CENTER`.

    Raises:
        ServiceError: INVALID_ENGINE, also for `all`.
    """
    return _parse(text, tuple(each for each in Engine if each is not Engine.ALL))


def parse_engines(text: str) -> Engine:
    """Reads who is to scan, which may be `all`.

    Raises:
        ServiceError: INVALID_ENGINE.
    """
    return _parse(text, tuple(Engine))


def _parse(text: str, known: tuple[Engine, ...]) -> Engine:
    word = text.upper().replace("-", "_")
    for engine in known:
        if engine.value == word:
            return engine
    *first, last = (engine.value.lower().replace("_", "-") for engine in known)
    raise invalid(
        "INVALID_ENGINE",
        f"{text[:40]!r} is no engine.",
        field="engine",
        hint=f"Write {', '.join(first)} or {last}.",
    )


def engine_not_ready(message: str, *, hint: str = "", metadata: Mapping[str, str] | None = None) -> ServiceError:
    """Returns the error of asking for an engine that cannot scan as things are."""
    return ServiceError(
        Kind.FAILED_PRECONDITION, "ENGINE_NOT_READY", message, hint=hint, field="engine", metadata=metadata
    )
