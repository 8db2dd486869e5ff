"""Which variables of the environment are settings, told without importing what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

_PREFIX: Final = "DRYDOCK_"
ELSEWHERE: Final = frozenset(
    {
        *("DRYDOCK_SERVER", "DRYDOCK_TOKEN", "DRYDOCK_TLS_CA", "DRYDOCK_TLS_CERT", "DRYDOCK_TLS_KEY"),
        *("DRYDOCK_OSV_DIR", "DRYDOCK_SHARED"),
    }
)
"""Variables of the client's side and of the tests, which no settings class has."""


def settings_in(environment: Iterable[str]) -> Iterator[str]:
    """Yields the names, as they are written, of all that are settings of ours or mean to be."""
    for name in environment:
        if name.upper().startswith(_PREFIX) and name.upper() not in ELSEWHERE:
            yield name
