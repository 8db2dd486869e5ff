"""Reads a password from standard input: never from an argument, which everybody on the machine can see."""

from __future__ import annotations

import sys

from services.kernel.errors import invalid

_LONGEST = 4096


def read_password(username: str, *, wanted: bool) -> str:
    """Returns the first line of standard input, without its end, when it is wanted; else nothing.

    Raises:
        ServiceError: INVALID_CREDENTIALS when there is a password without a user, or an empty or endless one.
    """
    if not wanted:
        return ""
    if not username:
        raise invalid(
            "INVALID_CREDENTIALS", "A password belongs to a user.", field="username", hint="Add --username."
        )
    password = sys.stdin.readline(_LONGEST + 2).rstrip("\r\n")
    if not password or len(password) > _LONGEST:
        raise invalid(
            "INVALID_CREDENTIALS",
            f"Standard input holds no password of 1 to {_LONGEST} characters.",
            field="password",
            hint='Pipe it in, as in: printf %s "$PASSWORD" | drydock …',
        )
    return password
