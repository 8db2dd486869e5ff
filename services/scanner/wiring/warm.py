"""What workers need for layers: whoever imports this has it, and has read what each would read for itself."""

from __future__ import annotations

from services.scanner.inspectors.rules import baseline_rules
from services.scanner.layers import analyse
from services.scanner.pipeline import remote

__all__ = ["analyse", "remote"]

baseline_rules()
