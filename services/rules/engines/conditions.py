"""What each engine needs, and what facts make of each condition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from services.kernel.errors import ServiceError
from services.kernel.model.engine import Engine, engine_not_ready
from services.kernel.reasons import ScanFailure
from services.registry.trial import Trial
from services.rules.api import Instance
from services.rules.engines.api import Condition, ConditionType, EngineStatus, Part, PartHealth, Status
from services.rules.engines.store import Authorization

_REGISTRY: Final = (ConditionType.REGISTRY_REACHABLE, ConditionType.CREDENTIALS_VALID)
NEEDS: Final[Mapping[Engine, tuple[ConditionType, ...]]] = MappingProxyType(
    {
        Engine.SECURITY_CENTER: (
            *_REGISTRY,
            ConditionType.ADVISORY_DATABASE_READY,
            ConditionType.RULE_PACKS_READY,
            ConditionType.AUTHORIZED,
            ConditionType.ENTITLED,
        ),
        Engine.TRIVY: (*_REGISTRY, ConditionType.TRIVY_READY),
    }
)
"""In the order in which to mend them."""
PARTS: Final[Mapping[Part, ConditionType]] = MappingProxyType(
    {
        Part.ADVISORIES: ConditionType.ADVISORY_DATABASE_READY,
        Part.RULE_PACKS: ConditionType.RULE_PACKS_READY,
        Part.TRIVY: ConditionType.TRIVY_READY,
    }
)
_JUDGES: Final[Mapping[Engine, Part]] = MappingProxyType(
    {Engine.SECURITY_CENTER: Part.ADVISORIES, Engine.TRIVY: Part.TRIVY}
)
PULLED: Final = "PULLED"
_UNTOLD: Final[Mapping[Part, str]] = MappingProxyType(
    {
        Part.ADVISORIES: "how its advisories are",
        Part.RULE_PACKS: "how its rules are",
        Part.TRIVY: "that it has trivy",
    }
)


class Verdict(NamedTuple):
    """How a condition is now."""

    status: Status
    reason: str
    message: str


NOT_CHECKED: Final = Verdict(Status.UNKNOWN, "NOT_CHECKED", "Nobody has looked yet; the next check is soon.")


def of_trial(trial: Trial, *, pull: bool) -> dict[ConditionType, Verdict]:
    """Judges a registry. Credentials are left out where no pull was tried and nothing speaks against them."""
    reachable, credentials = _REGISTRY
    if trial.silent is not None:
        unknown = "The registry gives no answer, so nobody can tell."
        return {
            reachable: _against(Status.FALSE, trial.silent),
            credentials: Verdict(Status.UNKNOWN, "REGISTRY_SILENT", unknown),
        }
    found = {reachable: Verdict(Status.TRUE, "ANSWERS", "The registry answers.")}
    if trial.pulled:
        found[credentials] = Verdict(Status.TRUE, PULLED, f"{trial.pulled} could be pulled.")
    elif trial.refused is not None:
        found[credentials] = _against(Status.FALSE, trial.refused)
    elif trial.unsettled is not None:
        found[credentials] = _against(Status.UNKNOWN, trial.unsettled)
    elif pull:
        message = "The registry lets us in; there is no image yet, or none that it lists, on which to try a pull."
        found[credentials] = Verdict(Status.TRUE, "NOTHING_TO_PULL", message)
    return found


def of_part(part: Part, said: Iterable[tuple[str, PartHealth]]) -> Verdict:
    """Judges a part by what scanners say: one that is ready is enough, those that are not are named."""
    told = [(node, health) for node, health in said if health.part is part]
    if not told:
        return Verdict(Status.UNKNOWN, "NO_SCANNER", f"No scanner says at present {_UNTOLD[part]}.")
    ready = sorted((health for _, health in told if health.ready), key=lambda health: health.reason != "")
    lacking = [(node, health) for node, health in told if not health.ready]
    if not ready:
        node, health = lacking[0]
        message = health.message or f"Scanner {node} is not ready."
        return Verdict(Status.FALSE, health.reason or "NOT_READY", message)
    best = ready[0]
    words = [best.message or _described(best)]
    if lacking:
        node, health = lacking[0]
        words.append(f"{len(lacking)} of {len(told)} scanners are not ready; {node}: {health.message}")
    return Verdict(Status.TRUE, best.reason or "READY", " ".join(words))


def of_authorization(instance: Instance, given: Authorization | None) -> Verdict:
    """Judges whether an operator has said yes."""
    if given is None:
        return Verdict(
            Status.FALSE,
            "NOT_AUTHORIZED",
            "No operator has authorized the engine: "
            f"`drydock instance activate {instance.name} security-center --authorize` does.",
        )
    who = given.actor or "somebody without a key"
    return Verdict(Status.TRUE, "AUTHORIZED", f"Authorized by {who} at {given.at:%Y-%m-%dT%H:%M:%SZ}.")


def settled(before: Condition | None, verdict: Verdict | None, type_: ConditionType, now: datetime) -> Condition:
    """Returns a condition as it is now; nothing new means as before."""
    if verdict is None and before is not None:
        return before
    status, reason, message = verdict or NOT_CHECKED
    since = before.changed_at if before is not None and before.status is status else now
    return Condition(type=type_, status=status, reason=reason, message=message, changed_at=since)


def facts_of(engine: Engine, said: Iterable[tuple[str, PartHealth]]) -> datetime | None:
    """Returns of when the advisories are that scanners have for an engine: the oldest ones'."""
    part = _JUDGES[engine]
    return min((each.database_at for _, each in said if each.part is part and each.database_at), default=None)


def status_of(
    instance: Instance,
    engine: Engine,
    found: Mapping[ConditionType, Condition],
    given: Authorization | None,
    database_at: datetime | None,
) -> EngineStatus:
    """Puts an engine's conditions together."""
    return EngineStatus(
        instance_id=instance.instance_id,
        engine=engine,
        in_use=engine is instance.engine,
        conditions=tuple(found[type_] for type_ in NEEDS[engine]),
        authorized_by=given.actor if given else "",
        authorized_at=given.at if given else None,
        database_at=database_at,
    )


def refusal(engine: Engine, where: str, lacking: Iterable[Condition]) -> ServiceError:
    """Returns the error of an engine that is not ready, naming every condition that does not hold."""
    named = tuple(lacking)
    told = " ".join(f"{one.type.value} is {one.status.value} ({one.reason}): {one.message}" for one in named)
    return engine_not_ready(
        f"{engine.value} is not ready {where}. {told}",
        hint="Mend these and try again; `drydock instance engines INSTANCE` shows all conditions.",
        metadata={"engine": engine.value, "conditions": ",".join(one.type.value for one in named)},
    )


def _against(status: Status, failure: ScanFailure) -> Verdict:
    return Verdict(status, failure.reason, failure.sentence())


def _described(health: PartHealth) -> str:
    words = [
        f"version {health.version}" if health.version else "",
        f"advisories {health.database_version}" if health.database_version else "",
        f"of {health.database_at:%Y-%m-%d}" if health.database_at is not None else "",
    ]
    told = " ".join(word for word in words if word)
    return f"Ready: {told}." if told else "Ready."
