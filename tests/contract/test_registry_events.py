"""The lab registry's notifications against those recorded from a real one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import parse_reference
from services.lab.events import Endpoint
from services.lab.image import LINUX_ARM64, Built, build_index
from services.lab.push import open_push, push_image
from services.lab.registry import SERVER, serve_registry
from services.registry.limits import SourceSettings
from services.scanner.images.open import name_in_source, open_source
from tests.builders.images import REPOSITORY, an_image, registry_source, webhook_receiver
from tests.registries import lab_registry

RECORDED = Path(__file__).parents[1] / "fixtures" / "events"


def _open(address: str) -> RegistryAccess:
    return RegistryAccess(address=address, plain_http=True)


def shape(value: object) -> object:
    """Keys and types, all the way down; a list is as its first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def recorded(name: str) -> dict[str, object]:
    event = msgspec.json.decode((RECORDED / name).read_bytes())["events"][0]
    assert isinstance(event, dict)
    return event


@pytest.mark.parametrize(
    ("built", "file"),
    [
        (an_image(), "registry_push_event.json"),
        (build_index([an_image("a"), an_image("b", platform=LINUX_ARM64)]), "registry_push_index_event.json"),
    ],
)
async def test_push_event_has_the_shape_of_a_recorded_one(built: Built, file: str) -> None:
    async with webhook_receiver() as receiver, lab_registry(notify=Endpoint(url=receiver.url)) as running:
        await push_image(running.access, REPOSITORY, "1.0", built)
        _, event = await receiver.next_event("push")

    assert shape(event) == shape(recorded(file))


async def test_blob_and_delete_events_have_the_shape_of_recorded_ones() -> None:
    async with webhook_receiver() as receiver, lab_registry(notify=Endpoint(url=receiver.url)) as running:
        await push_image(running.access, REPOSITORY, "1.0", an_image())
        _, blob = await receiver.next_event("push", tagged=False)
        async with open_push(running.access) as client:
            await client.delete(f"/v2/{REPOSITORY}/manifests/1.0")
        _, deleted = await receiver.next_event("delete")

    assert shape(blob) == shape(recorded("registry_push_blob_event.json"))
    assert shape(deleted) == shape(recorded("registry_delete_event.json"))


async def test_pulls_of_a_known_user_are_told_with_the_name() -> None:
    async with (
        webhook_receiver() as receiver,
        lab_registry(notify=Endpoint(url=receiver.url), basic_auth=True) as running,
    ):
        await push_image(running.access, REPOSITORY, "1.0", an_image())
        async with registry_source(running.access) as source:
            await source.manifest("1.0")
        _, event = await receiver.next_event("pull")

    assert event["actor"] == {"name": "lab"}


async def test_lab_registry_says_what_it_is() -> None:
    async with (
        serve_registry() as registry,
        open_push(_open(registry.address)) as client,
        client.get("/v2/") as response,
    ):
        assert response.headers.getall("Server") == [SERVER]
    assert "not for production" in SERVER


async def test_name_of_the_command_line_is_opened_at_its_registry() -> None:
    async with serve_registry() as registry:
        image = an_image()
        await push_image(_open(registry.address), REPOSITORY, "1.0", image)
        for text in (f"{registry.address}/{REPOSITORY}:1.0", f"{registry.address}/{REPOSITORY}@{image.digest}"):
            reference = parse_reference(text)
            async with open_source(reference, _open(registry.address), SourceSettings()) as source:
                assert (await source.manifest(name_in_source(reference))).digest == image.digest


async def test_what_the_block_raises_comes_out_as_itself() -> None:
    with pytest.raises(KeyError):
        async with serve_registry(notify=Endpoint(url="http://127.0.0.1:1/")):
            raise KeyError("of the block")
