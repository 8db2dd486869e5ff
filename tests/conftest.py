"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings

from tests.buses import OpenBus, SessionBroker, fresh_topic, postgres_bus, session_broker
from tests.databases import fresh_database, session_server
from tests.lending import Databases
from tests.nodes import node_clients
from tests.registries import StartRegistry, lab_registry, real_registry, registry_program
from tests.trivies import trivy_programs

_FEW = 100


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL that lives as long as the session."""
    with session_server(tmp_path_factory.mktemp("pg")) as url:
        yield url


@pytest.fixture(scope="session")
def databases(database_server: str) -> Databases:
    """Databases to be lent to one test after the other."""
    return Databases(database_server)


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[str]:
    """The URL of a database of the test's own: schemas up to date, no rows but those of migrations."""
    async with databases.lent() as url:
        yield url


@pytest.fixture
async def empty_database(database_server: str) -> AsyncIterator[str]:
    """The URL of a database of the test's own with nothing in it, as an operator makes it."""
    async with fresh_database(database_server) as url:
        yield url


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionBroker]:
    """A real Apache Kafka broker that lives as long as the session; a test that takes it down starts it again."""
    with session_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def topic() -> str:
    """A topic of the test's own."""
    return fresh_topic()


@pytest.fixture(params=["postgres", pytest.param("kafka", marks=pytest.mark.slow)])
def each_bus(request: pytest.FixtureRequest) -> OpenBus:
    """Opens a bus: every test that takes this runs on PostgreSQL and on Kafka."""
    if request.param == "kafka":
        broker: SessionBroker = request.getfixturevalue("kafka")
        return broker.bus
    database: str = request.getfixturevalue("database")
    return lambda topic: postgres_bus(database)


@pytest.fixture(params=["lab", pytest.param("real", marks=[pytest.mark.slow, pytest.mark.real_registry])])
def each_registry(request: pytest.FixtureRequest, tmp_path: Path) -> StartRegistry:
    """Starts a registry: every test that takes this runs against the lab's and against the real one."""
    if request.param == "lab":
        return lab_registry
    return partial(real_registry, registry_program(), tmp_path)


@pytest.fixture(scope="session")
def trivy() -> Path:
    """The folder with real Trivy and the writer of its database; skipped where they cannot be built."""
    folder = trivy_programs()
    if folder is None:
        pytest.skip("real Trivy cannot be built here: see what `make trivy` says")
    return folder


def pytest_configure() -> None:
    """Takes the deadline from property tests: on a busy machine an example would fail for nothing.

    FUZZ_EXAMPLES, which `make fuzz` sets, is how many examples each of them tries.
    """
    examples = int(os.environ.get("FUZZ_EXAMPLES", "100"))
    settings.register_profile("drydock", deadline=None, max_examples=examples, print_blob=examples > _FEW)
    settings.load_profile("drydock")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds real programs before the first test: it takes longer than a test may."""
    if session.config.option.collectonly:
        return
    programs = (
        ("real_registry", registry_program),
        ("real_trivy", trivy_programs),
        ("node_clients", node_clients),
    )
    for marker, build in programs:
        if any(item.get_closest_marker(marker) for item in session.items):
            build()
