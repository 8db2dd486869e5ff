"""Chains: saved, listed, deleted; and what they say of scans."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence

import asyncpg
from google.protobuf import json_format

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.catalog.namespaces import namespace_id
from services.gateway.acr.chains.policy import Policy, Result, checked_config, judge, policy_of
from services.gateway.acr.chains.store import Chain, ChainStore
from services.gateway.acr.requests import InReach, Window, required
from services.gateway.acr.translate import to_milliseconds
from services.gateway.reach.limits import out_of_reach
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.errors import Kind, ServiceError, invalid, not_found
from services.kernel.ids import Ids
from services.kernel.model.reference import RepositoryName, is_repository
from services.kernel.model.repository_id import repository_id
from services.rules.api import RulesApi
from services.scanner.api import FindingFilter, ImageQuery, ScannerApi, State, Task, TaskFilter

_MOST_TASKS = 1000
_MOST_PAGES = 20
"""Read for one chain: what it excludes may fill many."""
_MOST_EXCLUDED = 1000
_LONGEST_TEXT = 2000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A task in the scope of a chain."""

    chain: Chain
    policy: Policy
    task: Task


class Chains:
    """Chains of instances, and scans held against them."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: ChainStore,
        rules: RulesApi,
        scanner: ScannerApi,
        in_reach: InReach,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._pool = pool
        self._store = store
        self._rules = rules
        self._scanner = scanner
        self._in_reach = in_reach
        self._clock = clock
        self._ids = ids

    async def create(self, request: pb.CreateChainRequest) -> str:
        """Saves a chain and returns its id.

        Raises:
            ServiceError: CHAIN_ALREADY_EXIST; REPO_NOT_EXIST of the repository that it is for.
        """
        instance = await self._instance(request.instance_id)
        name, excluded = _checked(request)
        config = checked_config(request.chain_config)
        namespace, repository = request.repo_namespace_name, request.repo_name
        if namespace and not is_repository(RepositoryName(namespace=namespace, name="x").path):
            raise invalid("INVALID_NAMESPACE", "That is no namespace.", field="repo_namespace_name")
        if not self._in_reach(instance, namespace):
            raise out_of_reach(f"the namespace {namespace[:80]!r}" if namespace else "the whole instance")
        if repository:
            await self._rules.find_repository(instance, required("repo_namespace_name", namespace), repository)
        now = self._clock.now()
        chain = Chain(
            chain_id=self._ids.named("chi"),
            instance_id=instance,
            name=name,
            description=request.description,
            namespace=namespace,
            repository=repository,
            scope_exclude=excluded,
            config_id=self._ids.named("cci"),
            config=json_format.MessageToJson(config, indent=None),
            created_at=now,
            modified_at=now,
        )
        async with self._pool.acquire() as conn:
            if not await self._store.insert(conn, chain):
                raise _name_taken(name)
        return chain.chain_id

    async def get(self, instance_id: str, chain_id: str) -> Chain:
        """Returns a chain of the instance.

        Raises:
            ServiceError: CHAIN_NOT_EXIST.
        """
        known = await self.of(instance_id, "", "")
        chain_id = required("chain_id", chain_id)
        found = next((each for each in known if each.chain_id == chain_id), None)
        if found is None:
            raise _none(chain_id)
        return found

    async def update(self, request: pb.UpdateChainRequest) -> None:
        """Writes a chain anew."""
        old = await self.get(request.instance_id, request.chain_id)
        name, excluded = _checked(request)
        config = checked_config(required("chain_config", request.chain_config))
        new = dataclasses.replace(
            old,
            name=name,
            description=request.description,
            scope_exclude=excluded,
            config=json_format.MessageToJson(config, indent=None),
            modified_at=self._clock.now(),
        )
        try:
            async with self._pool.acquire() as conn:
                if not await self._store.update(conn, new):
                    raise _none(new.chain_id)
        except asyncpg.UniqueViolationError as error:
            raise _name_taken(name) from error

    async def delete(self, instance_id: str, chain_id: str) -> None:
        """Deletes a chain."""
        chain = await self.get(instance_id, chain_id)
        async with self._pool.acquire() as conn:
            if not await self._store.delete(conn, chain.instance_id, chain.chain_id):
                raise _none(chain_id)

    async def of(self, instance_id: str, namespace: str, repository: str) -> Sequence[Chain]:
        """Returns the chains for this repository or namespace, or all, as far as the caller's key reaches."""
        known = await self._all(instance_id, namespace, repository)
        return [each for each in known if self._in_reach(each.instance_id, each.namespace)]

    async def _all(self, instance_id: str, namespace: str, repository: str) -> Sequence[Chain]:
        instance = await self._instance(instance_id)
        async with self._pool.acquire() as conn:
            known = await self._store.of_instance(conn, instance)
        return [
            each
            for each in known
            if (not namespace or each.namespace in ("", namespace))
            and (not repository or each.repository in ("", repository))
        ]

    async def judged(self, instance_id: str, namespace: str, repository: str) -> Sequence[Judged]:
        """Returns the tasks that chains judge, newest first: of each chain its newest 1,000.

        Of tasks that the caller's key reaches, chains for the whole instance speak, too: a denial is never hidden.
        """
        judged: list[Judged] = []
        for chain in await self._all(instance_id, namespace, repository):
            policy = policy_of(from_saved(chain))
            # Of a chain for a namespace that the caller does not reach, it reaches no task.
            reached = not chain.namespace or self._in_reach(chain.instance_id, chain.namespace)
            if policy is not None and reached:
                judged += await self._judged_by(chain, policy, namespace, repository)
        return sorted(judged, key=lambda each: (each.task.created_at, each.task.task_id), reverse=True)

    async def _judged_by(self, chain: Chain, policy: Policy, namespace: str, repository: str) -> Sequence[Judged]:
        """Asks for no more than may be the chain's, page by page: what others are busy with hides nothing."""
        namespace, repository = namespace or chain.namespace, repository or chain.repository
        name = RepositoryName(namespace=namespace, name=repository) if namespace and repository else None
        wanted = TaskFilter(
            instance=chain.instance_id,
            namespaces=(namespace,) if namespace else (),
            repository=name.path if name is not None else "",
            since=chain.created_at,
        )
        judged: list[Judged] = []
        token = ""
        for _ in range(_MOST_PAGES):
            page = await self._scanner.list_tasks(wanted, page_size=_MOST_TASKS, page_token=token)
            judged += [
                Judged(chain=chain, policy=policy, task=task)
                for task in page.items
                if chain.covers(task.namespace, task.repository)
                and repository in ("", task.repository)
                and policy.judges(task)
            ]
            token = page.next_token
            if not token or len(judged) >= _MOST_TASKS:
                break
        return judged[:_MOST_TASKS]

    async def to_instances(self, judged: Sequence[Judged], window: Window) -> Sequence[pb.ChainInstance]:
        """Says what the chains think of a page of tasks."""
        return [await self._to_instance(each) for each in judged[window.begin : window.begin + window.size]]

    async def _to_instance(self, judged: Judged) -> pb.ChainInstance:
        task, chain = judged.task, judged.chain
        status, result = "RUNNING", ""
        if task.state is State.FAILED:
            cancelled = task.reason == "CANCELLED"
            status, result = ("CANCELED", "CANCELED") if cancelled else ("COMPLETE", Result.FAILED.value)
        elif task.state is State.COMPLETE:
            image = ImageQuery(instance=task.instance_id, task_id=task.task_id)
            found = await self._scanner.findings(image, FindingFilter())
            findings = [placed.finding for placed in found.findings]
            status, result = "COMPLETE", judge(judged.policy, task, findings).value
        return pb.ChainInstance(
            chain_instance_id=str(uuid.uuid5(uuid.UUID(task.task_id), chain.chain_id)),
            repo_namespace_name=task.namespace,
            repo_name=task.repository,
            start_time=to_milliseconds(task.created_at),
            end_time=to_milliseconds(task.ended_at) if task.ended_at is not None else None,
            status=status,
            result=result,
            chain=pb.ChainOfInstance(chain_id=chain.chain_id, chain_name=chain.name, version=chain.version),
        )

    async def _instance(self, instance_id: str) -> str:
        return (await self._rules.get_instance(required("instance_id", instance_id))).instance_id


