"""Instances, namespaces, repositories and tags in the reference's words, over real gRPC and a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.client import translated_errors
from services.rules.api import Edition, NewInstance
from services.scanner.api import SeenTag
from tests.builders.edge import Edge, acr_edge
from tests.fakes.scanner import DIGEST


@pytest.fixture
async def edge(database: str) -> AsyncIterator[Edge]:
    async with acr_edge(database) as edge:
        yield edge


async def failure_of(call: Awaitable[object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught, translated_errors():
        await call
    return caught.value


async def test_instances_are_shown_with_the_types_of_the_reference(edge: Edge) -> None:
    await edge.rules.create_instance(
        NewInstance(name="mine", address="r:5000", private_address="p:5000", edition=Edition.PERSONAL)
    )
    one = await edge.acr.GetInstance(pb.GetInstanceRequest(instance_id=edge.instance.instance_id))
    listed = await edge.acr.ListInstance(pb.ListInstanceRequest(page_size=1, page_no=2))
    named = await edge.acr.ListInstance(pb.ListInstanceRequest(instance_name="lab"))
    none = await edge.acr.ListInstance(pb.ListInstanceRequest(instance_status="STOPPED"))

    assert (one.instance_name, one.instance_specification, one.instance_status) == (
        "lab",
        "Enterprise_Advanced",
        "RUNNING",
    )
    assert listed.total_count == 2
    assert [(each.instance_name, each.instance_specification) for each in listed.instances] == [
        ("mine", "Personal")
    ]
    assert named.instances[0].create_time == str(one.create_time)
    assert (none.total_count, len(none.instances)) == (0, 0)


async def test_both_addresses_of_an_instance_are_its_endpoints(edge: Edge) -> None:
    made = await edge.rules.create_instance(NewInstance(name="two", address="r:5000", private_address="p:5000"))
    ask = pb.ListInstanceEndpointRequest(instance_id=made.instance_id)
    found = await edge.acr.ListInstanceEndpoint(ask)
    charts = await edge.acr.ListInstanceEndpoint(
        pb.ListInstanceEndpointRequest(instance_id=made.instance_id, module_name="Chart")
    )

    assert [(each.endpoint_type, each.domains[0].domain) for each in found.endpoints] == [
        ("internet", "r:5000"),
        ("vpc", "p:5000"),
    ]
    assert not charts.endpoints


async def test_a_namespace_lives(edge: Edge) -> None:
    names: dict[str, Any] = {"instance_id": edge.instance.instance_id, "namespace_name": "shop"}
    await edge.acr.CreateNamespace(
        pb.CreateNamespaceRequest(
            **names,
            auto_create_repo=False,
            default_repo_type="PUBLIC",
            default_repo_configuration=pb.RepoConfiguration(repo_type="PRIVATE"),
        )
    )
    again = await failure_of(edge.acr.CreateNamespace(pb.CreateNamespaceRequest(**names)))
    made = await edge.acr.GetNamespace(pb.GetNamespaceRequest(**names))
    await edge.acr.UpdateNamespace(pb.UpdateNamespaceRequest(**names, default_repo_type="PRIVATE"))
    by_id = await edge.acr.GetNamespace(
        pb.GetNamespaceRequest(instance_id=edge.instance.instance_id, namespace_id=made.namespace_id)
    )
    listed = await edge.acr.ListNamespace(pb.ListNamespaceRequest(instance_id=edge.instance.instance_id))
    await edge.acr.DeleteNamespace(pb.DeleteNamespaceRequest(**names))
    gone = await failure_of(edge.acr.GetNamespace(pb.GetNamespaceRequest(**names)))

    assert again.reason == "NAMESPACE_ALREADY_EXIST"
    assert (made.auto_create_repo, made.default_repo_type) == (False, "PUBLIC")
    assert made.namespace_id.startswith("crn-")
    assert (by_id.namespace_name, by_id.default_repo_type, by_id.auto_create_repo) == ("shop", "PRIVATE", False)
    assert by_id.default_repo_configuration.repo_type == "PRIVATE"
    # `team` was never written down: a repository is in it.
    assert ([each.namespace_name for each in listed.namespaces], listed.total_count) == (["shop", "team"], "2")
    assert (gone.kind, gone.reason) == (Kind.NOT_FOUND, "NAMESPACE_NOT_EXIST")


async def test_a_namespace_with_repositories_is_not_forgotten(edge: Edge) -> None:
    names = {"instance_id": edge.instance.instance_id, "namespace_name": "team"}

    error = await failure_of(edge.acr.DeleteNamespace(pb.DeleteNamespaceRequest(**names)))

    assert (error.kind, error.reason) == (Kind.FAILED_PRECONDITION, "NAMESPACE_NOT_EMPTY")


@pytest.mark.parametrize("name", ["a", "A" * 3, "-ab", "ab-", "a" * 121, "a\0b"])
async def test_a_name_that_is_none_is_refused(edge: Edge, name: str) -> None:
    request = pb.CreateNamespaceRequest(instance_id=edge.instance.instance_id, namespace_name=name)

    assert (await failure_of(edge.acr.CreateNamespace(request))).reason == "INVALID_NAMESPACE_NAME"


async def test_a_repository_is_made_known_before_anybody_has_pushed(edge: Edge) -> None:
    names: dict[str, Any] = {"instance_id": edge.instance.instance_id, "repo_namespace_name": "shop"}
    said: dict[str, Any] = {**names, "repo_name": "web", "repo_type": "PUBLIC", "summary": "The shop"}
    made = await edge.acr.CreateRepository(pb.CreateRepositoryRequest(**said, detail="All of it"))
    again = await failure_of(edge.acr.CreateRepository(pb.CreateRepositoryRequest(**said)))
    await edge.acr.UpdateRepository(
        pb.UpdateRepositoryRequest(
            instance_id=edge.instance.instance_id, repo_id=made.repo_id, repo_type="PRIVATE", summary="Shop"
        )
    )
    found = await edge.acr.GetRepository(pb.GetRepositoryRequest(**names, repo_name="web"))

    assert made.repo_id.startswith("crr-")
    assert again.reason == "REPO_ALREADY_EXIST"
    assert (found.repo_id, found.repo_type, found.summary, found.detail) == (made.repo_id, "PRIVATE", "Shop", "")


async def test_a_list_of_repositories_goes_on_by_page_and_by_token(edge: Edge) -> None:
    for name in ("b", "c", "d"):
        await edge.rules.see_repository(edge.instance.instance_id, "team", name)
    instance: dict[str, Any] = {"instance_id": edge.instance.instance_id}
    second = await edge.acr.ListRepository(pb.ListRepositoryRequest(**instance, page_no=2, page_size=3))
    begun = await edge.acr.ListRepository(pb.ListRepositoryRequest(**instance, max_results=3))
    ended = await edge.acr.ListRepository(
        pb.ListRepositoryRequest(**instance, max_results=3, next_token=begun.next_token)
    )
    past = await edge.acr.ListRepository(pb.ListRepositoryRequest(**instance, page_no=9))
    bad = await failure_of(edge.acr.ListRepository(pb.ListRepositoryRequest(**instance, next_token="x")))

    assert ([each.repo_name for each in second.repositories], second.total_count) == (["d"], "4")
    assert [each.repo_name for each in begun.repositories] == ["app", "b", "c"]
    assert ([each.repo_name for each in ended.repositories], ended.next_token) == (["d"], "")
    assert (len(past.repositories), past.total_count) == (0, "4")
    assert bad.kind is Kind.INVALID_ARGUMENT


async def test_tags_are_those_that_were_seen(edge: Edge) -> None:
    edge.scanner.tags = (SeenTag(tag="1.0", digest=DIGEST, seen_at=edge.clock.now(), pulled_at=None),)
    names: dict[str, Any] = {"instance_id": edge.instance.instance_id, "repo_id": edge.repository.repo_id}
    listed = await edge.acr.ListRepoTag(pb.ListRepoTagRequest(**names))
    one = await edge.acr.GetRepoTag(pb.GetRepoTagRequest(**names, tag="1.0"))
    none = await failure_of(edge.acr.GetRepoTag(pb.GetRepoTagRequest(**names, tag="2.0")))

    assert [(each.tag, each.digest) for each in listed.images] == [("1.0", "d" * 64)]
    assert listed.images[0].image_update == str(one.image_update) != "0"
    assert not one.HasField("image_size")
    assert none.reason == "TAG_NOT_EXIST"


async def test_what_would_change_the_registry_or_give_its_password_away_is_refused(edge: Edge) -> None:
    instance = edge.instance.instance_id
    calls: list[tuple[Awaitable[object], str]] = [
        (
            edge.acr.GetAuthorizationToken(pb.GetAuthorizationTokenRequest(instance_id=instance)),
            "AUTHORIZATION_TOKEN_NOT_SUPPORTED",
        ),
        (edge.acr.DeleteRepoTag(pb.DeleteRepoTagRequest(instance_id=instance)), "REGISTRY_NOT_WRITTEN_TO"),
        (edge.acr.CreateRepoTag(pb.CreateRepoTagRequest(instance_id=instance)), "REGISTRY_NOT_WRITTEN_TO"),
        (
            edge.acr.DeleteRepository(
                pb.DeleteRepositoryRequest(instance_id=instance, repo_id=edge.repository.repo_id)
            ),
            "REGISTRY_NOT_WRITTEN_TO",
        ),
        (
            edge.acr.CreateRepository(
                pb.CreateRepositoryRequest(
                    instance_id=instance,
                    repo_namespace_name="a",
                    repo_name="b",
                    repo_type="PUBLIC",
                    summary="s",
                    tag_immutability=True,
                )
            ),
            "TAG_IMMUTABILITY_NOT_SUPPORTED",
        ),
    ]

    for call, reason in calls:
        error = await failure_of(call)
        assert (error.kind, error.reason) == (Kind.FAILED_PRECONDITION, reason)
        assert error.hint
