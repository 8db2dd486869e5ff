"""The shell command that mends one finding.

Names and versions come out of images: what does not match its ecosystem's own grammar gets no command, since an
argument that begins with a dash is an option however well it is quoted.
"""

from __future__ import annotations

import re
import shlex

from services.kernel.model.finding import Finding

_DEB_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # Debian Policy, 5.6.1
_DEB_VERSION = re.compile(r"[0-9][A-Za-z0-9.+~:-]*")  # Debian Policy, 5.6.12
_APK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_APK_VERSION = re.compile(r"[0-9][A-Za-z0-9._-]*")
_PYPI_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508, "Names"
_PYPI_VERSION = re.compile(r"[0-9][A-Za-z0-9.!+_-]*")  # PEP 440
_FORMATS = {"deb": "dpkg", "apk": "apk", "rpm": "rpm"}


def fix_command(finding: Finding) -> str:
    """Returns the command; empty where no fixed version is known or no command is safe."""
    if finding.package is None:
        return ""
    name, version = finding.package.name, finding.fixed_version
    match package_type(finding):
        case "deb" if _DEB_NAME.fullmatch(name) and _DEB_VERSION.fullmatch(version):
            return f"apt-get install --only-upgrade {shlex.quote(f'{name}={version}')}"
        case "apk" if _APK_NAME.fullmatch(name) and _APK_VERSION.fullmatch(version):
            return f"apk add --upgrade {shlex.quote(f'{name}>={version}')}"
        case "pypi" if _PYPI_NAME.fullmatch(name) and _PYPI_VERSION.fullmatch(version):
            return f"pip install {shlex.quote(f'{name}=={version}')}"
    return ""


def package_type(finding: Finding) -> str:
    """Returns the type in the package's URL, as in `deb`; empty where it is no package's."""
    if finding.package is None:
        return ""
    return finding.package.purl.removeprefix("pkg:").partition("/")[0]


def version_format(finding: Finding) -> str:
    """Returns the package format in the reference's words (`dpkg`); the type itself where it has none."""
    kind = package_type(finding)
    return _FORMATS.get(kind, kind)
