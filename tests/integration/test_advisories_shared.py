"""The development set of OSV records, where it lies on this machine: `DRYDOCK_OSV_DIR` or `DRYDOCK_SHARED/osv`."""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from services.kernel.model.finding import Package
from services.kernel.model.report import Coverage
from services.scanner.advisories.compile import Source, compile_sources
from services.scanner.advisories.database import Database
from services.scanner.pipeline.match import Matched, match
from tests.builders.advisories import NOW, debian, python
from tests.builders.osv_oracle import (
    SCHEMES,
    Json,
    entries,
    is_vulnerable,
    key_of,
    only_informs,
    read_zip,
    versions_named,
)

SHARED = Path(os.environ.get("DRYDOCK_SHARED", Path(__file__).parents[3] / "shared"))
OSV = Path(os.environ.get("DRYDOCK_OSV_DIR", SHARED / "osv"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (OSV / "Debian.zip").is_file(), reason="the shared OSV records are not on this machine"
    ),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    output = tmp_path_factory.mktemp("osv") / "all.mdb"
    zips = [Source(path=path, name=path.name) for path in sorted(OSV.glob("*.zip"))]
    started = time.perf_counter()
    compile_sources(zips, output, built_at=NOW)
    assert time.perf_counter() - started < 60
    with Database(output) as opened:
        yield opened


def judged(database: Database, *packages: Package) -> Matched:
    return match(None, packages, database, unread=(), now=NOW, max_age=timedelta(days=7))


def test_every_zip_is_imported_and_releases_are_counted(database: Database) -> None:
    assert database.meta.records > 50_000
    assert {"Debian:12", "Alpine:v3.18", "PyPI"} <= database.meta.ecosystems.keys()
    assert database.meta.left_out["withdrawn"] > 0


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_verdicts_are_those_of_the_schemas_own_algorithm(database: Database, name: str) -> None:
    """A sample: a hundred packages of each zip at the versions where verdicts turn.

    Every record that claims a version is among what is found, and all that is found some record claims. AlmaLinux'
    bug fixes and enhancements are no vulnerabilities, and modules have tests of their own: the schema knows none.
    """
    chosen = Random(name)
    claims: dict[tuple[str, str], list[tuple[str, Json]]] = {}
    for record, affected in entries(read_zip(OSV / f"{name}.zip")):
        package = (affected["package"]["ecosystem"], affected["package"]["name"])
        modular = any(".module_" in version for version in versions_named(affected))
        if not modular and not only_informs(record, affected):
            claims.setdefault(package, []).append((record["id"], affected))
    for ecosystem, named in chosen.sample(sorted(claims), min(100, len(claims))):
        known, key = claims[ecosystem, named], key_of(ecosystem)
        turning = sorted({version for _, affected in known for version in versions_named(affected)} - {""})
        for version in chosen.sample(turning, min(6, len(turning))):
            installed = Package(
                purl="pkg:x/x@1", name=named, version=version, ecosystem=ecosystem, path="/x", layer=""
            )
            claimed = {record for record, affected in known if is_vulnerable(affected, version, key)}
            told = [{each.id, *each.aliases} for each in judged(database, installed).findings]
            wanted = {record for record in claimed if not record.startswith(("ALBA-", "ALEA-"))}
            assert wanted <= set().union(*told), (ecosystem, named, version)
            assert all(ids & claimed for ids in told), (ecosystem, named, version)


@pytest.mark.parametrize(
    ("package", "cve", "fixed"),
    [
        (python("Jinja2", "2.10"), "CVE-2019-10906", "2.10.1"),
        (python("requests", "2.19.1"), "CVE-2018-18074", "2.20.0"),
        (python("Django", "3.2"), "CVE-2021-33571", "3.2.4"),
        (debian("curl", "7.88.1-10"), "CVE-2023-38545", "7.88.1-10+deb12u4"),
        (debian("libc6", "2.36-9", source="glibc"), "CVE-2023-4911", "2.36-9+deb12u3"),
    ],
)
def test_known_facts_are_found(database: Database, package: Package, cve: str, fixed: str) -> None:
    result = judged(database, package)
    assert (cve, fixed) in {(finding.id, finding.fixed_version) for finding in result.findings}
    assert result.coverage is Coverage.FULL


def test_a_version_beyond_every_fix_is_clean(database: Database) -> None:
    assert judged(database, debian("curl", "99-1"), python("Jinja2", "99")).findings == ()


def test_matching_four_hundred_debian_packages_takes_milliseconds(database: Database) -> None:
    sources = ["openssl", "curl", "glibc", "perl", "systemd", "gnutls28", "libxml2", "sqlite3", "tar", "zlib"]
    packages = [debian(f"{source}-{number}", "99-1", source=source) for number in range(40) for source in sources]
    judged(database, *packages)
    durations = []
    for _ in range(9):
        started = time.perf_counter()
        judged(database, *packages)
        durations.append(time.perf_counter() - started)
    # Measured 1.5 ms; the bound leaves room for a busy machine.
    assert sorted(durations)[4] < 0.02
