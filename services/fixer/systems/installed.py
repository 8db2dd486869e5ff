"""Every package system there is."""

from __future__ import annotations

from typing import Final

from services.fixer.systems.apk.system import ApkSystem
from services.fixer.systems.dpkg.system import DpkgSystem
from services.fixer.systems.interface import PackageSystem
from services.fixer.systems.rpm.system import RpmSystem
from services.kernel.clock import SystemClock

SYSTEMS: Final[tuple[PackageSystem, ...]] = (DpkgSystem(SystemClock()), ApkSystem(), RpmSystem())
"""The first one whose database an image has is the image's."""
