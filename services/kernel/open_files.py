"""How many files, connections among them, this process may have open."""

from __future__ import annotations

import resource
from typing import Final

_WANTED: Final = 65_536
"""As much as the systemd units ask for."""


def raise_limit() -> None:
    """Raises the limit that the shell set (1,024 mostly) as far as this process may: a connection is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit() -> int:
    """Returns how many may be open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _WANTED if soft == resource.RLIM_INFINITY else soft
