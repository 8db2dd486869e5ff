"""Numbers in tar headers (POSIX.1-2024, pax, section "ustar Interchange Format"; GNU tar manual, base-256)."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1 << 12)
def read_number(field: bytes) -> int | None:
    """Reads octal digits or, with the first bit set, a base-256 number; None where it is neither."""
    digits = field.strip(b" \0")
    if not digits.isdigit():
        if field[0] & 0x80:
            negative = field[0] & 0x40
            return None if negative else int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        digits = digits.partition(b"\0")[0]
        if not digits:
            return 0
        if not digits.isdigit():
            return None
    try:
        return int(digits, 8)
    except ValueError:
        return None
