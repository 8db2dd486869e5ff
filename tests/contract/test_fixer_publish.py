"""Fixed images come to a registry, or not at all: the lab's and the real one."""

from __future__ import annotations

import io
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.assemble import AddedLayer, described, fixed_config, fixed_index, fixed_manifest
from services.fixer.image.layer import write_layer
from services.fixer.image.mark import Origin, fix_of
from services.fixer.image.node import Attributes
from services.fixer.image.original import original_of
from services.fixer.image.tree import read_tree
from services.fixer.order import Pushed
from services.fixer.publish.publish import Publication, Publisher
from services.fixer.publish.tags import backup_tag
from services.kernel.model.digest import Digest, digest_of
from services.kernel.reasons import Reason, ScanFailure
from services.lab.faults import Faults, Status, WithHeader
from services.lab.image import LINUX_AMD64, LINUX_ARM64, Built, BuiltImage, build_image, build_index
from services.lab.push import push_image
from services.lab.tokens import serve_tokens
from services.registry.interface import RawManifest
from services.registry.push import RegistryPush
from tests.builders.images import REPOSITORY, Waits, a_layer, an_image
from tests.builders.layerfiles import layer_files, small_disk
from tests.builders.pushing import a_blob, a_push
from tests.registries import RunningRegistry, StartRegistry, lab_registry, real_registry, registry_program


def raw(built: Built) -> RawManifest:
    return RawManifest(media_type=built.media_type, digest=built.digest, content=built.manifest)


CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def fixed(image: BuiltImage, text: str = "fixed") -> tuple[RawManifest, bytes, bytes]:
    """The manifest of an image with one layer more, its configuration, and the layer."""
    layer = a_layer(text)
    added = AddedLayer(digest=layer.digest, diff_id=layer.diff_id, size=len(layer.content))
    config = next(
        content for digest, content in image.blobs.items() if digest not in {x.digest for x in image.layers}
    )
    made = fixed_config(config, added, created=CREATED, created_by="x")
    origin = Origin(digest=image.digest, name="registry/team/app:1.0")
    return fixed_manifest(raw(image), made, added, origin), made, layer.content


def publication(
    image: BuiltImage, tag: str = "1.0_fixd", replaces: Digest | None = None, text: str = "fixed"
) -> Publication:
    manifest, config, layer = fixed(image, text)
    blobs = ((a_blob(config), config), (a_blob(layer), layer))
    return Publication(tag=tag, top=manifest, blobs=blobs, replaces=replaces)


class Notes:
    def __init__(self, then: Callable[[], Awaitable[object]] | None = None) -> None:
        self.pushed: list[Pushed] = []
        self._then = then

    async def __call__(self, pushed: Pushed) -> None:
        self.pushed.append(pushed)
        if self._then is not None:
            await self._then()


async def held(client: RegistryPush, tag: str) -> str:
    try:
        return (await client.source.head(tag)).digest
    except ScanFailure as failure:
        assert failure.why is Reason.IMAGE_NOT_FOUND
        return ""


async def refusal(call: Awaitable[object]) -> FixReason:
    with pytest.raises(FixFailure) as caught:
        await call
    return caught.value.why


async def test_a_fix_gets_its_own_tag_and_the_image_stays(each_registry: StartRegistry) -> None:
    image, notes = an_image(), Notes()
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        wanted = publication(image)

        pushed = await Publisher(client).publish(wanted, notes)

        assert await held(client, "1.0_fixd") == wanted.top.digest == pushed.digest
        assert await held(client, "1.0") == image.digest
        assert notes.pushed == [pushed]
        assert (pushed.previous, pushed.backup_tag) == ("", "")
        assert fix_of((await client.source.manifest("1.0_fixd")).content) == image.digest
        assert await refusal(Publisher(client).revert(pushed)) is FixReason.NOTHING_TO_FIX


async def test_from_a_fix_the_way_leads_back_to_its_original(each_registry: StartRegistry) -> None:
    image = an_image()
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        pushed = await Publisher(client).publish(publication(image), Notes())

        for reference in ("1.0", "1.0_fixd", pushed.digest):
            assert (await original_of(client.source, reference)).digest == image.digest


async def test_a_way_back_that_goes_on_and_on_is_given_up(each_registry: StartRegistry) -> None:
    image = an_image()
    top, config, layer = fixed(image)
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        for content in (config, layer):
            await client.upload(a_blob(content), content)
        for _ in range(5):
            await client.put_manifest(top, top.digest)
            origin = Origin(digest=top.digest, name="")
            added = AddedLayer(digest=digest_of(layer), diff_id=digest_of(b""), size=len(layer))
            top = fixed_manifest(top, config, added, origin)
        await client.put_manifest(top, "1.0_fixd")
        with pytest.raises(ScanFailure) as caught:
            await original_of(client.source, "1.0_fixd")

    assert caught.value.why is Reason.MANIFEST_INVALID


