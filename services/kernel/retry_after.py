"""How long an HTTP server asks us to wait (RFC 9110, section 10.2.3 "Retry-After")."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

from services.kernel.clock import Clock

LONGEST_SECONDS = 86_400.0


def parse_retry_after(value: str | None, clock: Clock) -> float | None:
    """Reads a Retry-After header: a number of seconds or a date.

    Returns seconds from now, 0 to `LONGEST_SECONDS`; None when there is none or it cannot be read.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000", or no zone at all: HTTP's dates are in UTC
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - clock.now()).total_seconds(), 0.0), LONGEST_SECONDS)
