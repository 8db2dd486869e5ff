"""The catalogers that every scan runs."""

from __future__ import annotations

from typing import Final

from services.scanner.catalogers.bitnami import BitnamiCataloger
from services.scanner.catalogers.composer import ComposerCataloger, ComposerLockCataloger
from services.scanner.catalogers.dotnet import DotnetCataloger, NugetLockCataloger
from services.scanner.catalogers.go.executable import GoExecutableCataloger
from services.scanner.catalogers.go.go_mod import GoModCataloger
from services.scanner.catalogers.interface import Cataloger
from services.scanner.catalogers.java.archive import JavaArchiveCataloger
from services.scanner.catalogers.java.gradle_lock import GradleLockCataloger
from services.scanner.catalogers.java.pom_properties import PomPropertiesCataloger
from services.scanner.catalogers.javascript.bun_lock import BunLockCataloger
from services.scanner.catalogers.javascript.npm_lock import NpmLockCataloger
from services.scanner.catalogers.javascript.package_json import NodeCataloger
from services.scanner.catalogers.javascript.pnpm_lock import PnpmLockCataloger
from services.scanner.catalogers.javascript.yarn_lock import YarnLockCataloger
from services.scanner.catalogers.python.conda import CondaCataloger
from services.scanner.catalogers.python.egg import EggCataloger
from services.scanner.catalogers.python.lock import PipfileLockCataloger, PythonLockCataloger
from services.scanner.catalogers.python.metadata import PythonCataloger
from services.scanner.catalogers.python.requirements import RequirementsCataloger
from services.scanner.catalogers.ruby import GemCataloger, GemLockCataloger
from services.scanner.catalogers.rust.cargo_lock import CargoLockCataloger
from services.scanner.catalogers.rust.executable import RustExecutableCataloger
from services.scanner.catalogers.systems.apk import ApkCataloger
from services.scanner.catalogers.systems.channels import ChannelsCataloger
from services.scanner.catalogers.systems.dpkg import DpkgCataloger
from services.scanner.catalogers.systems.osrelease import OsReleaseCataloger
from services.scanner.catalogers.systems.ownership import DpkgFilesCataloger
from services.scanner.catalogers.systems.rpm import RpmCataloger
from services.scanner.catalogers.unread import UnreadCataloger

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
