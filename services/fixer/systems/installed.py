"""Every package system there is."""

from __future__ import annotations

from typing import Final

from services.fixer.systems.dpkg.system import DpkgSystem
from services.fixer.systems.interface import PackageSystem
from services.kernel.clock import SystemClock

SYSTEMS: Final[tuple[PackageSystem, ...]] = (DpkgSystem(SystemClock()),)
"""The first one whose database an image has is the image's."""
