"""The SSH server's configuration (sshd_config(5)): the first value of a keyword counts, before any Match block."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Final

from services.scanner.inspectors.interface import Cut, Seen
from services.scanner.inspectors.masking import printable

_LINE: Final = re.compile(r"\s*([A-Za-z]+)(?:\s*=\s*|\s+)\"?([^\"#\s]+)")
_RULES: Final = {
    ("permitrootlogin", "yes"): "sshd-root-login",
    ("permitemptypasswords", "yes"): "sshd-empty-passwords",
    ("passwordauthentication", "yes"): "sshd-password-login",
}
_MAX_LINE: Final = 1024
_MAX_LINES: Final = 10_000


def inspect_sshd(content: bytes) -> Iterator[Seen | Cut]:
    """Yields the settings that let in more than they should. What files included before say is not known."""
    known: set[str] = set()
    for number, line in enumerate(io.BytesIO(content), 1):
        if number > _MAX_LINES:
            yield Cut(f"what follows its first {_MAX_LINES} lines was not looked at")
            return
        text = line[:_MAX_LINE].decode("utf-8", "replace")
        found = _LINE.match(text)
        if found is None:
            continue
        keyword, value = found[1].lower(), found[2].lower()
        if keyword == "match":
            return
        if keyword not in known and (rule := _RULES.get((keyword, value))):
            yield Seen(rule, printable(text.strip()), number)
        known.add(keyword)
