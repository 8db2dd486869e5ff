"""Checks a blob's bytes against its descriptor while they pass by."""

from __future__ import annotations

from services.kernel.model.digest import hasher_for
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor


class BlobCheck:
    """Counts and hashes; the verdict falls in `finish`, a wrong size as soon as it shows."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._hasher = hasher_for(descriptor.digest)
        self.received = 0

    def expect_total(self, size: int) -> None:
        """Compares a size that the source announces.

        Raises:
            ScanFailure: DIGEST_MISMATCH.
        """
        if size != self._descriptor.size:
            raise self._mismatch(f"{size:,} bytes")

    def add(self, chunk: bytes | memoryview) -> None:
        """Takes the next bytes.

        Raises:
            ScanFailure: DIGEST_MISMATCH, when there are more than there should be.
        """
        self.received += len(chunk)
        if self.received > self._descriptor.size:
            raise self._mismatch("more bytes than that")
        self._hasher.update(chunk)

    def finish(self) -> None:
        """Gives the verdict on the whole.

        Raises:
            ScanFailure: DIGEST_MISMATCH.
        """
        self.expect_total(self.received)
        found = f"{self._hasher.name}:{self._hasher.hexdigest()}"
        if found != self._descriptor.digest:
            raise self._mismatch(f"the digest {found}")

    def _mismatch(self, found: str) -> ScanFailure:
        return ScanFailure(
            Reason.DIGEST_MISMATCH,
            f"The blob {self._descriptor.digest} of {self._descriptor.size:,} bytes has {found}.",
            hint="The source, or something between it and us, altered it.",
            metadata={"expected": self._descriptor.digest},
        )
