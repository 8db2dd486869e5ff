"""Ranges of versions as each ecosystem writes them; one file for each grammar.

Every file has one pure function, `satisfies(expression, version)`. A range that the ecosystem's own tool refuses
is satisfied by nothing, and a version that it refuses satisfies nothing.
"""

from __future__ import annotations

from typing import Final

CACHED: Final = 4096
"""Ranges that a grammar keeps parsed."""
