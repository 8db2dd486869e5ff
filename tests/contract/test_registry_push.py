"""What every registry must let us write, and how it tells that it does not: the lab's and the real one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.kernel.model.digest import digest_of
from services.kernel.reasons import Reason, ScanFailure
from services.lab.faults import Disconnect, Redirect, Status, WithHeader, WithoutHeader
from services.lab.image import BuiltImage
from services.lab.push import push_image
from services.lab.tokens import serve_tokens
from services.registry.interface import Descriptor
from services.registry.push import RegistryPush
from services.registry.referrers import EMPTY, artifact, attach, fallback_tag, referrers
from services.registry.refusals import PushRefused, Refused
from tests.builders.images import REPOSITORY, Waits, an_image
from tests.builders.pushing import a_blob, a_manifest, a_push
from tests.registries import StartRegistry, lab_registry, real_registry, registry_program

CONTENT = random.Random(7).randbytes(700_000)


async def push(client: RegistryPush, image: BuiltImage, reference: str) -> None:
    for content in image.blobs.values():
        await client.upload(a_blob(content), content)
    await client.put_manifest(a_manifest(image.media_type, image.manifest), reference)


@pytest.mark.parametrize("chunk_bytes", [64 << 20, 300_000])
async def test_a_file_goes_up_in_one_piece_or_in_several(
    each_registry: StartRegistry, tmp_path: Path, chunk_bytes: int
) -> None:
    file = tmp_path / "blob"
    file.write_bytes(CONTENT)
    async with each_registry() as registry, a_push(registry.access, chunk_bytes=chunk_bytes) as client:
        blob = a_blob(CONTENT)

        assert not await client.has_blob(blob.digest)
        await client.upload(blob, file)

        assert await client.has_blob(blob.digest)
        async with client.source.blob(blob) as chunks:
            assert b"".join([chunk async for chunk in chunks]) == CONTENT


async def test_a_manifest_is_written_by_digest_and_then_to_a_tag(each_registry: StartRegistry) -> None:
    image = an_image()
    async with each_registry() as registry, a_push(registry.access) as client:
        await push(client, image, image.digest)
        assert (await client.source.head(image.digest)).digest == image.digest
        with pytest.raises(ScanFailure):
            await client.source.head("1.0")

        await push(client, image, "1.0")

        assert (await client.source.head("1.0")).digest == image.digest


async def test_a_blob_of_another_repository_is_mounted(each_registry: StartRegistry) -> None:
    image = an_image()
    async with each_registry() as registry, a_push(registry.access, repository="team/copy") as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        layer = image.layers[0].digest

        assert await client.mount(layer, REPOSITORY)
        assert await client.has_blob(layer)
        assert not await client.mount(digest_of(b"nothing"), REPOSITORY)


async def test_tokens_are_asked_for_with_the_right_to_push(each_registry: StartRegistry) -> None:
    image = an_image()
    async with (
        serve_tokens(users={"lab": "labpass"}) as tokens,
        each_registry(tokens=tokens) as registry,
        a_push(registry.access) as client,
        a_push(registry.access, repository="team/copy") as other,
    ):
        await push(client, image, "1.0")
        assert (await client.source.head("1.0")).digest == image.digest
        assert await other.mount(image.layers[0].digest, REPOSITORY)


@pytest.mark.parametrize("password", ["wrong", ""])
async def test_whoever_may_not_push_is_told_so(each_registry: StartRegistry, password: str) -> None:
    async with each_registry(basic_auth=True) as registry:
        username = "lab" if password else ""
        access = type(registry.access)(
            address=registry.access.address, plain_http=True, username=username, password=SecretStr(password)
        )
        async with a_push(access) as client:
            with pytest.raises(PushRefused) as caught:
                await client.upload(a_blob(b"x"), b"x")

    assert caught.value.why is Refused.PUSH_REFUSED
    assert password not in caught.value.message or not password


async def test_what_is_attached_is_found_by_its_subject(each_registry: StartRegistry) -> None:
    image = an_image()
    async with each_registry() as registry, a_push(registry.access) as client:
        await push(client, image, "1.0")
        subject = Descriptor(media_type=image.media_type, digest=image.digest, size=len(image.manifest))
        vex = b'{"vex":1}'
        for content in (EMPTY, vex):
            await client.upload(a_blob(content), content)
        first = artifact(subject, "application/vex+json", [a_blob(vex, "application/vex+json")], {"a": "b"})
        second = artifact(subject, "application/other", [a_blob(vex)])

        assert await referrers(client, image.digest) == ()
        for raw in (first, second, first):
            await attach(client, image.digest, raw)

        found = await referrers(client, image.digest)
        assert {each.descriptor.digest for each in found} == {first.digest, second.digest}
        only = await referrers(client, image.digest, "application/vex+json")
        assert [(each.descriptor.digest, each.annotations) for each in only] == [(first.digest, {"a": "b"})]


async def test_a_registry_that_lists_referrers_itself_gets_no_tag_for_them() -> None:
    image = an_image()
    subject = Descriptor(media_type=image.media_type, digest=image.digest, size=len(image.manifest))
    raw = artifact(subject, "application/x", [])
    listed = b'{"manifests":[{"mediaType":"m","digest":"%s","size":3,"artifactType":"application/x"}]}'
    async with lab_registry() as registry, a_push(registry.access) as client:
        await push(client, image, "1.0")
        await client.upload(a_blob(EMPTY), EMPTY)
        assert registry.lab is not None
        path = f"/v2/{REPOSITORY}/referrers/{image.digest}"
        registry.lab.faults.add(path, Status(code=200, body=listed % raw.digest.encode()))
        registry.lab.faults.add("*/manifests/*", WithHeader("OCI-Subject", image.digest), methods=["PUT"], times=1)

        assert await attach(client, image.digest, raw)

        assert [each.descriptor.digest for each in await referrers(client, image.digest)] == [raw.digest]
        assert fallback_tag(image.digest) not in (await client.source.tags()).names


@pytest.mark.slow
@pytest.mark.real_registry
async def test_a_registry_in_maintenance_is_read_only(tmp_path: Path) -> None:
    image = an_image()
    program = registry_program()
    async with real_registry(program, tmp_path) as registry:
        await push_image(registry.access, REPOSITORY, "1.0", image)
    async with real_registry(program, tmp_path, read_only=True) as registry, a_push(registry.access) as client:
        for call in (
            client.upload(a_blob(b"x"), b"x"),
            client.put_manifest(a_manifest(image.media_type, image.manifest), "2.0"),
        ):
            with pytest.raises(PushRefused) as caught:
                await call
            assert caught.value.why is Refused.REGISTRY_READ_ONLY
        assert (await client.source.tags()).names == ("1.0",)


def told(code: str, message: str) -> bytes:
    return b'{"errors":[{"code":"%s","message":"%s"}]}' % (code.encode(), message.encode())


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (
            412,
            told("PRECONDITION", "Failed to process request due to 'a:1' configured as immutable."),
            "TAG_IMMUTABLE",
        ),
        (
            400,
            told(
                "TAG_INVALID", "The image tag '1' already exists in the 'a' repository and cannot be overwritten"
            ),
            "TAG_IMMUTABLE",
        ),
        (403, told("DENIED", "The requested tag already exists and cannot be overwritten."), "TAG_IMMUTABLE"),
        (
            400,
            told("MANIFEST_INVALID", "cannot update tag 1. The repository has enabled tag immutability"),
            "TAG_IMMUTABLE",
        ),
        (
            405,
            told("UNKNOWN", "The operation is disallowed on this registry, repository or image."),
            "REGISTRY_READ_ONLY",
        ),
        (
            409,
            told("UNKNOWN", "The operation is disallowed on this registry, repository or image."),
            "TAG_IMMUTABLE",
        ),
        (
            403,
            told("DENIED", "The system is in read only mode. Any modification is prohibited."),
            "REGISTRY_READ_ONLY",
        ),
        (405, told("DENIED", "System is currently read-only. Pulls will succeed"), "REGISTRY_READ_ONLY"),
        (405, told("UNSUPPORTED", "The operation is unsupported."), "REGISTRY_READ_ONLY"),
        (503, b"the registry is read-only for maintenance", "REGISTRY_READ_ONLY"),
        (403, told("DENIED", "requested access to the resource is denied"), "PUSH_REFUSED"),
        (400, told("MANIFEST_INVALID", "manifest invalid"), "PUSH_REFUSED"),
        (404, told("NAME_UNKNOWN", "the repository does not exist"), "PUSH_REFUSED"),
        (413, b"", "PUSH_REFUSED"),
    ],
)
async def test_refusals_are_told_apart(status: int, body: bytes, why: str) -> None:
    image = an_image()
    async with lab_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        assert registry.lab is not None
        registry.lab.faults.add("*/manifests/*", Status(code=status, body=body), methods=["PUT"])
        with pytest.raises(PushRefused) as caught:
            await client.put_manifest(a_manifest(image.media_type, image.manifest), "1.0")

    assert caught.value.why is Refused(why)
    assert "disallowed" not in caught.value.message  # what a registry says in its own words goes nowhere


@pytest.mark.parametrize(
    ("chunk_bytes", "method", "fault"),
    [
        (300_000, "POST", Status(code=503)),
        (300_000, "POST", Disconnect()),
        (300_000, "PATCH", Disconnect()),
        (300_000, "PATCH", Status(code=416)),
        (300_000, "PUT", Status(code=404, body=told("BLOB_UPLOAD_UNKNOWN", ""))),
        (300_000, "PUT", Status(code=400, body=told("DIGEST_INVALID", ""))),
        (300_000, "PUT", Disconnect()),
        (64 << 20, "PUT", Disconnect()),
    ],
)
async def test_an_upload_that_is_cut_begins_again(
    chunk_bytes: int, method: str, fault: Disconnect | Status
) -> None:
    waits = Waits()
    async with lab_registry() as registry:
        assert registry.lab is not None
        async with a_push(registry.access, chunk_bytes=chunk_bytes, waits=waits) as client:
            registry.lab.faults.add("*/uploads/*", fault, methods=[method], times=1)
            await client.upload(a_blob(CONTENT), CONTENT)

            assert await client.has_blob(digest_of(CONTENT))
    assert len(waits.seconds) <= 1


async def test_an_upload_goes_to_another_host_without_credentials() -> None:
    async with lab_registry(basic_auth=True) as registry, lab_registry(basic_auth=True) as elsewhere:
        assert registry.lab is not None
        assert elsewhere.lab is not None
        location = f"http://{elsewhere.access.address}/v2/{REPOSITORY}/blobs/uploads/1"
        registry.lab.faults.add("*/uploads/*", WithHeader("Location", location), methods=["POST"])
        async with a_push(registry.access) as client:
            with pytest.raises((PushRefused, ScanFailure)):
                await client.upload(a_blob(b"x"), b"x")

        assert {each.method for each in elsewhere.lab.seen} == {"PUT"}
        assert all("authorization" not in each.headers for each in elsewhere.lab.seen)


@pytest.mark.parametrize("location", ["http://169.254.169.254/upload", "ftp://x/", ""])
async def test_an_upload_that_is_to_go_where_nothing_goes_is_refused(location: str) -> None:
    async with lab_registry() as registry:
        assert registry.lab is not None
        fault = WithHeader("Location", location) if location else WithoutHeader("Location")
        registry.lab.faults.add("*/uploads/*", fault, methods=["POST"])
        async with a_push(registry.access) as client:
            with pytest.raises(ScanFailure) as caught:
                await client.upload(a_blob(b"x"), b"x")

    expected = Reason.REGISTRY_REDIRECT_REFUSED if location else Reason.REGISTRY_ERROR
    assert caught.value.why is expected


async def test_what_is_written_follows_only_redirects_that_keep_the_request() -> None:
    async with lab_registry() as registry, lab_registry() as elsewhere:
        assert registry.lab is not None
        faults = registry.lab.faults
        faults.add("*/uploads/", Redirect(f"http://{elsewhere.access.address}{{path}}"), methods=["POST"], times=1)
        faults.add("*/uploads/", Redirect(f"http://{elsewhere.access.address}{{path}}", 302), methods=["POST"])
        async with a_push(registry.access) as client:
            await client.upload(a_blob(b"x"), b"x")
            with pytest.raises(PushRefused):
                await client.upload(a_blob(b"y"), b"y")


async def test_a_registry_that_took_something_else_is_found_out() -> None:
    image = an_image()
    async with lab_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        assert registry.lab is not None
        lie = WithHeader("Docker-Content-Digest", digest_of(b"other"))
        registry.lab.faults.add("*/manifests/*", lie, methods=["PUT"])
        with pytest.raises(ScanFailure) as caught:
            await client.put_manifest(a_manifest(image.media_type, image.manifest), "1.0")

    assert caught.value.why is Reason.DIGEST_MISMATCH


async def test_a_manifest_of_what_the_registry_has_not_is_not_taken(each_registry: StartRegistry) -> None:
    image = an_image()
    async with each_registry() as registry, a_push(registry.access) as client:
        with pytest.raises(ScanFailure) as caught:
            await client.put_manifest(a_manifest(image.media_type, image.manifest), "1.0")

    assert caught.value.why is Reason.BLOB_NOT_FOUND


async def test_a_file_that_changed_is_not_taken_for_what_it_was(tmp_path: Path) -> None:
    file = tmp_path / "blob"
    file.write_bytes(b"x" * 100)
    async with lab_registry() as registry, a_push(registry.access) as client:
        for content in (b"y" * 100, b"y"):
            file.write_bytes(content)
            with pytest.raises(ScanFailure):
                await client.upload(a_blob(b"x" * 100), file)
        assert not await client.has_blob(digest_of(b"x" * 100))
