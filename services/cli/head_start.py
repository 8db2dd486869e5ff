"""The head start of a scan's workers: a template that is there before whoever needs it."""

from __future__ import annotations

from functools import lru_cache

from services.kernel.workers.template import Template
from services.scanner.wiring.workers import one_shot_template


@lru_cache(maxsize=1)
def take() -> Template:
    """Returns the process's template, forked the first time. Call it before anything starts a thread."""
    return one_shot_template()