def from_saved(chain: Chain) -> pb.ChainConfig:
    """Reads the configuration of a saved chain, with what it has got here."""
    config = json_format.Parse(chain.config, pb.ChainConfig(), ignore_unknown_fields=True)
    config.chain_config_id = chain.config_id
    config.version = str(chain.version)
    return config


def scope_of(chain: Chain) -> tuple[str, str]:
    """Returns type and id of a chain's scope."""
    if chain.repository:
        name = RepositoryName(namespace=chain.namespace, name=chain.repository)
        return "REPOSITORY", repository_id(chain.instance_id, name)
    if chain.namespace:
        return "NAMESPACE", namespace_id(chain.instance_id, chain.namespace)
    return "INSTANCE", chain.instance_id


def _checked(request: pb.CreateChainRequest | pb.UpdateChainRequest) -> tuple[str, tuple[str, ...]]:
    name, excluded = required("name", request.name), tuple(request.scope_exclude)
    texts = (name, request.description, *excluded)
    if any(len(text) > _LONGEST_TEXT or "\0" in text for text in texts) or len(excluded) > _MOST_EXCLUDED:
        raise invalid("INVALID_CHAIN", "The name, the description or scope_exclude is too long.", field="name")
    return name, excluded


def _name_taken(name: str) -> ServiceError:
    return ServiceError(
        Kind.ALREADY_EXISTS,
        "CHAIN_ALREADY_EXIST",
        f"The instance already has a chain {name[:80]!r}.",
        field="name",
    )


def _none(chain_id: str) -> ServiceError:
    return not_found("CHAIN_NOT_EXIST", f"The instance has no chain {chain_id[:80]!r}.")
