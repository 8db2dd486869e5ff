"""Times as people write them on the command line: `90s`, `5m`, `2h`, `7d`."""

from __future__ import annotations

import re

import typer

_FORM = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text: str) -> float:
    """Returns the time in seconds.

    Raises:
        typer.BadParameter: it is written in another way.
    """
    match = _FORM.fullmatch(text)
    if not match:
        raise typer.BadParameter(f"{text[:40]!r} is no time. Write 90s, 5m, 2h or 7d.")
    return float(int(match[1]) * _SECONDS[match[2]])
