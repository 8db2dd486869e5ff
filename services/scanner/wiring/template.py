"""What the worker processes of a scan are forked from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.kernel.workers.forked import fork_template

if TYPE_CHECKING:  # it is forked before anything else is imported
    from services.kernel.workers.template import Template

MODULES: Final = ("services.scanner.wiring.warm",)
"""What workers need to begin with: all that has to do with layers."""
LATER: Final = ("services.scanner.pipeline.judge",)
"""What one of them needs when all layers are read."""


def one_shot_template() -> Template:
    """Forks what the workers of one scan come from: while the program imports more, it imports what they need.

    Call it before anything starts a thread.
    """
    return fork_template(MODULES, LATER)
