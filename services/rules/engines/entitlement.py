"""The deployment's entitlement: which instances, or how many, may use SECURITY_CENTER (`docs/engines.md`)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import anyio.to_thread
import msgspec

from services.rules.api import Instance
from services.rules.engines.api import Status
from services.rules.engines.conditions import Verdict

_MOST_BYTES = 1 << 20


class _Engine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    instances: tuple[str, ...] | None = None
    at_most: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    security_center: _Engine


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """What the record says."""

    instances: frozenset[str] | None = None
    """Names and ids; None for all."""
    at_most: int | None = None
    """How many instances, those first that had the engine authorized first; None for any number."""


@dataclasses.dataclass(frozen=True, slots=True)
class Unreadable:
    """There is to be a record, and nobody can read it."""

    why: str


class EntitlementRecord:
    """The file that says it, read anew each time; without one, a self-hosted deployment covers every instance."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    async def read(self) -> Entitlement | Unreadable | None:
        """Returns what the file says; None where there is to be none."""
        if self._path is None:
            return None
        return await anyio.to_thread.run_sync(_read, self._path)


def of_entitlement(said: Entitlement | Unreadable | None, instance: Instance, earlier: int) -> Verdict:
    """Judges whether an instance is covered; `earlier` instances had the engine authorized before it."""
    match said:
        case None:
            message = "The deployment has no entitlement record; self-hosted, it covers every instance."
            return Verdict(Status.TRUE, "SELF_HOSTED", message)
        case Unreadable(why=why):
            return Verdict(Status.UNKNOWN, "ENTITLEMENT_UNREADABLE", f"The entitlement record {why}.")
        case Entitlement(instances=names) if names is not None and names.isdisjoint(
            (instance.name, instance.instance_id)
        ):
            return Verdict(Status.FALSE, "NOT_ENTITLED", f"The entitlement record does not name {instance.name}.")
        case Entitlement(at_most=limit) if limit is not None and earlier >= limit:
            return Verdict(
                Status.FALSE,
                "ENTITLEMENT_EXHAUSTED",
                f"The entitlement record covers {limit} instances, and {earlier} others came before.",
            )
    return Verdict(Status.TRUE, "ENTITLED", "The entitlement record covers the instance.")


def _read(path: Path) -> Entitlement | Unreadable:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        return Unreadable(f"{path.name} cannot be read ({type(error).__name__})")
    if len(content) > _MOST_BYTES:
        return Unreadable(f"{path.name} has more than {_MOST_BYTES:,} bytes")
    try:
        said = msgspec.toml.decode(content, type=_Record).security_center
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unreadable(f"{path.name} is not as it should be: {str(error)[:200]}")
    names = None if said.instances is None else frozenset(said.instances)
    return Entitlement(instances=names, at_most=said.at_most)
