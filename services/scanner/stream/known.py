"""What is open of an image, as PostgreSQL writes it in one value: hundreds of findings, hardly looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from services.scanner.stream.records import Known

FINGERPRINT_BYTES: Final = 16
_UID_BYTES: Final = 16
_MOMENT_BYTES: Final = 8
_BYTES: Final = _UID_BYTES + FINGERPRINT_BYTES + _MOMENT_BYTES
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""`timestamptz_send` gives microseconds since then."""


class KnownFindings(Mapping[bytes, Known]):
    """Findings that are open, by the bytes of their uids (the query `known_findings`)."""

    def __init__(self, written: bytes = b"") -> None:
        if len(written) % _BYTES:
            raise ValueError(f"{len(written)} bytes are no open findings of {_BYTES} each")
        starts = range(0, len(written), _BYTES)
        self._known = {
            written[start : start + _UID_BYTES]: written[start + _UID_BYTES : start + _BYTES] for start in starts
        }

    def __getitem__(self, uid: bytes) -> Known:
        written = self._known[uid]
        moment = int.from_bytes(written[FINGERPRINT_BYTES:], signed=True)
        return Known(
            fingerprint=written[:FINGERPRINT_BYTES], first_seen_at=_EPOCH + timedelta(microseconds=moment)
        )

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def says(self, uid: bytes, fingerprint: bytes) -> bool:
        """Tells whether a finding is open with this very content."""
        written = self._known.get(uid)
        return written is not None and written.startswith(fingerprint)

    def without(self, uids: set[bytes]) -> set[bytes]:
        """Returns what is open and none of these."""
        return self._known.keys() - uids
