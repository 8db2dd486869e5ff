"""Media types of the conversation with Harbor.

Harbor Pluggable Scanner API 1.2 (`scanner-adapter-openapi-v1.2.yaml` of goharbor/pluggable-scanner-spec), read
2026-11-26. Harbor compares these texts as they stand, blanks included.
"""

from __future__ import annotations

from typing import Final

METADATA: Final = "application/vnd.scanner.adapter.metadata+json; version=1.1"
METADATA_1_0: Final = "application/vnd.scanner.adapter.metadata+json; version=1.0"
SCAN_RESPONSE: Final = "application/vnd.scanner.adapter.scan.response+json; version=1.0"
ERROR: Final = "application/vnd.scanner.adapter.error+json; version=1.0"
VULNERABILITIES: Final = "application/vnd.security.vulnerability.report; version=1.1"
SBOM: Final = "application/vnd.security.sbom.report+json; version=1.0"

SPDX: Final = "application/spdx+json"
CYCLONEDX: Final = "application/vnd.cyclonedx+json"
SBOM_FORMS: Final = (SPDX, CYCLONEDX)

MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""What can be scanned. Of an index Harbor asks for each image by itself."""
SCAN_REQUESTS: Final = frozenset(
    {
        "application/vnd.scanner.adapter.scan.request+json;version=1.0",
        "application/vnd.scanner.adapter.scan.request+json;version=1.1",
        "application/json",
    }
)
"""Types of a request's body, squeezed."""


def squeezed(media_type: str) -> str:
    """Returns a media type in lower case and without blanks, so that spellings of the same are the same."""
    return "".join(media_type.split()).lower()


def accepts(header: str, media_type: str) -> bool:
    """Tells whether an Accept header names a type; one that names none, or any, takes every type."""
    named = {squeezed(each).partition(";q=")[0] for each in header.split(",") if each.strip()}
    return not named or "*/*" in named or squeezed(media_type) in named
