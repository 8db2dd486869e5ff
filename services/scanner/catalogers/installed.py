"""The catalogers that every scan runs, and the name of that set."""

from __future__ import annotations

from typing import Final

from services.scanner.catalogers.apk import ApkCataloger
from services.scanner.catalogers.bitnami import BitnamiCataloger
from services.scanner.catalogers.bun_lock import BunLockCataloger
from services.scanner.catalogers.cargo_lock import CargoLockCataloger
from services.scanner.catalogers.channels import ChannelsCataloger
from services.scanner.catalogers.composer import ComposerCataloger, ComposerLockCataloger
from services.scanner.catalogers.conda import CondaCataloger
from services.scanner.catalogers.dotnet import DotnetCataloger, NugetLockCataloger
from services.scanner.catalogers.dpkg import DpkgCataloger
from services.scanner.catalogers.egg import EggCataloger
from services.scanner.catalogers.go_executable import GoExecutableCataloger
from services.scanner.catalogers.go_mod import GoModCataloger
from services.scanner.catalogers.gradle_lock import GradleLockCataloger
from services.scanner.catalogers.interface import Cataloger, versions_key
from services.scanner.catalogers.java_archive import JavaArchiveCataloger
from services.scanner.catalogers.node import NodeCataloger
from services.scanner.catalogers.npm_lock import NpmLockCataloger
from services.scanner.catalogers.osrelease import OsReleaseCataloger
from services.scanner.catalogers.ownership import DpkgFilesCataloger
from services.scanner.catalogers.pnpm_lock import PnpmLockCataloger
from services.scanner.catalogers.pom_properties import PomPropertiesCataloger
from services.scanner.catalogers.python import PythonCataloger
from services.scanner.catalogers.python_lock import PipfileLockCataloger, PythonLockCataloger
from services.scanner.catalogers.requirements import RequirementsCataloger
from services.scanner.catalogers.rpm import RpmCataloger
from services.scanner.catalogers.ruby import GemCataloger, GemLockCataloger
from services.scanner.catalogers.rust_executable import RustExecutableCataloger
from services.scanner.catalogers.unread import UnreadCataloger
from services.scanner.catalogers.yarn_lock import YarnLockCataloger
from services.scanner.layers.analysis import WALKER_VERSION

CATALOGERS: Final[tuple[Cataloger, ...]] = (
    OsReleaseCataloger(),
    ChannelsCataloger(),
    DpkgCataloger(),
    DpkgFilesCataloger(),
    ApkCataloger(),
    RpmCataloger(),
    PythonCataloger(),
    EggCataloger(),
    CondaCataloger(),
    PythonLockCataloger(),
    PipfileLockCataloger(),
    RequirementsCataloger(),
    NodeCataloger(),
    NpmLockCataloger(),
    YarnLockCataloger(),
    PnpmLockCataloger(),
    BunLockCataloger(),
    GemCataloger(),
    GemLockCataloger(),
    ComposerCataloger(),
    ComposerLockCataloger(),
    DotnetCataloger(),
    NugetLockCataloger(),
    BitnamiCataloger(),
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
