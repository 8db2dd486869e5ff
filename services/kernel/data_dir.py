"""The data directory, where nobody named another one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DEFAULT_DATA_DIR: Final = Path("~/.local/share/drydock")
"""As people write it: `~` is for whoever opens it to expand."""
