"""All images of the corpus, in the order in which docs/quality.md lists them."""

from __future__ import annotations

from pathlib import Path

from services.lab.layer import BuiltLayer
from tests.quality.corpus import debian, languages, locks, made, systems
from tests.quality.corpus.image import CorpusImage


def _pyapp(cache: Path) -> tuple[BuiltLayer, ...]:
    return (*debian.debian_python(cache), *languages.python(cache))


PYAPP = CorpusImage(
    name="pyapp",
    origin="real: packages of the machine's own Debian release, downloaded by apt and unpacked by dpkg-deb; six "
    "old wheels on Python",
    build=_pyapp,
)

CORPUS: tuple[CorpusImage, ...] = (
    PYAPP,
    CorpusImage(
        name="alpine",
        origin="made: an apk database of Alpine 3.18 with real names and versions",
        build=systems.alpine,
    ),
    CorpusImage(
        name="alma",
        origin="made: AlmaLinux 9 packages with real names and versions, two of them modular; the database "
        "written by Debian's rpm",
        build=systems.alma,
    ),
    CorpusImage(name="node", origin="real: a hundred npm packages, installed by npm", build=languages.node),
    CorpusImage(
        name="java",
        origin="real jars, one of them shaded, four inside of an application that is made",
        build=languages.java,
    ),
    CorpusImage(
        name="programs",
        origin="real programs: syft, buf and esbuild (Go), uv (Rust, auditable)",
        build=languages.programs,
    ),
    CorpusImage(name="ruby", origin="made: specifications of installed gems", build=made.ruby),
    CorpusImage(name="php", origin="made: Composer's installed.json", build=made.php),
    CorpusImage(name="dotnet", origin="made: a program's deps.json", build=made.dotnet),
    CorpusImage(name="bitnami", origin="made: SPDX documents as in Bitnami's images", build=made.bitnami),
    CorpusImage(
        name="locks",
        origin="made: a lock file of each tool, with real names and versions",
        build=locks.locks,
        locks=True,
    ),
)