async def test_a_disk_that_is_full_while_the_layer_is_built_changes_nothing(
    each_registry: StartRegistry, tmp_path: Path
) -> None:
    image = an_image()
    base = layer_files(tmp_path, *image.layers)
    noise = random.Random(3).randbytes(3_000_000)
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        tree, new = read_tree(base, lambda _: False), tmp_path / "new"
        with pytest.raises(FixFailure) as caught, small_disk(100_000), write_layer(new, tree) as layer:
            layer.file("usr/bin/tool", Attributes(mode=0o755), io.BytesIO(noise), len(noise))
            layer.finish()

        assert caught.value.why is FixReason.DISK_FULL
        assert not (tmp_path / "new").exists()
        assert (await client.source.tags()).names == ("1.0",)
        assert await held(client, "1.0") == image.digest


@pytest.mark.parametrize("docker", [False, True])
async def test_an_index_is_written_after_what_it_leads_to(each_registry: StartRegistry, docker: bool) -> None:
    one, other = (build_image([a_layer(x.architecture)], x, docker=docker) for x in (LINUX_AMD64, LINUX_ARM64))
    index = build_index([one, other], docker=docker)
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", index)
        part = publication(one)
        origin = Origin(digest=index.digest, name="registry/team/app:1.0")
        top = fixed_index(raw(index), {one.digest: described(part.top)}, origin).raw

        await Publisher(client).publish(
            Publication(tag="1.0_fixd", top=top, manifests=(part.top,), blobs=part.blobs), Notes()
        )

        found = await client.source.manifest("1.0_fixd")
        assert (found.digest, found.media_type) == (top.digest, index.media_type)
        assert (await client.source.manifest(part.top.digest)).content == part.top.content


async def test_an_earlier_fix_of_ours_is_replaced_and_can_be_put_back(each_registry: StartRegistry) -> None:
    image = an_image()
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        publisher = Publisher(client)
        first = await publisher.publish(publication(image), Notes())
        second = await publisher.publish(publication(image, text="better"), Notes())

        assert second.previous == first.digest
        assert await held(client, second.backup_tag) == first.digest
        assert await publisher.revert(second) == first.digest
        assert await held(client, "1.0_fixd") == first.digest
        assert await publisher.revert(second) == first.digest


async def test_a_tag_that_is_no_fix_of_ours_is_left_alone(each_registry: StartRegistry) -> None:
    image, foreign = an_image(), an_image("foreign")
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        await push_image(registry.access, REPOSITORY, "1.0_fixd", foreign)
        wanted = publication(image)

        assert await refusal(Publisher(client).publish(wanted, Notes())) is FixReason.TAG_TAKEN

        assert await held(client, "1.0_fixd") == foreign.digest
        assert await held(client, wanted.top.digest) == ""


async def test_the_tag_itself_is_written_over_and_put_back(each_registry: StartRegistry) -> None:
    image, notes = an_image(), Notes()
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        publisher = Publisher(client)

        pushed = await publisher.publish(publication(image, "1.0", image.digest), notes)

        assert await held(client, "1.0") == pushed.digest
        assert pushed.previous == image.digest
        assert pushed.backup_tag == backup_tag(image.digest)
        assert await held(client, pushed.backup_tag) == image.digest
        assert await publisher.revert(pushed) == image.digest
        assert await held(client, "1.0") == image.digest


async def test_a_tag_that_moved_before_is_left_alone(each_registry: StartRegistry) -> None:
    image, newer = an_image(), an_image("newer")
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        await push_image(registry.access, REPOSITORY, "1.0", newer)
        wanted = publication(image, "1.0", image.digest)

        assert await refusal(Publisher(client).publish(wanted, Notes())) is FixReason.TAG_MOVED

        assert await held(client, "1.0") == newer.digest
        assert await held(client, wanted.top.digest) == ""


async def test_a_tag_that_moves_meanwhile_is_left_alone(each_registry: StartRegistry) -> None:
    image, newer = an_image(), an_image("newer")
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        notes = Notes(lambda: push_image(registry.access, REPOSITORY, "1.0", newer))

        why = await refusal(Publisher(client).publish(publication(image, "1.0", image.digest), notes))

        assert why is FixReason.TAG_MOVED
        assert await held(client, "1.0") == newer.digest


