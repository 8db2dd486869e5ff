"""Inventories and verdicts as bytes: what an image is matched by, and what matching says of it."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
import zstandard

from services.kernel.model.finding import Finding, FindingKind, Package
from services.kernel.model.report import Coverage, ReportWarning
from services.scanner.catalogers.interface import Distribution

_LEVEL: Final = 3
_MAX_BYTES: Final = 1 << 30
_ENCODER: Final = msgspec.json.Encoder()


class StoredInventory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that the verdict on an image follows from, but for advisories and the moment."""

    distribution: Distribution | None
    packages: tuple[Package, ...]
    """In the order of the report's."""
    unread: tuple[ReportWarning, ...]
    """Warnings of reading the image."""
    kinds: tuple[FindingKind, ...]
    """What is looked for; sorted."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What matching says of an inventory."""

    findings: tuple[Finding, ...]
    """In the default order; of the kinds that are looked for."""
    coverage: Coverage
    coverage_reason: str
    warnings: tuple[ReportWarning, ...]


_INVENTORY: Final = msgspec.json.Decoder(StoredInventory)
_VERDICT: Final = msgspec.json.Decoder(Verdict)


def pack_inventory(inventory: StoredInventory) -> tuple[str, bytes]:
    """Returns the digest of an inventory, and how it is stored. Equal ones have equal digests."""
    content = _ENCODER.encode(inventory)
    return _digest(content), _compress(content)


def unpack_inventory(packed: bytes) -> StoredInventory:
    """Reads a stored inventory.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return _INVENTORY.decode(_decompress(packed))
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise ValueError("the inventory is damaged") from error


def verdict_id(verdict: Verdict) -> str:
    """Returns the identity of a verdict: all that readers of a report see of it."""
    return _digest(_ENCODER.encode(verdict))


def pack_verdict(verdict: Verdict) -> tuple[str, bytes]:
    """Returns the identity of a verdict, and how it is stored."""
    content = _ENCODER.encode(verdict)
    return _digest(content), _compress(content)


def unpack_verdict(packed: bytes) -> Verdict:
    """Reads a stored verdict."""
    return _VERDICT.decode(_decompress(packed))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _compress(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(content)


def _decompress(packed: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_BYTES)
