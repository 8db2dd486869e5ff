"""What a rule reaches: which repositories of a catalogue, and which of their tags."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.kernel.model.reference import RepositoryName, is_referrers_tag, parse_repository
from services.kernel.reasons import Reason
from services.kernel.tag_pattern import compile_pattern
from services.rules.api import NewScanRule, RunNote, Scope
from services.rules.runs.records import Reach


def reach_of(rule: NewScanRule) -> Reach:
    """Returns the reach of a rule."""
    return Reach(scope=rule.scope, namespaces=rule.namespaces, tag_pattern=rule.tag_pattern)


def named_repositories(rule: NewScanRule) -> tuple[str, ...]:
    """Returns the paths of the repositories that a rule names one by one; empty for the other scopes."""
    if rule.scope is not Scope.REPO:
        return ()
    [namespace] = rule.namespaces
    return tuple(RepositoryName(namespace=namespace, name=name).path for name in rule.repo_names)


def reached(reach: Reach, paths: Sequence[str]) -> tuple[str, ...]:
    """Returns those of the paths, out of a catalogue, that lie in the rule's scope."""
    if reach.scope is Scope.INSTANCE:
        return tuple(paths)
    return tuple(path for path in paths if parse_repository(path).namespace in reach.namespaces)


def left_out(path: str, count: int) -> RunNote:
    """Notes how many names of a list, of a repository's tags or the catalogue (an empty path), are no names."""
    message = f"The registry lists at least {count:,} names here that nothing can be pulled by."
    return RunNote(repository=path, tag="", reason=Reason.IMAGE_NOT_FOUND.code, message=message)


async def matching(reach: Reach, tags: Sequence[str]) -> tuple[str, ...]:
    """Returns those of the tags that match, in their order; a page may have a hundred thousand.

    Raises:
        ServiceError: INVALID_TAG_PATTERN; it compiled when it was saved.
    """

    def sift() -> tuple[str, ...]:
        pattern = compile_pattern(reach.tag_pattern)
        return tuple(tag for tag in tags if pattern.fullmatch(tag.encode()) and not is_referrers_tag(tag))

    return await asyncio.to_thread(sift)
