"""The limits of the caller's key, held against what a call names and what it would show."""

from __future__ import annotations

import dataclasses

from services.gateway import caller
from services.kernel.errors import Kind, ServiceError, not_found
from services.kernel.model.reference import NO_NAMESPACE
from services.rules.api import NewScanRule, RulesApi, Scope


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a limited key reaches of one instance."""

    instance_id: str
    namespaces: frozenset[str]
    """None of them means all."""

    @property
    def whole(self) -> bool:
        """Whether it is all of the instance."""
        return not self.namespaces

    def has(self, namespace: str) -> bool:
        """Tells whether a namespace belongs to it."""
        return not self.namespaces or namespace in self.namespaces

    def has_rule(self, rule: NewScanRule) -> bool:
        """Tells whether a rule is about nothing else."""
        return self.whole or (rule.scope is not Scope.INSTANCE and self.namespaces.issuperset(rule.namespaces))


class Reach:
    """Looks at the caller of the current task. Costs a call without limits nothing."""

    def __init__(self, rules: RulesApi) -> None:
        """`rules` tells which instance has a name."""
        self._rules = rules

    def limited(self) -> bool:
        """Tells whether the caller's key has limits at all."""
        return bool(caller.current().limits)

    def parts(self) -> tuple[Part, ...]:
        """Returns all that a limited key reaches."""
        limits = caller.current().limits
        return tuple(Part(instance_id=instance, namespaces=names) for instance, names in limits.items())

    def part_of(self, instance_id: str) -> Part | None:
        """Returns what a limited key reaches of an instance, by its id; None for nothing."""
        names = caller.current().limits.get(instance_id)
        return Part(instance_id=instance_id, namespaces=names) if names is not None else None

    def has(self, instance_id: str, namespace: str) -> bool:
        """Tells whether the caller's key reaches a namespace of an instance; all of it where none is named."""
        if not self.limited():
            return True
        part = self.part_of(instance_id)
        return part is not None and (part.whole or (bool(namespace) and part.has(namespace)))

    async def into(self, instance: str) -> Part:
        """Returns what a limited key reaches of an instance that the call names by id or name.

        Raises:
            ServiceError: OUT_OF_REACH, the same for an instance that does not exist.
        """
        part = self.part_of(instance)
        if part is None and "\0" not in instance:
            part = self.part_of(await self._id_of(instance))
        if part is None:
            raise out_of_reach(f"the instance {instance[:80]!r}")
        return part

    async def whole(self, instance: str) -> Part:
        """Returns the part that is a whole instance.

        Raises:
            ServiceError: OUT_OF_REACH.
        """
        part = await self.into(instance)
        if not part.whole:
            raise out_of_reach(f"the whole instance {instance[:80]!r}")
        return part

    async def named(self, instance: str, namespace: str, repository: str) -> Part:
        """Returns the part that a repository belongs to, by its names.

        Raises:
            ServiceError: OUT_OF_REACH.
        """
        part, namespace = await self.into(instance), namespace_of(namespace, repository)
        if not part.has(namespace):
            raise out_of_reach(f"the namespace {namespace[:80]!r}")
        return part

    async def repository(self, instance: str, repo_id: str) -> Part:
        """Returns the part that a repository belongs to, by its id.

        Raises:
            ServiceError: OUT_OF_REACH; REPO_NOT_EXIST, the same for a repository of another namespace.
        """
        part = await self.into(instance)
        if not part.whole:
            found = await self._rules.get_repository(part.instance_id, repo_id)
            if not part.has(found.namespace):
                raise no_repository(repo_id)
        return part

    async def narrowed(
        self, instance: str, namespaces: tuple[str, ...], repository: str
    ) -> tuple[str, tuple[str, ...]]:
        """Returns the one instance, and the namespaces, whose tasks a limited key lists with such a filter.

        Raises:
            ServiceError: OUT_OF_REACH.
        """
        parts = self.parts()
        if not instance and len(parts) == 1:
            instance = parts[0].instance_id
        if not instance:
            raise ServiceError(
                Kind.PERMISSION_DENIED,
                "OUT_OF_REACH",
                "A key that is limited to several instances lists the tasks of one at a time.",
                hint="Name the instance.",
                field="instance",
            )
        part = await self.into(instance)
        for namespace in (*namespaces, *((namespace_of("", repository),) if repository else ())):
            if not part.has(namespace):
                raise out_of_reach(f"the namespace {namespace[:80]!r}")
        return instance, namespaces or tuple(sorted(part.namespaces))

    async def _id_of(self, name: str) -> str:
        try:
            return (await self._rules.get_instance(name)).instance_id
        except ServiceError as error:
            if error.reason != "INSTANCE_NOT_EXIST":
                raise
            return ""


def namespace_of(namespace: str, repository: str) -> str:
    """Returns the namespace of a repository, however a caller divides its path: all before the last segment."""
    path = repository if namespace in ("", NO_NAMESPACE) else f"{namespace}/{repository}"
    return path.strip("/").rpartition("/")[0] or NO_NAMESPACE


def out_of_reach(what: str) -> ServiceError:
    """The error of a limited key that calls about something else, whether that exists or not."""
    return ServiceError(
        Kind.PERMISSION_DENIED,
        "OUT_OF_REACH",
        f"The key {caller.current().name!r} may not call about {what}.",
        hint="Use a key that is not limited, or is limited to this.",
    )


def no_repository(repo_id: str) -> ServiceError:
    """The error of a repository that there is not, or that is not for the caller."""
    return not_found("REPO_NOT_EXIST", f"The instance has no repository {repo_id[:80]!r}.")


def no_rule(rule_id: str) -> ServiceError:
    """The error of a rule that there is not, or that is not for the caller."""
    return not_found("SCAN_RULE_NOT_EXIST", f"There is no scan rule {rule_id[:80]!r}.")
