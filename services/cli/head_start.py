"""The head start of a scan's workers: a template that is there before whoever needs it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from services.scanner.wiring.template import one_shot_template

if TYPE_CHECKING:
    from services.kernel.workers.template import Template


@lru_cache(maxsize=1)
def take() -> Template:
    """Returns the process's template, forked the first time. Call it before anything starts a thread."""
    return one_shot_template()
