"""Every package system there is."""

from __future__ import annotations

from typing import Final

from services.fixer.systems.interface import PackageSystem
from services.fixer.systems.rpm.system import RpmSystem

SYSTEMS: Final[tuple[PackageSystem, ...]] = (RpmSystem(),)
"""The first one whose database an image has is the image's."""