async def test_a_tag_of_its_own_that_appears_meanwhile_is_left_alone(each_registry: StartRegistry) -> None:
    image, foreign = an_image(), an_image("foreign")
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        notes = Notes(lambda: push_image(registry.access, REPOSITORY, "1.0_fixd", foreign))

        assert await refusal(Publisher(client).publish(publication(image), notes)) is FixReason.TAG_MOVED
        assert await held(client, "1.0_fixd") == foreign.digest


async def test_a_tag_that_moves_right_after_us_is_told(each_registry: StartRegistry) -> None:
    image, newer = an_image(), an_image("newer")
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        write = client.put_manifest

        async def overtaken(manifest: RawManifest, reference: str) -> object:
            written = await write(manifest, reference)
            if reference == "1.0":
                await push_image(registry.access, REPOSITORY, "1.0", newer)
            return written

        client.put_manifest = overtaken  # type: ignore[method-assign,assignment]  # somebody pushes right after it
        why = await refusal(Publisher(client).publish(publication(image, "1.0", image.digest), Notes()))

        assert why is FixReason.TAG_MOVED
        assert await held(client, "1.0") == newer.digest


@pytest.mark.parametrize("looks", [2, None])
async def test_a_registry_that_tells_of_the_old_for_a_moment_is_asked_again(looks: int | None) -> None:
    image, waits = an_image(), Waits()
    async with lab_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        write, old = client.put_manifest, WithHeader("Docker-Content-Digest", image.digest)

        async def late(manifest: RawManifest, reference: str) -> object:
            written = await write(manifest, reference)
            if reference == "1.0":
                faults(registry).add("*/manifests/1.0", old, methods=["HEAD"], times=looks)
            return written

        client.put_manifest = late  # type: ignore[method-assign,assignment]  # its answers lag behind from then on
        publishing = Publisher(client, sleep=waits).publish(publication(image, "1.0", image.digest), Notes())
        if looks is None:
            assert await refusal(publishing) is FixReason.TAG_MOVED
        else:
            await publishing

    assert len(waits.seconds) == (2 if looks else 4)


async def test_nothing_is_put_back_over_what_somebody_else_pushed(each_registry: StartRegistry) -> None:
    image, newer = an_image(), an_image("newer")
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        publisher = Publisher(client)
        pushed = await publisher.publish(publication(image, "1.0", image.digest), Notes())
        await push_image(registry.access, REPOSITORY, "1.0", newer)

        assert await refusal(publisher.revert(pushed)) is FixReason.TAG_MOVED
        assert await held(client, "1.0") == newer.digest


class CalledOff(Exception):
    pass


async def called_off() -> None:
    raise CalledOff


@pytest.mark.parametrize("written", [False, True])
async def test_after_a_crash_it_goes_on_or_finds_its_work_done(
    each_registry: StartRegistry, written: bool
) -> None:
    image = an_image()
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        publisher, wanted, lost = Publisher(client), publication(image, "1.0", image.digest), Notes(called_off)
        with pytest.raises(CalledOff):
            await publisher.publish(wanted, lost)
        assert await held(client, "1.0") == image.digest
        if written:
            await client.put_manifest(wanted.top, "1.0")

        again = Notes()
        pushed = await publisher.publish(wanted, again, before=lost.pushed[0])

        assert pushed == lost.pushed[0]
        assert len(again.pushed) == (0 if written else 1)
        assert await held(client, "1.0") == wanted.top.digest
        assert await held(client, pushed.backup_tag) == image.digest


async def test_after_a_crash_another_result_goes_over_our_own_and_the_backup_stays(
    each_registry: StartRegistry,
) -> None:
    image = an_image()
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        publisher = Publisher(client)
        first = await publisher.publish(publication(image, "1.0", image.digest), Notes())

        second = await publisher.publish(publication(image, "1.0", image.digest, "later"), Notes(), before=first)

        assert second.digest != first.digest
        assert (second.previous, second.backup_tag) == (image.digest, first.backup_tag)
        assert await publisher.revert(second) == image.digest


async def test_a_backup_that_is_not_what_its_name_says_stops_the_fix(each_registry: StartRegistry) -> None:
    image, foreign = an_image(), an_image("foreign")
    async with each_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        await push_image(registry.access, REPOSITORY, backup_tag(image.digest), foreign)

        why = await refusal(Publisher(client).publish(publication(image, "1.0", image.digest), Notes()))

        assert why is FixReason.TAG_TAKEN
        assert await held(client, "1.0") == image.digest


