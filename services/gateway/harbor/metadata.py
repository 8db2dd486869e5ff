"""What Harbor is told of us before it asks for a scan."""

from __future__ import annotations

from services.formats.identity import Json
from services.gateway.harbor import media
from services.gateway.harbor.reports import SCANNER

_PREFIX = "harbor.scanner-adapter/"


def metadata() -> Json:
    """Returns `ScannerAdapterMetadata`: what is scanned, and what comes of it."""
    return {
        "scanner": SCANNER,
        "capabilities": [
            {
                "type": "vulnerability",
                "consumes_mime_types": media.MANIFESTS,
                "produces_mime_types": [media.VULNERABILITIES],
            },
            {
                "type": "sbom",
                "consumes_mime_types": media.MANIFESTS,
                "produces_mime_types": [media.SBOM],
                "additional_attributes": {"sbom_media_types": media.SBOM_FORMS},
            },
        ],
        "properties": {
            f"{_PREFIX}scanner-type": "os-package-vulnerability",
            # A robot's name and secret hold while a scan waits; a token of Harbor's runs out in half an hour.
            f"{_PREFIX}registry-authorization-type": "Basic",
        },
    }
