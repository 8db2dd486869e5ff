"""What Harbor is told of us before it asks for a scan."""

from __future__ import annotations

from datetime import UTC, datetime

from services.formats.identity import Json
from services.gateway.harbor import media
from services.gateway.harbor.reports import SCANNER

_PREFIX = "harbor.scanner-adapter/"


def metadata(database_at: datetime | None) -> Json:
    """Returns `ScannerAdapterMetadata`: what is scanned, and what comes of it.

    Args:
        database_at: of when the advisories are; None where nobody says.
    """
    properties = {
        f"{_PREFIX}scanner-type": "os-package-vulnerability",
        # A robot's name and secret hold while a scan waits; a token of Harbor's runs out in half an hour.
        f"{_PREFIX}registry-authorization-type": "Basic",
    }
    if database_at is not None:
        moment = database_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        properties[f"{_PREFIX}vulnerability-database-updated-at"] = moment
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
        "properties": properties,
    }
