"""The worker processes of a scanner."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from services.kernel.workers.pool import WorkerPool
from services.kernel.workers.template import Template, fork_template, spawn_template

if TYPE_CHECKING:  # the template of one scan is started before anything else is imported
    from services.scanner.settings import ScannerSettings

_MODULES = ("services.scanner.layers.analyse", "services.scanner.pipeline.judge")
"""What they will need."""


def server_workers(settings: ScannerSettings) -> WorkerPool:
    """Starts those of a server. Call it from the thread that lives as long as the process."""
    return _pool(settings, partial(spawn_template, _MODULES), kept=1)


def one_shot_template() -> Template:
    """Forks what the workers of one scan come from: while the program imports more, it imports what they need.

    Call it before anything starts a thread.
    """
    return fork_template(_MODULES)


def one_shot_workers(template: Template, settings: ScannerSettings) -> WorkerPool:
    """Returns the workers of one scan; when the template dies, so do they."""
    return _pool(settings, lambda: template)


def _pool(settings: ScannerSettings, start: Callable[[], Template], *, kept: int = 0) -> WorkerPool:
    return WorkerPool(
        start, processes=settings.worker_processes, memory_bytes=settings.worker_memory_bytes, kept=kept
    )
