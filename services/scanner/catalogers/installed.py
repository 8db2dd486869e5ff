"""The catalogers that every scan runs, and the name of that set."""

from __future__ import annotations

from typing import Final

from services.scanner.catalogers.apk import ApkCataloger
from services.scanner.catalogers.cargo_lock import CargoLockCataloger
from services.scanner.catalogers.channels import ChannelsCataloger
from services.scanner.catalogers.dpkg import DpkgCataloger
from services.scanner.catalogers.go_executable import GoExecutableCataloger
from services.scanner.catalogers.go_mod import GoModCataloger
from services.scanner.catalogers.gradle_lock import GradleLockCataloger
from services.scanner.catalogers.interface import Cataloger, versions_key
from services.scanner.catalogers.java_archive import JavaArchiveCataloger
from services.scanner.catalogers.osrelease import OsReleaseCataloger
from services.scanner.catalogers.pom_properties import PomPropertiesCataloger
from services.scanner.catalogers.python import PythonCataloger
from services.scanner.catalogers.rpm import RpmCataloger
from services.scanner.catalogers.rust_executable import RustExecutableCataloger
from services.scanner.catalogers.unread import UnreadCataloger
from services.scanner.layers.analysis import WALKER_VERSION

CATALOGERS: Final[tuple[Cataloger, ...]] = (
    OsReleaseCataloger(),
    ChannelsCataloger(),
    DpkgCataloger(),
    ApkCataloger(),
    RpmCataloger(),
    PythonCataloger(),
    UnreadCataloger(),
    GoModCataloger(),
    CargoLockCataloger(),
    JavaArchiveCataloger(),
    PomPropertiesCataloger(),
    GradleLockCataloger(),
    GoExecutableCataloger(),
    RustExecutableCataloger(),
)
ANALYSERS_KEY: Final = versions_key(CATALOGERS, WALKER_VERSION)
"""Analyses kept under another key are made anew."""
