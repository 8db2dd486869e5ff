"""What was said of namespaces and repositories: one method for each query."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from services.kernel.db import Connection
from services.kernel.sql import load_queries

_Q = load_queries("services.gateway")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceNote:
    """What was said of a namespace; of one of which nobody has said anything, the defaults."""

    auto_create_repo: bool = True
    default_repo_type: str = "PRIVATE"
    default_repo_configuration: str = "{}"
    """JSON."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryNote:
    """What was said of a repository; of one of which nobody has said anything, the defaults."""

    repo_type: str = "PRIVATE"
    summary: str = ""
    detail: str = ""
    modified_at: datetime | None = None


class NoteStore:
    """Reads and writes `gateway.acr_namespace` and `gateway.acr_repository`."""

    async def namespaces(
        self, conn: Connection, instance_id: str, names: Sequence[str] | None = None
    ) -> Mapping[str, NamespaceNote]:
        """Returns what was said of namespaces, by name: of all, or of these."""
        rows = await conn.fetch(_Q["acr_namespaces"], instance_id, names)
        return {row["name"]: _to_namespace(row) for row in rows}

    async def insert_namespace(self, conn: Connection, instance_id: str, name: str, note: NamespaceNote) -> bool:
        """Writes a namespace down; False when it was before."""
        values = (note.auto_create_repo, note.default_repo_type, note.default_repo_configuration)
        return await conn.fetchval(_Q["insert_acr_namespace"], instance_id, name, *values) is not None

    async def put_namespace(self, conn: Connection, instance_id: str, name: str, note: NamespaceNote) -> None:
        """Writes a namespace down, or anew."""
        values = (note.auto_create_repo, note.default_repo_type, note.default_repo_configuration)
        await conn.execute(_Q["put_acr_namespace"], instance_id, name, *values)

    async def delete_namespace(self, conn: Connection, instance_id: str, name: str) -> None:
        """Forgets what was said of a namespace."""
        await conn.execute(_Q["delete_acr_namespace"], instance_id, name)

    async def repositories(self, conn: Connection, repo_ids: Sequence[str]) -> Mapping[str, RepositoryNote]:
        """Returns what was said of repositories, by id."""
        rows = await conn.fetch(_Q["acr_repositories"], repo_ids)
        return {row["repo_id"]: _to_repository(row) for row in rows}

    async def put_repository(self, conn: Connection, repo_id: str, note: RepositoryNote) -> None:
        """Writes down what is said of a repository, or anew."""
        values = (note.repo_type, note.summary, note.detail, note.modified_at)
        await conn.execute(_Q["put_acr_repository"], repo_id, *values)


def _to_namespace(row: asyncpg.Record) -> NamespaceNote:
    return NamespaceNote(
        auto_create_repo=row["auto_create_repo"],
        default_repo_type=row["default_repo_type"],
        default_repo_configuration=row["default_repo_configuration"],
    )


def _to_repository(row: asyncpg.Record) -> RepositoryNote:
    return RepositoryNote(
        repo_type=row["repo_type"],
        summary=row["summary"],
        detail=row["detail"],
        modified_at=row["modified_at"],
    )
