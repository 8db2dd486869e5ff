"""Components of Bitnami's images, as their documents tell of them."""

from __future__ import annotations

import pytest

from services.kernel.model.finding import SourcePackage
from services.scanner.catalogers.interface import FoundPackage, PackageFormat
from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN
from tests.builders.locks import read

PATH = "opt/bitnami/redis/.spdx-redis.spdx"
PURL = "pkg:bitnami/redis@7.4.1-0?arch=arm64&distro=debian-12"
JSON = """{"SPDXID": "SPDXRef-redis", "spdxVersion": "SPDX-2.3", "packages": [
  {"SPDXID": "SPDXRef-redis", "name": "redis", "versionInfo": "7.4.1-0", "externalRefs": [
    {"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:*:redis"},
    {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "%s"}]},
  {"name": "x", "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:golang/x.org/y@1"}]},
  {"name": "none"}]}"""
TAGS = """SPDXVersion: SPDX-2.3
PackageName: redis
PackageVersion: 7.4.1-0
ExternalRef: SECURITY cpe23Type cpe:2.3:*:redis:redis:7.4.1:*:*:*:*:*:*:*
ExternalRef: PACKAGE-MANAGER purl %s
"""


@pytest.mark.parametrize("form", [JSON, TAGS], ids=["json", "tag:value"])
def test_component_is_judged_without_the_revision_that_bitnami_adds(form: str) -> None:
    evidence = read(PATH, form % PURL)

    assert evidence.warnings == ()
    assert evidence.packages == (
        FoundPackage(
            format=PackageFormat.BITNAMI,
            name="redis",
            version="7.4.1-0",
            arch="arm64",
            source=SourcePackage(name="redis", version="7.4.1"),
        ),
    )


def test_version_without_a_revision_stands_as_it_is() -> None:
    (package,) = read(PATH, TAGS % "pkg:bitnami/kafka@3.0.0-rc.1").packages

    assert (package.version, package.source, package.arch) == (
        "3.0.0-rc.1",
        SourcePackage(name="kafka", version="3.0.0-rc.1"),
        "",
    )


@pytest.mark.parametrize("content", ["", "{}", JSON % "redis", TAGS % "redis", JSON % "pkg:bitnami/redis", "{"])
def test_what_cannot_be_read_is_told(content: str) -> None:
    evidence = read(PATH, content)

    assert evidence.packages == ()
    assert [each.code for each in evidence.warnings] == [PACKAGE_RECORD_BROKEN]
