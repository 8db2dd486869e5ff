"""Reads passwords and secrets from standard input: never from an argument, which everybody on the machine sees."""

from __future__ import annotations

import sys

from services.kernel.errors import invalid

_LONGEST = 4096


def check_pair(username: str, *, password_wanted: bool) -> None:
    """Checks, before anything is read or asked, that a user comes with a password and a password with a user.

    Raises:
        ServiceError: INVALID_CREDENTIALS naming the option that is missing.
    """
    if password_wanted and not username:
        raise invalid(
            "INVALID_CREDENTIALS", "A password belongs to a user.", field="username", hint="Add --username."
        )
    if username and not password_wanted:
        raise invalid(
            "INVALID_CREDENTIALS",
            "A user comes with a password, and none is given.",
            field="password",
            hint="Add --password-stdin, or leave --username out.",
        )


def read_password(*, wanted: bool) -> str:
    """Returns the first line of standard input, without its end, when it is wanted; else nothing.

    Raises:
        ServiceError: INVALID_CREDENTIALS when it is empty or endless.
    """
    return _first_line("INVALID_CREDENTIALS", "password") if wanted else ""


def read_secret(*, wanted: bool) -> str:
    """Returns the same of a secret.

    Raises:
        ServiceError: INVALID_SECRET when it is empty or endless.
    """
    return _first_line("INVALID_SECRET", "secret") if wanted else ""


def _first_line(reason: str, what: str) -> str:
    line = sys.stdin.readline(_LONGEST + 2).rstrip("\r\n")
    if not line or len(line) > _LONGEST:
        raise invalid(
            reason,
            f"Standard input holds no {what} of 1 to {_LONGEST} characters.",
            field=what,
            hint=f'Pipe it in, as in: printf %s "${what.upper()}" | drydock …',
        )
    return line
