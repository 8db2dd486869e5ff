"""When releases of distributions end: after it nobody writes advisories for them, so that silence means nothing.

The days on which security updates for everybody end, after the pages named beside them and the table that Trivy
0.72 keeps; those of Fedora, Amazon Linux and Ubuntu Pro were not looked up again. Support that is paid for (ELS of
Red Hat, LTSS of SUSE, ESM of Ubuntu without Pro) does not count: fixes may go on, but do not reach the image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from services.scanner.catalogers.interface import Distribution

_ENDS: Final[Mapping[str, Mapping[str, date]]] = {
    # debian.org/releases: LTS is for everybody, so its end is the one
    "debian": {
        "7": date(2018, 5, 31),
        "8": date(2020, 6, 30),
        "9": date(2022, 6, 30),
        "10": date(2024, 6, 30),
        "11": date(2026, 8, 31),
        "12": date(2028, 6, 30),
        "13": date(2030, 6, 30),
    },
    # ubuntu.com/about/release-cycle: standard support
    "ubuntu": {
        "12.04": date(2017, 4, 28),
        "14.04": date(2019, 4, 25),
        "16.04": date(2021, 4, 30),
        "18.04": date(2023, 5, 31),
        "20.04": date(2025, 5, 31),
        "20.10": date(2021, 7, 22),
        "21.04": date(2022, 1, 20),
        "21.10": date(2022, 7, 14),
        "22.04": date(2027, 4, 30),
        "22.10": date(2023, 7, 20),
        "23.04": date(2024, 1, 25),
        "23.10": date(2024, 7, 11),
        "24.04": date(2029, 5, 31),
        "24.10": date(2025, 7, 10),
        "25.04": date(2026, 1, 15),
        "25.10": date(2026, 7, 31),
        "26.04": date(2031, 5, 31),
    },
    # alpinelinux.org/releases
    "alpine": {
        "3.0": date(2016, 5, 1),
        "3.1": date(2016, 11, 1),
        "3.2": date(2017, 5, 1),
        "3.3": date(2017, 11, 1),
        "3.4": date(2018, 5, 1),
        "3.5": date(2018, 11, 1),
        "3.6": date(2019, 5, 1),
        "3.7": date(2019, 11, 1),
        "3.8": date(2020, 5, 1),
        "3.9": date(2020, 11, 1),
        "3.10": date(2021, 5, 1),
        "3.11": date(2021, 11, 1),
        "3.12": date(2022, 5, 1),
        "3.13": date(2022, 11, 1),
        "3.14": date(2023, 5, 1),
        "3.15": date(2023, 11, 1),
        "3.16": date(2024, 5, 23),
        "3.17": date(2024, 11, 22),
        "3.18": date(2025, 5, 9),
        "3.19": date(2025, 11, 1),
        "3.20": date(2026, 4, 1),
        "3.21": date(2026, 11, 1),
        "3.22": date(2027, 5, 1),
        "3.23": date(2027, 11, 1),
    },
    # access.redhat.com/support/policy/updates/errata: end of maintenance support
    "rhel": {
        "5": date(2017, 3, 31),
        "6": date(2020, 11, 30),
        "7": date(2024, 6, 30),
        "8": date(2029, 5, 31),
        "9": date(2032, 5, 31),
        "10": date(2035, 5, 31),
    },
    # centos.org/centos-linux-eol, centos.org/cl-vs-cs
    "centos": {"5": date(2017, 3, 31), "6": date(2020, 11, 30), "7": date(2024, 6, 30), "8": date(2021, 12, 31)},
    "centos-stream": {"8": date(2024, 5, 31), "9": date(2027, 5, 31)},
    # wiki.almalinux.org/release-notes
    "almalinux": {"8": date(2029, 3, 1), "9": date(2032, 5, 31), "10": date(2035, 5, 31)},
    # wiki.rockylinux.org/rocky/version
    "rocky": {"8": date(2029, 5, 31), "9": date(2032, 5, 31), "10": date(2035, 5, 31)},
    # fedorapeople.org/groups/schedule
    "fedora": {
        "28": date(2019, 5, 28),
        "29": date(2019, 11, 26),
        "30": date(2020, 5, 26),
        "31": date(2020, 11, 24),
        "32": date(2021, 5, 25),
        "33": date(2021, 11, 30),
        "34": date(2022, 6, 7),
        "35": date(2022, 12, 13),
        "36": date(2023, 5, 16),
        "37": date(2023, 12, 5),
        "38": date(2024, 5, 21),
        "39": date(2024, 11, 26),
        "40": date(2025, 5, 13),
        "41": date(2025, 12, 15),
        "42": date(2026, 5, 13),
    },
    # aws.amazon.com/amazon-linux-2/faqs, docs.aws.amazon.com/linux/al2023
    "amzn": {"2018.03": date(2023, 12, 31), "2": date(2026, 6, 30), "2023": date(2029, 6, 30)},
    # oracle.com/a/ocom/docs/elsp-lifetime-069338.pdf: premier support
    "ol": {
        "5": date(2017, 6, 30),
        "6": date(2021, 3, 31),
        "7": date(2024, 12, 31),
        "8": date(2029, 7, 31),
        "9": date(2032, 6, 30),
        "10": date(2035, 6, 30),
    },
    # suse.com/lifecycle: general support
    "sles": {
        "11.4": date(2019, 3, 31),
        "12": date(2016, 6, 30),
        "12.1": date(2017, 5, 31),
        "12.2": date(2018, 3, 31),
        "12.3": date(2019, 6, 30),
        "12.4": date(2020, 6, 30),
        "12.5": date(2024, 10, 31),
        "15": date(2019, 12, 31),
        "15.1": date(2021, 1, 31),
        "15.2": date(2021, 12, 31),
        "15.3": date(2022, 12, 31),
        "15.4": date(2023, 12, 31),
        "15.5": date(2024, 12, 31),
        "15.6": date(2025, 12, 31),
        "15.7": date(2031, 7, 31),
        "16.0": date(2027, 11, 30),
    },
    # en.opensuse.org/Lifetime
    "opensuse-leap": {
        "42.3": date(2019, 7, 1),
        "15.0": date(2019, 12, 3),
        "15.1": date(2021, 2, 2),
        "15.2": date(2022, 1, 4),
        "15.3": date(2022, 12, 31),
        "15.4": date(2023, 12, 7),
        "15.5": date(2024, 12, 31),
        "15.6": date(2026, 4, 30),
        "16.0": date(2027, 10, 31),
    },
    # github.com/vmware/photon/wiki
    "photon": {
        "1.0": date(2022, 2, 28),
        "2.0": date(2022, 12, 31),
        "3.0": date(2024, 3, 31),
        "4.0": date(2026, 3, 31),
    },
    # github.com/microsoft/azurelinux, issue 13555; no day is told for Azure Linux 3
    "mariner": {"1.0": date(2023, 7, 31), "2.0": date(2025, 7, 31)},
}
_PRO_ENDS: Final[Mapping[str, date]] = {
    "14.04": date(2024, 4, 25),
    "16.04": date(2026, 4, 23),
    "18.04": date(2028, 4, 1),
    "20.04": date(2030, 4, 2),
    "22.04": date(2032, 4, 9),
    "24.04": date(2034, 4, 25),
}
"""ubuntu.com/about/release-cycle: Expanded Security Maintenance, for images whose Pro is on."""
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def end_of(distribution: Distribution) -> date | None:
    """Returns the last day of security updates; None where the release is not known to have one."""
    if not _NUMBERS.fullmatch(distribution.version_id):
        return None
    if distribution.id == "ubuntu" and distribution.has_pro and distribution.version_id in _PRO_ENDS:
        return _PRO_ENDS[distribution.version_id]
    identifier = "centos-stream" if distribution.is_stream else distribution.id
    ends = _ENDS.get(identifier, {})
    parts = distribution.version_id.split(".")
    # A point release ends with the release it is of.
    releases = (".".join(parts[:count]) for count in range(min(len(parts), 2), 0, -1))
    return next((ends[release] for release in releases if release in ends), None)