async def test_a_registry_that_refuses_the_push_keeps_all_its_tags(each_registry: StartRegistry) -> None:
    image = an_image()
    async with each_registry(basic_auth=True) as registry:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        stranger = type(registry.access)(address=registry.access.address, plain_http=True)
        async with a_push(stranger) as client:
            with pytest.raises(ScanFailure) as caught:  # it does not even let us look
                await Publisher(client).publish(publication(image, "1.0", image.digest), Notes())
        async with a_push(registry.access) as client:
            assert (await client.source.tags()).names == ("1.0",)
            assert await held(client, "1.0") == image.digest

    assert caught.value.why is Reason.REGISTRY_UNAUTHORIZED


async def test_whoever_may_pull_and_not_push_is_told_so(each_registry: StartRegistry) -> None:
    image, notes = an_image(), Notes()
    async with serve_tokens(users={"lab": "labpass"}) as tokens, each_registry(tokens=tokens) as registry:
        async with a_push(registry.access, repository="public/app") as client:
            await push_all(client, image)
        stranger = type(registry.access)(address=registry.access.address, plain_http=True)
        async with a_push(stranger, repository="public/app") as client:
            why = await refusal(Publisher(client).publish(publication(image, "1.0", image.digest), notes))

            assert why is FixReason.PUSH_REFUSED
            assert not notes.pushed
            assert (await client.source.tags()).names == ("1.0",)
            assert await held(client, "1.0") == image.digest


async def push_all(client: RegistryPush, image: BuiltImage) -> None:
    for content in image.blobs.values():
        await client.upload(a_blob(content), content)
    await client.put_manifest(raw(image), "1.0")


@pytest.mark.slow
@pytest.mark.real_registry
async def test_a_read_only_registry_keeps_all_its_tags(tmp_path: Path) -> None:
    image, program, notes = an_image(), registry_program(), Notes()
    async with real_registry(program, tmp_path) as registry:
        await push_image(registry.access, REPOSITORY, "1.0", image)
    async with real_registry(program, tmp_path, read_only=True) as registry, a_push(registry.access) as client:
        why = await refusal(Publisher(client).publish(publication(image, "1.0", image.digest), notes))

        assert why is FixReason.REGISTRY_READ_ONLY
        assert not notes.pushed
        assert (await client.source.tags()).names == ("1.0",)
        assert await held(client, "1.0") == image.digest


IMMUTABLE = b'{"errors":[{"code":"PRECONDITION","message":"due to \'app:1.0\' configured as immutable."}]}'


@pytest.mark.parametrize(
    ("pattern", "methods", "fault", "why"),
    [
        ("*/manifests/1.0", ["PUT"], Status(code=412, body=IMMUTABLE), FixReason.TAG_IMMUTABLE),
        ("*/uploads/", ["POST"], Status(code=403), FixReason.PUSH_REFUSED),
        ("*/manifests/*", ["PUT"], Status(code=403), FixReason.PUSH_REFUSED),
        ("*/manifests/*", ["PUT"], Status(code=405), FixReason.REGISTRY_READ_ONLY),
    ],
)
async def test_what_a_registry_refuses_has_its_reason_and_changes_no_tag(
    pattern: str, methods: list[str], fault: Status, why: FixReason
) -> None:
    image = an_image()
    async with lab_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        faults(registry).add(pattern, fault, methods=methods)

        assert await refusal(Publisher(client).publish(publication(image, "1.0", image.digest), Notes())) is why

        assert await held(client, "1.0") == image.digest


async def test_a_registry_that_breaks_in_the_middle_has_a_tag_as_before() -> None:
    image = an_image()
    async with lab_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        faults(registry).add("*/manifests/sha256*", Status(code=500), methods=["PUT"])
        notes = Notes()

        with pytest.raises(ScanFailure) as caught:
            await Publisher(client).publish(publication(image, "1.0", image.digest), notes)

        assert caught.value.why is Reason.REGISTRY_ERROR
        assert not notes.pushed
        assert await held(client, "1.0") == image.digest


async def test_the_same_fix_again_writes_nothing() -> None:
    image, notes = an_image(), Notes()
    async with lab_registry() as registry, a_push(registry.access) as client:
        await push_image(registry.access, REPOSITORY, "1.0", image)
        await Publisher(client).publish(publication(image), Notes())

        pushed = await Publisher(client).publish(publication(image), notes)

        assert not notes.pushed
        assert pushed.digest == publication(image).top.digest


def faults(registry: RunningRegistry) -> Faults:
    assert registry.lab is not None
    return registry.lab.faults


def test_digests_are_those_of_the_bytes() -> None:
    manifest, _, _ = fixed(an_image())

    assert manifest.digest == digest_of(manifest.content)
