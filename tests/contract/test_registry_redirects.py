"""Where a registry may send the client, and what it takes along."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator

import pytest

from services.kernel.model.access import RegistryAccess
from services.kernel.reasons import Reason, ScanFailure
from services.lab.faults import (
    Fault,
    Redirect,
)
from services.lab.image import build_image
from services.lab.push import push_image
from services.lab.registry import LabRegistry, serve_registry
from services.registry.limits import Timeouts
from tests.builders.images import (
    REPOSITORY,
    FixedNames,
    a_large_layer,
    layer_descriptor,
    read_blob,
    registry_source,
)
from tests.registries import lab_registry

MANIFESTS, BLOBS = "/v2/*/manifests/*", "/v2/*/blobs/*"
LAYER = a_large_layer()
LAYER_DESCRIPTOR = layer_descriptor(LAYER)


@pytest.fixture
async def lab() -> AsyncIterator[LabRegistry]:
    async with serve_registry() as registry:
        await push_image(open_access(registry), REPOSITORY, "1.0", build_image([LAYER]))
        registry.seen.clear()
        yield registry


def open_access(registry: LabRegistry) -> RegistryAccess:
    return RegistryAccess(address=registry.address, plain_http=True)


async def failure_of_blob(lab: LabRegistry, fault: Fault, *, timeouts: Timeouts | None = None) -> ScanFailure:
    lab.faults.add(BLOBS, fault)
    async with registry_source(open_access(lab), timeouts=timeouts) as source:
        with pytest.raises(ScanFailure) as caught:
            await read_blob(source, LAYER_DESCRIPTOR)
    return caught.value


async def test_credentials_do_not_follow_a_redirect_to_another_host() -> None:
    async with (
        lab_registry(basic_auth=True) as registry,
        serve_registry() as storage,
    ):
        assert registry.lab is not None
        await push_image(registry.access, REPOSITORY, "1.0", build_image([LAYER]))
        await push_image(open_access(storage), REPOSITORY, "1.0", build_image([LAYER]))
        storage.seen.clear()
        registry.lab.faults.add(BLOBS, Redirect(f"http://user:secret@{storage.address}{{path}}"))

        async with registry_source(registry.access) as source:
            assert await read_blob(source, LAYER_DESCRIPTOR) == LAYER.content

        assert registry.lab.seen[-1].headers["authorization"].startswith("Basic ")
        assert ["authorization" in seen.headers for seen in storage.seen] == [False]


async def test_credentials_stay_with_a_redirect_inside_the_registry() -> None:
    async with lab_registry(basic_auth=True) as registry:
        assert registry.lab is not None
        await push_image(registry.access, REPOSITORY, "1.0", build_image([LAYER]))
        registry.lab.faults.add(BLOBS, Redirect("{path}?again"), times=1)

        async with registry_source(registry.access) as source:
            assert await read_blob(source, LAYER_DESCRIPTOR) == LAYER.content


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1]/x",
        "http://[fd00:ec2::254]/x",
        "http://100.100.100.200/latest/meta-data/",
        "http://168.63.129.16/",
        "http://0.0.0.0:5000/",
        "http://[64:ff9b::a9fe:a9fe]/",
        f"http://{int(ipaddress.ip_address('169.254.169.254'))}/decimal",
        "ftp://example.invalid/x",
        "file:///etc/passwd",
        "http://[broken",
        "",
    ],
)
async def test_redirect_to_a_forbidden_place_is_refused(lab: LabRegistry, location: str) -> None:
    failure = await failure_of_blob(lab, Redirect(location))

    assert failure.why is Reason.REGISTRY_REDIRECT_REFUSED


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1%eth0", "::ffff:169.254.1.1"])
async def test_name_that_leads_to_a_forbidden_address_is_refused(lab: LabRegistry, address: str) -> None:
    lab.faults.add(BLOBS, Redirect("http://innocent.invalid{path}"))
    async with registry_source(open_access(lab), names=FixedNames(address)) as source:
        with pytest.raises(ScanFailure) as caught:
            await read_blob(source, LAYER_DESCRIPTOR)

    assert caught.value.why is Reason.REGISTRY_REDIRECT_REFUSED


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "0.0.0.0", "[64:ff9b::a9fe:a9fe]"])  # noqa: S104
async def test_registry_at_a_forbidden_address_is_never_asked(host: str) -> None:
    async with registry_source(RegistryAccess(address=f"{host}:5000", plain_http=True)) as source:
        with pytest.raises(ScanFailure) as caught:
            await source.head("1.0")

    assert caught.value.why is Reason.REGISTRY_REDIRECT_REFUSED
    assert "metadata" in caught.value.message


async def test_name_that_leads_elsewhere_is_followed(lab: LabRegistry) -> None:
    port = lab.address.partition(":")[2]
    lab.faults.add(BLOBS, Redirect(f"http://storage.invalid:{port}{{path}}"), times=1)
    async with registry_source(open_access(lab), names=FixedNames("127.0.0.1")) as source:
        assert await read_blob(source, LAYER_DESCRIPTOR) == LAYER.content


async def test_redirects_in_a_circle_are_refused(lab: LabRegistry) -> None:
    failure = await failure_of_blob(lab, Redirect("{path}"))

    assert failure.why is Reason.REGISTRY_REDIRECT_REFUSED
    assert len(lab.seen) == 6


async def test_signed_address_of_a_redirect_is_never_shown(lab: LabRegistry) -> None:
    async with lab_registry() as storage:
        assert storage.lab is not None
        target = f"http://{storage.access.address}/bucket?X-Signature=very-secret"
        failure = await failure_of_blob(lab, Redirect(target))

    assert failure.why is Reason.BLOB_NOT_FOUND
    assert "very-secret" not in failure.sentence() + str(failure.metadata)
