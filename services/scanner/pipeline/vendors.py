"""Vendors: packages in an rpm distribution that somebody else built; its advisories do not speak of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from services.kernel.model.report import ReportWarning
from services.scanner.catalogers.interface import Distribution, FoundPackage
from services.scanner.reading.complaints import shown

FOREIGN_PACKAGES: Final = "FOREIGN_PACKAGES"

_OWN: Final[Mapping[str, str]] = {
    "almalinux": "almalinux",
    "centos": "centos",
    "opensuse-leap": "suse",
    "opensuse-tumbleweed": "suse",
    "rhel": "red hat",
    "rocky": "rocky",
    "sles": "suse",
}
"""What a distribution's own packages have in their vendor, in lower case; of others nobody is sure."""


def is_foreign(distribution: Distribution | None, package: FoundPackage) -> bool:
    """Tells whether a package names another vendor than the distribution's own."""
    own = _OWN.get(distribution.id) if distribution is not None else None
    return own is not None and bool(package.vendor) and own not in package.vendor.lower()


def foreign_packages(
    distribution: Distribution | None, packages: Iterable[FoundPackage]
) -> Iterator[ReportWarning]:
    """Yields a warning where packages name another vendor, as EPEL's do; without any they may be anybody's."""
    vendors = Counter(each.vendor for each in packages if is_foreign(distribution, each))
    if distribution is not None and vendors:
        named = ", ".join(shown(vendor) for vendor, _ in vendors.most_common(3))
        yield ReportWarning(
            code=FOREIGN_PACKAGES,
            message=f"Packages by others than {distribution.id}: {vendors.total()}, by {named}. "
            "No advisory that was used speaks of them.",
        )
