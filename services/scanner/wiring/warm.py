"""What workers need: whoever imports this has it all, and has read what each of them would read for itself."""

from __future__ import annotations

from services.scanner.inspectors.rules import baseline_rules
from services.scanner.layers import analyse
from services.scanner.pipeline import judge, remote

__all__ = ["analyse", "judge", "remote"]

baseline_rules()
