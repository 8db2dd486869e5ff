"""Every package system there is."""

from __future__ import annotations

from typing import Final

from services.fixer.systems.interface import PackageSystem

SYSTEMS: Final[tuple[PackageSystem, ...]] = ()
"""The first one whose database an image has is the image's."""
