"""The image's configuration (OCI image-spec, config.md): what it makes containers run as, and what it tells of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from services.scanner.inspectors.interface import Cut, Seen, Sighting
from services.scanner.inspectors.masking import printable
from services.scanner.inspectors.rules import Place, baseline_rules
from services.scanner.inspectors.text import TextRules

_ROOT: Final = frozenset({"", "root", "0"})
_SSH: Final = frozenset({"22", "22/tcp"})
_MAX_ITEMS: Final = 10_000
_MAX_TEXT: Final = 1 << 20


class _Container(msgspec.Struct):
    User: str | None = None
    Env: list[str] | None = None
    ExposedPorts: dict[str, msgspec.Raw] | None = None


class _Step(msgspec.Struct):
    created_by: str | None = None
    empty_layer: bool | None = None


class _Config(msgspec.Struct):
    config: _Container | None = None
    history: list[_Step] | None = None


class InConfig(NamedTuple):
    """What the configuration tells, and the layer that the step made: empty where it made none."""

    sighting: Sighting
    layer: str


_DECODER = msgspec.json.Decoder(_Config)


def inspect_config(content: bytes, layers: Sequence[str]) -> list[InConfig]:
    """Returns what the configuration and its history tell of an image with these layers.

    What the environment tells is not told again where the history says the same. Fields of another type than the
    specification wants tell nothing.
    """
    try:
        config = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    facts = {rule.id: rule.facts for rule in baseline_rules()}
    text = TextRules(baseline_rules())
    known: set[tuple[str, str]] = set()
    found: list[InConfig] = []

    def add(path: str, layer: str, several: Iterator[Seen | Cut]) -> None:
        for seen in several:
            if isinstance(seen, Seen) and (seen.rule, seen.match) not in known:
                known.add((seen.rule, seen.match))
                sighting = Sighting(rule=facts[seen.rule], path=f"config:{path}", match=seen.match)
                found.append(InConfig(sighting, layer))

    container = config.config or _Container()
    add("/config/User", "", inspect_user(container.User or ""))
    for port in container.ExposedPorts or {}:
        add("/config/ExposedPorts", "", inspect_port(port))
    for number, line in enumerate((container.Env or [])[:_MAX_ITEMS]):
        add(f"/config/Env/{number}", "", text.search_all(Place.ENV, _bytes(line)))
    made = iter(layers)
    for number, step in enumerate((config.history or [])[:_MAX_ITEMS]):
        layer = "" if step.empty_layer else next(made, "")
        add(f"/history/{number}/created_by", layer, text.search_all(Place.HISTORY, _bytes(step.created_by or "")))
    return found


def inspect_user(user: str) -> Iterator[Seen]:
    """Yields that containers run as root, if nobody else is named."""
    if user.partition(":")[0].strip() in _ROOT:
        yield Seen("root-user", printable(user))


def inspect_port(port: str) -> Iterator[Seen]:
    """Yields that a port is that of SSH."""
    if port in _SSH:
        yield Seen("ssh-port-exposed", printable(port))


def _bytes(text: str) -> bytes:
    return text[:_MAX_TEXT].encode("utf-8", "replace")
