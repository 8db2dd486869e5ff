"""The release that this is: the one place that says its number."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
