"""A logger for what a command imports that seldom logs: structlog takes longer to import than a small scan."""

from __future__ import annotations

from typing import Any

_silent = False


def silence() -> None:
    """Drops what late loggers are told from now on: for a command whose output says it all."""
    global _silent  # noqa: PLW0603 - it is for the whole process
    _silent = True


class LateLogger:
    """Is structlog's logger from the first line on."""

    def __getattr__(self, method: str) -> Any:
        """Returns the logger's method."""
        if _silent:
            return _drop
        import structlog  # noqa: PLC0415

        return getattr(structlog.get_logger(), method)


def _drop(event: str, **facts: object) -> None:
    del event, facts
