"""What may become of a finding."""

from __future__ import annotations

import dataclasses
import enum


class NotFixable(enum.Enum):
    """Why a single finding stays; the names stay, too."""

    NO_FIXED_VERSION = "NO_FIXED_VERSION"
    """The advisory knows of none."""
    NOT_IN_REPOSITORY = "NOT_IN_REPOSITORY"
    """The fixed version, or a later one, is in none of the repositories."""
    HELD = "HELD"
    """The image's own database says that the package stays as it is."""
    NEEDS_NEW_DEPENDENCY = "NEEDS_NEW_DEPENDENCY"
    """The new version wants a package that is not in the image."""
    NEEDS_REMOVAL = "NEEDS_REMOVAL"
    """It cannot be together with a package of the image."""
    NEEDS_REBUILD = "NEEDS_REBUILD"
    """Its scripts do what files alone do not, and no script is run here: the image is to be built anew."""
    NOT_A_SYSTEM_PACKAGE = "NOT_A_SYSTEM_PACKAGE"
    """It is of a language, or no vulnerability at all: only packages of the system are fixed."""
    NOT_INSTALLED = "NOT_INSTALLED"
    """The image's package database does not know the package in the version that was scanned."""
    PLATFORM_NOT_FIXED = "PLATFORM_NOT_FIXED"
    """The platform that has it was left as it is; the task says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FindingRef:
    """One finding of the report, as a fix speaks of it."""

    id: str
    """CVE id, or the advisory's own; as in the report."""
    package: str
    """Name as installed: of the binary package."""
    version: str
    fixed_version: str
    """As the advisory has it: often a version of the source package. Empty where there is none."""
    path: str
    """File of the database that says so, absolute."""
    severity: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A finding that will stay."""

    finding: FindingRef
    why: NotFixable
    message: str
    """A sentence for a person, with the package that stands in the way."""
