"""What a process may be, and what it needs for that."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType


class Role(enum.Enum):
    """Which service a process is."""

    RULES = "rules"
    SCANNER = "scanner"
    FIXER = "fixer"
    NOTIFIER = "notifier"
    GATEWAY = "gateway"


PEERS: Mapping[Role, tuple[Role, ...]] = MappingProxyType(
    {
        Role.RULES: (Role.NOTIFIER,),
        Role.SCANNER: (Role.RULES,),
        Role.FIXER: (Role.RULES, Role.SCANNER),
        Role.NOTIFIER: (),
        Role.GATEWAY: (Role.RULES, Role.SCANNER, Role.NOTIFIER),
    }
)
"""Whom each service calls. No circle: each becomes ready in some order, whatever the order of their starts."""

LATER: Mapping[Role, tuple[Role, ...]] = MappingProxyType(
    {
        Role.RULES: (),
        Role.SCANNER: (),
        Role.FIXER: (),
        Role.NOTIFIER: (Role.SCANNER,),
        # An installation without a fixer scans and tells as ever.
        Role.GATEWAY: (Role.FIXER,),
    }
)
"""Whom a service asks besides, in work that waits for the answer, or in calls about that service alone: nobody
becomes ready by it."""
