"""Accounts: what /etc/passwd and /etc/shadow say of passwords and rights (passwd(5), shadow(5), crypt(5))."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Final

from services.scanner.inspectors.interface import Cut, Seen
from services.scanner.inspectors.masking import mask, printable

_DES: Final = re.compile(r"[./0-9A-Za-z]{13}")
_WEAK: Final = ("$1$", "$md5", "$3$", "_")
"""MD5, Sun's MD5, NT and BSDi's DES."""
_MIN_HASH: Final = 13
_MAX_LINE: Final = 4096
_MAX_ACCOUNTS: Final = 10_000
_CUT: Final = Cut(f"what follows its first {_MAX_ACCOUNTS} lines was not looked at")


def inspect_shadow(content: bytes) -> Iterator[Seen | Cut]:
    """Yields what is wrong with passwords. What is locked (`!`) or no hash at all (`*`) is none."""
    for record in _records(content):
        if isinstance(record, Cut):
            yield record
            return
        number, fields = record
        name, password = printable(fields[0]), fields[1]
        if not password:
            yield Seen("account-empty-password", name, number)
        elif _is_hash(password):
            shown = f"{name}:{mask(password)}"
            yield Seen("account-weak-hash" if _is_weak(password) else "account-password", shown, number)


def inspect_passwd(content: bytes) -> Iterator[Seen | Cut]:
    """Yields accounts that need no password, and those besides root that have its rights."""
    for record in _records(content):
        if isinstance(record, Cut):
            yield record
            return
        number, fields = record
        if len(fields) < 4 or not fields[0]:
            continue
        name = printable(fields[0])
        if not fields[1]:
            yield Seen("account-passwd-empty", name, number)
        elif _is_hash(fields[1]):
            shown = f"{name}:{mask(fields[1])}"
            yield Seen("account-weak-hash" if _is_weak(fields[1]) else "account-password", shown, number)
        if fields[2].isdecimal() and int(fields[2][:20]) == 0 and fields[0] != "root":
            yield Seen("account-extra-root", name, number)


def _records(content: bytes) -> Iterator[tuple[int, list[str]] | Cut]:
    """Yields each account with its line, and in place of those that are too many that they are."""
    for number, line in enumerate(io.BytesIO(content), 1):
        if number > _MAX_ACCOUNTS:
            yield _CUT
            return
        fields = line[:_MAX_LINE].rstrip(b"\r\n").decode("utf-8", "replace").split(":")
        if len(fields) > 1 and fields[0] and not fields[0].startswith(("#", "+", "-")):
            yield number, fields


def _is_hash(password: str) -> bool:
    return len(password) >= _MIN_HASH and (password[0] in "$_" or _DES.fullmatch(password) is not None)


def _is_weak(password: str) -> bool:
    return password.startswith(_WEAK) or not password.startswith("$")
