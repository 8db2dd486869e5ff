"""The grammar of each scheme: what its `satisfies` is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.kernel.versions.ranges import cargo, gem, maven, npm, nuget, packagist, pep440, pub, relations

GRAMMARS: Final[dict[str, Callable[[str, str], bool]]] = {
    "apk": relations.APK.satisfies,
    "cargo": cargo.satisfies,
    "dpkg": relations.DPKG.satisfies,
    "gem": gem.satisfies,
    "go": relations.GO.satisfies,
    "maven": maven.satisfies,
    "npm": npm.satisfies,
    "nuget": nuget.satisfies,
    "packagist": packagist.satisfies,
    "pep440": pep440.satisfies,
    "pub": pub.satisfies,
    "rpm": relations.RPM.satisfies,
    "semver": relations.SEMVER.satisfies,
}
"""By the scheme's name: whether a version, the second argument, lies in the range that is the first."""
