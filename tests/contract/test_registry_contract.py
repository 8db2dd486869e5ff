"""What every registry does, the lab's and the real one: the lab's is only worth something if it does the same."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import aiohttp
import pytest
from pydantic import SecretStr
from yarl import URL

from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import digest_of
from services.kernel.model.media import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from services.kernel.reasons import Reason, ScanFailure
from services.lab.events import CONTENT_TYPE, Endpoint
from services.lab.image import LINUX_AMD64, LINUX_ARM64, build_image, build_index
from services.lab.layer import Compression
from services.lab.push import open_push, push_blob, push_image, push_manifest
from services.registry.interface import Descriptor, ImageIndex
from services.registry.resolve import ResolvedImage, resolve
from tests.builders.images import (
    REPOSITORY,
    a_large_layer,
    a_layer,
    an_image,
    layer_descriptor,
    read_blob,
    registry_source,
    webhook_receiver,
)
from tests.registries import StartRegistry


@pytest.fixture
async def access(each_registry: StartRegistry) -> AsyncIterator[RegistryAccess]:
    async with each_registry() as running:
        yield running.access


async def test_pushed_image_is_resolved_by_tag_and_by_digest(access: RegistryAccess) -> None:
    image = an_image("base", "app")
    digest = await push_image(access, REPOSITORY, "1.0", image)

    async with registry_source(access) as source:
        head = await source.head("1.0")
        by_tag = await resolve(source, "1.0", None)
        by_digest = await resolve(source, digest, LINUX_AMD64)

    assert head == Descriptor(media_type=OCI_MANIFEST, digest=digest, size=len(image.manifest))
    assert isinstance(by_tag, ResolvedImage)
    assert by_tag == by_digest
    assert by_tag.config.diff_ids == tuple(layer.diff_id for layer in image.layers)
    assert [layer.digest for layer in by_tag.manifest.layers] == [layer.digest for layer in image.layers]


async def test_docker_manifest_is_served_with_its_own_media_type(access: RegistryAccess) -> None:
    await push_image(access, REPOSITORY, "docker", build_image([a_layer()], docker=True))

    async with registry_source(access) as source:
        head = await source.head("docker")
        resolved = await resolve(source, "docker", None)

    assert head.media_type == DOCKER_MANIFEST
    assert isinstance(resolved, ResolvedImage)


async def test_index_leads_to_every_platform(access: RegistryAccess) -> None:
    amd64, arm64 = an_image("amd64", platform=LINUX_AMD64), an_image("arm64", platform=LINUX_ARM64)
    index = build_index([amd64, arm64], attestations=True)
    await push_image(access, REPOSITORY, "multi", index)

    async with registry_source(access) as source:
        head = await source.head("multi")
        resolved = await resolve(source, "multi", None)
        one = await resolve(source, "multi", LINUX_ARM64)

    assert head.media_type == OCI_INDEX
    assert isinstance(resolved, ImageIndex)
    assert [child.platform for child in resolved.children] == [LINUX_AMD64, LINUX_ARM64]
    assert isinstance(one, ResolvedImage)
    assert one.manifest.digest == arm64.digest


@pytest.mark.parametrize("compression", Compression)
async def test_layers_come_back_byte_for_byte(access: RegistryAccess, compression: Compression) -> None:
    layer = a_layer("text", compression)
    await push_image(access, REPOSITORY, "1.0", build_image([layer]))

    async with registry_source(access) as source:
        assert await read_blob(source, layer_descriptor(layer)) == layer.content


async def test_missing_tag_is_not_found(access: RegistryAccess) -> None:
    await push_image(access, REPOSITORY, "1.0", an_image())

    async with registry_source(access) as source:
        for ask in (source.head, source.manifest):
            with pytest.raises(ScanFailure) as caught:
                await ask("2.0")
            assert caught.value.why is Reason.IMAGE_NOT_FOUND
            assert "team/app:2.0" in caught.value.message


async def test_missing_repository_and_digest_are_not_found(access: RegistryAccess) -> None:
    await push_image(access, REPOSITORY, "1.0", an_image())

    async with registry_source(access, repository="no/such") as source:
        with pytest.raises(ScanFailure) as no_repository:
            await source.manifest("1.0")
    async with registry_source(access) as source:
        with pytest.raises(ScanFailure) as no_digest:
            await source.manifest(digest_of(b"never pushed"))

    assert no_repository.value.why is no_digest.value.why is Reason.IMAGE_NOT_FOUND


async def test_missing_blob_has_its_own_reason(access: RegistryAccess) -> None:
    await push_image(access, REPOSITORY, "1.0", an_image())
    lost = Descriptor(media_type="", digest=digest_of(b"lost"), size=4)

    async with registry_source(access) as source:
        with pytest.raises(ScanFailure) as caught:
            await read_blob(source, lost)

    assert caught.value.why is Reason.BLOB_NOT_FOUND


async def test_size_that_the_manifest_gets_wrong_is_a_mismatch(access: RegistryAccess) -> None:
    layer = a_layer()
    await push_image(access, REPOSITORY, "1.0", build_image([layer]))
    wrong = Descriptor(media_type="", digest=layer.digest, size=len(layer.content) + 1)

    async with registry_source(access) as source:
        with pytest.raises(ScanFailure) as caught:
            await read_blob(source, wrong)

    assert caught.value.why is Reason.DIGEST_MISMATCH


async def test_credentials_are_wanted_and_used(each_registry: StartRegistry) -> None:
    async with each_registry(basic_auth=True) as running:
        await push_image(running.access, REPOSITORY, "1.0", an_image())
        async with registry_source(running.access) as source:
            assert isinstance(await resolve(source, "1.0", None), ResolvedImage)

        anonymous = RegistryAccess(address=running.access.address, plain_http=True)
        wrong = RegistryAccess(
            address=running.access.address, plain_http=True, username="lab", password=SecretStr("wr0ng-secret")
        )
        for access, told in ((anonymous, "there are none"), (wrong, "refused the user name")):
            async with registry_source(access) as source:
                with pytest.raises(ScanFailure) as caught:
                    await source.head("1.0")
            assert caught.value.why is Reason.REGISTRY_UNAUTHORIZED
            assert told in caught.value.message
            assert "wr0ng-secret" not in caught.value.sentence()


async def test_part_of_a_blob_is_served_by_range(access: RegistryAccess) -> None:
    layer = a_large_layer()
    await push_image(access, REPOSITORY, "1.0", build_image([layer]))

    async with open_push(access) as client:
        path = f"/v2/{REPOSITORY}/blobs/{layer.digest}"
        async with client.get(path, headers={"Range": "bytes=1000-"}) as response:
            assert response.status == 206
            assert response.headers["Content-Range"] == f"bytes 1000-{len(layer.content) - 1}/{len(layer.content)}"
            assert await response.read() == layer.content[1000:]


async def test_blob_is_pushed_in_chunks(access: RegistryAccess) -> None:
    content = bytes(range(256)) * 40
    async with open_push(access) as client:
        async with client.post(f"/v2/{REPOSITORY}/blobs/uploads/") as response:
            location = response.headers["Location"]
        for start, end in itertools.pairwise((0, 4096, len(content))):
            location = await _patch(client, location, content, start, end)
        async with client.put(URL(location).update_query(digest=digest_of(content))) as response:
            assert response.status == 201
        async with client.get(f"/v2/{REPOSITORY}/blobs/{digest_of(content)}") as response:
            assert await response.read() == content


async def _patch(client: aiohttp.ClientSession, location: str, content: bytes, start: int, end: int) -> str:
    headers = {"Content-Type": "application/octet-stream", "Content-Range": f"{start}-{end - 1}"}
    async with client.patch(location, data=content[start:end], headers=headers) as response:
        assert response.status == 202
        assert response.headers["Range"] == f"0-{end - 1}"
        return response.headers["Location"]


async def test_blob_with_another_digest_is_refused(access: RegistryAccess) -> None:
    async with open_push(access) as client:
        async with client.post(f"/v2/{REPOSITORY}/blobs/uploads/") as response:
            location = URL(response.headers["Location"])
        async with client.put(location.update_query(digest=digest_of(b"other")), data=b"content") as response:
            assert response.status == 400
            assert (await response.json())["errors"][0]["code"] == "DIGEST_INVALID"


async def test_blob_is_mounted_from_another_repository(access: RegistryAccess) -> None:
    layer = a_layer()
    await push_image(access, REPOSITORY, "1.0", build_image([layer]))

    async with open_push(access) as client:
        query = {"mount": layer.digest, "from": REPOSITORY}
        async with client.post("/v2/other/app/blobs/uploads/", params=query) as response:
            assert response.status == 201
        async with client.head(f"/v2/other/app/blobs/{layer.digest}") as response:
            assert response.status == 200


async def test_manifest_without_its_blobs_is_refused(access: RegistryAccess) -> None:
    image = an_image()
    async with open_push(access) as client:
        headers = {"Content-Type": image.media_type}
        path = f"/v2/{REPOSITORY}/manifests/1.0"
        async with client.put(path, data=image.manifest, headers=headers) as response:
            assert response.status == 400
            assert (await response.json())["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"


async def test_tags_and_repositories_are_listed(access: RegistryAccess) -> None:
    for tag in ("1.0", "2.0", "3.0"):
        await push_image(access, REPOSITORY, tag, an_image(tag))
    await push_image(access, "zoo", "1", an_image())

    async with open_push(access) as client:
        async with client.get(f"/v2/{REPOSITORY}/tags/list") as response:
            tags = await response.json()
        async with client.get("/v2/_catalog", params={"n": "1"}) as response:
            first, link = await response.json(), response.headers["Link"]

    assert tags["name"] == REPOSITORY
    assert sorted(tags["tags"]) == ["1.0", "2.0", "3.0"]  # distribution 2.8 lists them in no order
    assert first == {"repositories": [REPOSITORY]}
    assert 'rel="next"' in link


async def test_deleted_manifest_takes_its_tags_along(access: RegistryAccess) -> None:
    digest = await push_image(access, REPOSITORY, "1.0", an_image())

    async with open_push(access) as client, client.delete(f"/v2/{REPOSITORY}/manifests/{digest}") as response:
        assert response.status == 202
    async with registry_source(access) as source:
        with pytest.raises(ScanFailure) as caught:
            await source.head("1.0")

    assert caught.value.why is Reason.IMAGE_NOT_FOUND


async def test_oci_manifest_is_hidden_from_who_does_not_accept_it(access: RegistryAccess) -> None:
    await push_image(access, REPOSITORY, "1.0", an_image())

    async with open_push(access) as client:
        path = f"/v2/{REPOSITORY}/manifests/1.0"
        async with client.get(path, headers={"Accept": DOCKER_MANIFEST}) as response:
            assert response.status == 404


async def test_push_is_notified_even_when_the_receiver_was_down(each_registry: StartRegistry) -> None:
    image = an_image()
    async with webhook_receiver(refuse_first=2) as receiver:
        headers = {"Authorization": "Bearer lab-secret"}
        endpoint = Endpoint(url=receiver.url, headers=headers, backoff_seconds=0.05)
        async with each_registry(notify=endpoint) as running:
            await push_image(running.access, REPOSITORY, "1.0", image)
            notification, event = await receiver.next_event("push")

    assert receiver.refused == 2
    # Version 3 calls the envelope v2, lists no references unless told to, and is otherwise the same.
    assert notification.content_type in (CONTENT_TYPE, CONTENT_TYPE.replace("v1", "v2"))
    assert notification.authorization == "Bearer lab-secret"
    assert set(event) >= {"id", "timestamp", "action", "target", "request", "actor", "source"}
    target = event["target"]
    assert isinstance(target, dict)
    references = target.pop("references", None)
    assert target == {
        "mediaType": OCI_MANIFEST,
        "size": len(image.manifest),
        "digest": image.digest,
        "length": len(image.manifest),
        "repository": REPOSITORY,
        "url": f"http://{running.access.address}/v2/{REPOSITORY}/manifests/{image.digest}",
        "tag": "1.0",
    }
    assert references is None or [reference["digest"] for reference in references] == list(image.blobs)


async def test_index_push_is_notified_once_with_the_tag(each_registry: StartRegistry) -> None:
    index = build_index([an_image("a"), an_image("b", platform=LINUX_ARM64)])
    async with webhook_receiver() as receiver, each_registry(notify=Endpoint(url=receiver.url)) as running:
        await push_image(running.access, REPOSITORY, "multi", index)
        _, event = await receiver.next_event("push")

    target = event["target"]
    assert isinstance(target, dict)
    assert (target["digest"], target["tag"], target["mediaType"]) == (index.digest, "multi", OCI_INDEX)


async def test_manifest_is_pushed_by_digest_without_a_tag(access: RegistryAccess) -> None:
    image = an_image()
    async with open_push(access) as client:
        for digest, content in image.blobs.items():
            await push_blob(client, REPOSITORY, digest, content)
        answer = await push_manifest(client, REPOSITORY, image.digest, image.media_type, image.manifest)

    assert answer["Docker-Content-Digest"] == image.digest
