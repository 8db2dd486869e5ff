"""Vendors: packages that somebody else built than the distribution, whose advisories do not speak of them.

An rpm names its vendor, so that of some distributions their own are known. A .deb names who maintains it, in
Debian any of two thousand people: there, those are known who have repositories of their own. None of them, and no
mark of a version, is in the index of Debian 12 (66,506 packages).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from services.kernel.model.report import ReportWarning
from services.scanner.catalogers.interface import Distribution, FoundPackage, PackageFormat
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

_MAINTAINERS: Final = (
    "bellsoft",
    "chromium-dev@chromium.org",
    "contact@grafana.com",
    "cudatools@nvidia.com",
    "dev@couchdb.apache.org",
    "developers@lists.mariadb.org",
    "google cloud cli authors",
    "hashicorp",
    "info@elastic.co",
    "sapmachine@sap.com",
    "support@docker.com",
    "support@gitlab.com",
    "temurin-dev@eclipse.org",
    "yarn@dan.cx",
    *(
        f"@{domain}"
        for domain in (
            "amazon.com",
            "azul.com",
            "clickhouse.com",
            "cloudflare.com",
            "confluent.io",
            "datadoghq.com",
            "f5.com",
            "influxdb.com",
            "konghq.com",
            "kubernetes.io",
            "microsoft.com",
            "mongodb.com",
            "neo4j.com",
            "newrelic.com",
            "nginx.com",
            "nodesource.com",
            "openrobotics.org",
            "oss.oracle.com",
            "percona.com",
            "rabbitmq.com",
            "redis.com",
            "splunk.com",
            "tailscale.com",
            "varnish-software.com",
            "zabbix.com",
        )
    ),
)
"""What those have in their packages' Maintainer, in lower case, who keep repositories of their own."""
_MAINTAINER: Final = re.compile("|".join(re.escape(each) for each in _MAINTAINERS) + r"|^github$", re.IGNORECASE)
_BUILT_ELSEWHERE: Final = re.compile(r"[.+~-]pgdg\d|nodesource\d|deb\.sury\.org|\+0~20\d{6}\.")
"""In versions: repositories of PostgreSQL, NodeSource and Ondřej Surý, whose maintainers are Debian's."""


def is_foreign(distribution: Distribution | None, package: FoundPackage) -> bool:
    """Tells whether a package names another vendor than the distribution's own."""
    if package.format is PackageFormat.DEB:
        marked = _BUILT_ELSEWHERE.search(package.version) or _MAINTAINER.search(package.vendor)
        return distribution is not None and marked is not None
    own = _OWN.get(distribution.id) if distribution is not None else None
    return own is not None and bool(package.vendor) and own not in package.vendor.lower()


def foreign_packages(
    distribution: Distribution | None, packages: Iterable[FoundPackage]
) -> Iterator[ReportWarning]:
    """Yields a warning where packages name another vendor, as EPEL's do; without any they may be anybody's."""
    vendors = Counter(each.vendor or "somebody" for each in packages if is_foreign(distribution, each))
    if distribution is not None and vendors:
        named = ", ".join(shown(vendor) for vendor, _ in vendors.most_common(3))
        yield ReportWarning(
            code=FOREIGN_PACKAGES,
            message=f"Packages by others than {distribution.id}: {vendors.total()}, by {named}. "
            "No advisory that was used speaks of them.",
        )
