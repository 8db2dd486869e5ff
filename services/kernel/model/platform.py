"""What an image runs on (OCI image-spec, image-index.md, "platform")."""

from __future__ import annotations

import re

import msgspec

from services.kernel.errors import invalid

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Platform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Operating system, architecture and variant, in Go's words: each up to 64 of `[A-Za-z0-9_.-]`.

    There is no other: making one, also by decoding, raises the ServiceError INVALID_PLATFORM.
    """

    os: str
    architecture: str
    variant: str = ""

    def __post_init__(self) -> None:
        for part, word in (("os", self.os), ("architecture", self.architecture), ("variant", self.variant or "-")):
            if not _WORD.fullmatch(word):
                raise invalid(
                    "INVALID_PLATFORM",
                    f"{word[:80]!r} is no {part} of a platform.",
                    hint="Write os/arch, as in linux/amd64.",
                )

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
