"""The index of rules against the obvious way: hold every rule against the tag."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.kernel.tag_pattern import compile_pattern
from services.rules.api import ScanRule, Scope, Trigger
from services.rules.matching import IndexCache, RuleIndex
from tests.builders.rules import saved_rule

_names = st.sampled_from(["a", "b", "c", "a/b", "_"])
_repos = st.sampled_from(["app", "web", "db"])
_patterns = st.sampled_from([".*", "1.*", "v[0-9]+", "latest|stable", "[^v].*", "1\\.0"])
_tags = st.sampled_from(["1.0", "1x0", "v1", "v", "latest", "stable", "xlatest", "1.0\u00e9"])


@st.composite
def _rules(draw: st.DrawFn) -> ScanRule:
    scope = draw(st.sampled_from(Scope))
    spaces = {Scope.INSTANCE: (0, 0), Scope.NAMESPACE: (1, 3), Scope.REPO: (1, 1)}[scope]
    repos = (1, 3) if scope is Scope.REPO else (0, 0)
    return saved_rule(
        f"crscnr-{draw(st.integers(0, 10**6))}",
        scope=scope,
        namespaces=tuple(draw(st.lists(_names, min_size=spaces[0], max_size=spaces[1]))),
        repo_names=tuple(draw(st.lists(_repos, min_size=repos[0], max_size=repos[1]))),
        tag_pattern=draw(_patterns),
        trigger=draw(st.sampled_from(Trigger)),
    )


def _meets(rule: ScanRule, namespace: str, repository: str, tag: str) -> bool:
    reaches = (
        rule.scope is Scope.INSTANCE
        or (rule.scope is Scope.NAMESPACE and namespace in rule.namespaces)
        or (rule.scope is Scope.REPO and namespace in rule.namespaces and repository in rule.repo_names)
    )
    matches = compile_pattern(rule.tag_pattern).fullmatch(tag.encode()) is not None
    return reaches and rule.trigger is Trigger.AUTO and matches


def test_a_list_of_what_is_attached_to_an_image_meets_no_rule() -> None:
    index = RuleIndex([saved_rule("crscnr-1", scope=Scope.INSTANCE, tag_pattern=".*", trigger=Trigger.AUTO)])
    assert index.match("a", "app", "sha256-" + "0" * 64) == ()
    for image in ("sha256-" + "0" * 63, "sha256-" + "0" * 64 + ".drydock-backup", "1.0_fixd"):
        assert len(index.match("a", "app", image)) == 1


@given(st.lists(_rules(), max_size=30), _names, _repos, _tags)
def test_the_index_finds_what_holding_every_rule_against_the_tag_finds(
    rules: list[ScanRule], namespace: str, repository: str, tag: str
) -> None:
    wanted = tuple(rule for rule in rules if _meets(rule, namespace, repository, tag))
    assert RuleIndex(rules).match(namespace, repository, tag) == wanted


def test_the_whole_tag_must_match() -> None:
    index = RuleIndex([saved_rule(tag_pattern="1\\.[0-9]")])
    assert index.match("n", "r", "1.2")
    assert not index.match("n", "r", "1.22")
    assert not index.match("n", "r", "x1.2")


def test_alternatives_at_the_top_of_a_pattern_are_each_held_against_the_whole_tag() -> None:
    index = RuleIndex([saved_rule(tag_pattern="a|ab")])
    assert index.match("n", "r", "ab")
    assert not index.match("n", "r", "abc")


def test_an_event_meets_few_candidates_of_many_rules() -> None:
    rules = [
        saved_rule(f"crscnr-{n}", scope=Scope.REPO, namespaces=(f"team-{n % 100}",), repo_names=(f"app-{n}",))
        for n in range(2_000)
    ]
    assert RuleIndex(rules).candidates("team-7", "app-107") == 1


def test_an_index_of_another_revision_is_not_used() -> None:
    cache = IndexCache(max_rules=10)
    cache.put("cri-1", 3, RuleIndex([]))
    assert cache.get("cri-1", 3) is not None
    assert cache.get("cri-1", 4) is None
    assert cache.get("cri-2", 3) is None


def test_indexes_that_were_not_asked_for_longest_go_first() -> None:
    cache = IndexCache(max_rules=4)
    two = [saved_rule("crscnr-1"), saved_rule("crscnr-2")]
    cache.put("cri-a", 1, RuleIndex(two))
    cache.put("cri-b", 1, RuleIndex(two))
    assert cache.get("cri-a", 1) is not None
    cache.put("cri-c", 1, RuleIndex(two))
    assert cache.get("cri-b", 1) is None
    assert cache.get("cri-a", 1) is not None
    assert cache.rules <= 4


def test_an_index_larger_than_the_bound_is_kept_while_it_is_in_use() -> None:
    cache = IndexCache(max_rules=1)
    cache.put("cri-a", 1, RuleIndex([saved_rule("crscnr-1"), saved_rule("crscnr-2")]))
    assert cache.get("cri-a", 1) is not None
