"""What a chain denies, and what it says of a scan: pure, and SUCCESS only of what somebody could judge."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import Final

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.parameters import to_object
from services.gateway.acr.words import from_scan_service, to_severity
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.model.engine import Engine
from services.kernel.model.finding import VULNERABILITIES, Finding, FindingKind
from services.kernel.model.report import Coverage
from services.scanner.api import Task

SCANNING: Final = "VULNERABILITY_SCANNING"
_LEVELS: Final = ("UNKNOWN", "LOW", "MEDIUM", "HIGH")
_LONGEST: Final = 64 * 1024


class Result(enum.Enum):
    """What a chain says of a scan that has ended."""

    SUCCESS = "SUCCESS"
    DENIED = "DENIED"
    FAILED = "FAILED"
    """The scan failed, or nobody can tell: it is no SUCCESS."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the scanning node of a chain denies."""

    engine: Engine | None
    """Only scans by this one are judged; None for all."""
    every: bool
    """Whether all that is named must hold, or one will do."""
    level: str
    """Empty: vulnerabilities are not counted."""
    count: int
    issues: frozenset[str]
    baselines: frozenset[str]
    malicious: frozenset[str]

    @property
    def looks_into_files(self) -> bool:
        """Whether it asks for what only one engine looks for."""
        return bool(self.baselines or self.malicious)

    @property
    def names_nothing(self) -> bool:
        """Whether nothing at all is denied, so that nothing was held against it."""
        return not (self.level or self.issues or self.baselines or self.malicious)

    def judges(self, task: Task) -> bool:
        """Tells whether a scan is one of those that it judges."""
        return self.engine is None or task.engine in (self.engine, Engine.ALL)

    def denies(self, findings: Sequence[Finding]) -> bool:
        """Tells whether what was found is too much."""
        asked = [
            holds
            for named, holds in (
                (self.level, self._too_many(findings)),
                (self.issues, _named(findings, VULNERABILITIES, self.issues)),
                (self.baselines, _named(findings, {FindingKind.BASELINE_RISK}, self.baselines)),
                (self.malicious, _named(findings, {FindingKind.MALICIOUS_SAMPLE}, self.malicious)),
            )
            if named
        ]
        return bool(asked) and (all(asked) if self.every else any(asked))

    def _too_many(self, findings: Sequence[Finding]) -> bool:
        if not self.level:
            return False
        counted = {*_LEVELS[_LEVELS.index(self.level) :], "UNKNOWN"}  # what nobody knows may be anything
        found = [each for each in findings if each.kind in VULNERABILITIES]
        return sum(to_severity(each.severity).upper() in counted for each in found) >= self.count


def checked_config(text: str) -> pb.ChainConfig:
    """Reads the configuration of a chain; it is active unless it says that it is not.

    Raises:
        ServiceError: PARAMETER_ERROR, INVALID_CHAIN_CONFIG, CHAIN_ACTION_NOT_SUPPORTED.
    """
    if len(text) > _LONGEST or "\0" in text or "\\u0000" in text:
        raise _bad("it has more than 64 KiB, or a NUL")
    config = to_object(pb.ChainConfig(is_active=True), text or "{}", "ChainConfig")
    for node in config.nodes:
        to_policy(node)
    return config


def policy_of(config: pb.ChainConfig) -> Policy | None:
    """Returns what a chain denies; None where it judges nothing."""
    if not config.is_active:
        return None
    return next((to_policy(node) for node in config.nodes if node.node_name == SCANNING and node.enable), None)


def to_policy(node: pb.ChainNode) -> Policy:
    """Reads what a node denies."""
    said = node.node_config.deny_policy
    if said.action not in ("", "BLOCK"):
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "CHAIN_ACTION_NOT_SUPPORTED",
            f"A chain cannot do {said.action[:40]!r} here: Drydock changes nothing in registries by this door.",
            hint="Use BLOCK, and ask ListChainInstance before you deploy.",
        )
    if said.logic not in ("", "AND", "OR"):
        raise _bad("Logic is AND or OR")
    if said.issue_level not in ("", *_LEVELS):
        raise _bad("IssueLevel is one of " + ", ".join(_LEVELS))
    if said.issue_count and not (said.issue_count.isdecimal() and 0 < int(said.issue_count[:9]) < 10**8):
        raise _bad("IssueCount is a number from 1")
    return Policy(
        engine=from_scan_service(node.node_config.scan_engine),
        every=said.logic == "AND",
        level=said.issue_level,
        count=int(said.issue_count or "1"),
        issues=_list(said.issue_list),
        baselines=_list(said.baseline_list),
        malicious=_list(said.malicious_list),
    )


def judge(policy: Policy, task: Task, findings: Sequence[Finding]) -> Result:
    """Says what a chain thinks of a complete task."""
    if policy.denies(findings):
        return Result.DENIED
    searched = task.engine is not Engine.TRIVY or not policy.looks_into_files
    judged = task.coverage is Coverage.FULL and searched and not policy.names_nothing
    return Result.SUCCESS if judged else Result.FAILED


def _named(
    findings: Sequence[Finding], kinds: frozenset[FindingKind] | set[FindingKind], names: frozenset[str]
) -> bool:
    return any(
        each.kind in kinds and not names.isdisjoint(name.upper() for name in (each.id, each.title, *each.aliases))
        for each in findings
    )


def _list(text: str) -> frozenset[str]:
    return frozenset(name.strip().upper() for name in text.split(",") if name.strip())


def _bad(what: str) -> ServiceError:
    return invalid("INVALID_CHAIN_CONFIG", f"The chain_config cannot be used: {what}.", field="chain_config")
