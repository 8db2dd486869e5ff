"""The operator's list of repositories: for a distribution that it names, it stands in place of the image's own.

A TOML file with one table for each repository:

    [[repository]]
    distribution = "debian"                     # ID of os-release(5)
    release = "12"                              # VERSION_ID; left out: every release
    address = "https://mirror.example/debian-security"
    suite = "bookworm-security"                 # of apt
    components = ["main"]                       # of apt
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

import msgspec
from yarl import URL

from services.fixer.plan.packages import Release, RepositoryRef, Survey
from services.kernel.errors import invalid

_MAX_BYTES: Final = 1 << 20


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    distribution: str
    address: str
    release: str = ""
    suite: str = ""
    components: tuple[str, ...] = ()
    name: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    repository: tuple[_Table, ...] = ()


class ConfiguredRepositories:
    """Which repositories a survey is answered from."""

    def __init__(self, tables: tuple[_Table, ...] = ()) -> None:
        self._tables = tables

    def of(self, survey: Survey) -> tuple[RepositoryRef, ...]:
        """Returns the operator's repositories of the image's distribution, else those that the image names."""
        return self._named(survey.release) or survey.repositories

    def _named(self, release: Release) -> tuple[RepositoryRef, ...]:
        return tuple(
            RepositoryRef(
                address=table.address.rstrip("/"),
                suite=table.suite,
                components=table.components,
                name=table.name,
            )
            for table in self._tables
            if table.distribution == release.id and table.release in ("", release.version)
        )


def read_repositories(file: Path | None) -> ConfiguredRepositories:
    """Reads the operator's file; None is no file.

    Raises:
        ServiceError: INVALID_SETTING naming what is wrong with it.
    """
    if file is None:
        return ConfiguredRepositories()
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise _wrong(file, f"it has more than {_MAX_BYTES:,} bytes")
        tables = msgspec.convert(tomllib.loads(content.decode()), _File).repository
    except OSError as error:
        raise _wrong(file, f"it cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise _wrong(file, str(error)[:200]) from error
    for table in tables:
        address = URL(table.address)
        if address.scheme not in ("http", "https") or not address.host or address.user or address.query_string:
            raise _wrong(file, f"the address of {table.distribution[:40]} is none such as https://HOST/PATH")
    return ConfiguredRepositories(tables)


def _wrong(file: Path, what: str) -> Exception:
    return invalid(
        "INVALID_SETTING",
        f"The list of repositories {file} cannot be used: {what}.",
        field="DRYDOCK_FIXER_REPOSITORIES_FILE",
        hint="It is TOML: [[repository]] with distribution, address and, for apt, suite and components.",
    )
