"""Which of ten thousand rules a pushed tag meets."""

from __future__ import annotations

import time

from services.rules.api import Scope
from services.rules.matching import RuleIndex
from tests.benchmarks.figures import Figure, Result
from tests.builders.rules import saved_rule

RULES = 10_000
ROUNDS = 7
_MATCHES = 500
_REPOSITORIES = 103


async def measure() -> Result:
    """Matches tags of repositories that have about a hundred candidates each."""
    rules = [
        saved_rule(
            f"crscnr-{number}",
            scope=Scope.REPO,
            namespaces=("team",),
            repo_names=(f"app-{number % _REPOSITORIES}",),
            tag_pattern=rf"v{number}\.[0-9]+(-rc[0-9]+)?|release-{number}.*",
        )
        for number in range(RULES)
    ]
    began = time.perf_counter()
    index = RuleIndex(rules)
    built = time.perf_counter() - began
    candidates = max(index.candidates("team", f"app-{number}") for number in range(_REPOSITORIES))
    assert candidates <= 100
    assert [rule.rule_id for rule in index.match("team", "app-7", "v7.12-rc1")] == ["crscnr-7"]
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for number in range(_MATCHES):
            index.match("team", f"app-{number % _REPOSITORIES}", f"v{number}.12-rc1")
        rounds.append((time.perf_counter() - began) / _MATCHES * 1000)
    return Result(
        question=f"Matching one pushed tag with {RULES:,} rules of an instance, {candidates} of them candidates.",
        figures=(
            Figure(what="one tag, warm", rounds=tuple(rounds), unit="ms", bar="< 1"),
            Figure(what="building the index, once for each revision of the rules", rounds=(built,), unit="s"),
        ),
    )
