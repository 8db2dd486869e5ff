"""What an image runs on (OCI image-spec, image-index.md, "platform")."""

from __future__ import annotations

import msgspec

from services.kernel.errors import invalid


class Platform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Operating system, architecture and variant, in Go's words."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}" + (f"/{self.variant}" if self.variant else "")


def parse_platform(text: str) -> Platform:
    """Reads `linux/amd64` or `linux/arm64/v8`.

    Raises:
        ServiceError: INVALID_PLATFORM.
    """
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise invalid(
            "INVALID_PLATFORM", f"{text[:80]!r} is no platform.", hint="Write os/arch, as in linux/amd64."
        )
    return Platform(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else "")
