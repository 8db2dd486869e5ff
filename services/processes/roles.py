"""What a process may be, and what it needs for that."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType


class Role(enum.Enum):
    """Which service a process is."""

    RULES = "rules"
    SCANNER = "scanner"
    NOTIFIER = "notifier"
    GATEWAY = "gateway"


PEERS: Mapping[Role, tuple[Role, ...]] = MappingProxyType(
    {
        Role.RULES: (Role.NOTIFIER,),
        Role.SCANNER: (Role.RULES,),
        Role.NOTIFIER: (),
        Role.GATEWAY: (Role.RULES, Role.SCANNER, Role.NOTIFIER),
    }
)
"""Whom each service calls. No circle: each becomes ready in some order, whatever the order of their starts."""

LATER: Mapping[Role, tuple[Role, ...]] = MappingProxyType(
    {Role.RULES: (), Role.SCANNER: (), Role.NOTIFIER: (Role.SCANNER,), Role.GATEWAY: ()}
)
"""Whom a service asks besides, in work that waits for the answer: nobody becomes ready by it."""
