"""The spool: files shared while in use, gone afterwards, and never another process's."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.kernel.model.digest import Digest
from services.kernel.model.media import OCI_LAYER
from services.kernel.reasons import Reason, ScanFailure
from services.lab.layer import BuiltLayer
from services.layers.fetch import fetch_layers
from services.layers.file import LayerFile
from services.registry.interface import Descriptor, ImageSource, RawManifest
from services.registry.spool import LayerSpool
from tests.builders.images import a_layer, layer_descriptor

_ROOT = Path(__file__).parents[4]


class GatedSource(ImageSource):
    """Delivers layers, each only when its gate is open, and counts downloads."""

    def __init__(
        self, *layers: BuiltLayer, gate: asyncio.Event | None = None, error: Exception | None = None
    ) -> None:
        self._layers = {layer.digest: layer.content for layer in layers}
        self._gate = gate
        self._error = error
        self.downloads: list[Digest] = []
        self.begun = asyncio.Event()
        self.ended = 0

    async def head(self, reference: str) -> Descriptor:
        raise NotImplementedError(reference)

    async def manifest(self, reference: str) -> RawManifest:
        raise NotImplementedError(reference)

    @contextlib.asynccontextmanager
    async def blob(self, descriptor: Descriptor) -> AsyncIterator[AsyncIterator[bytes]]:
        self.downloads.append(descriptor.digest)
        self.begun.set()
        try:
            yield self._chunks(self._layers[descriptor.digest])
        finally:
            self.ended += 1

    async def _chunks(self, content: bytes) -> AsyncIterator[bytes]:
        yield content[:10]
        if self._gate is not None:
            await self._gate.wait()
        if self._error is not None:
            raise self._error
        yield content[10:]


ONE, TWO, THREE = a_layer("one"), a_layer("two"), a_layer("three")


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[LayerSpool]:
    async with LayerSpool(tmp_path, 1 << 20) as opened:
        yield opened


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("sha256*"))


def folders(directory: Path) -> list[Path]:
    return list(directory.glob("process-*"))


async def take(spool: LayerSpool, source: ImageSource, layer: BuiltLayer) -> bytes:
    async with spool.lease(source, layer_descriptor(layer)) as path:
        return path.read_bytes()


async def test_leased_file_is_there_and_gone_afterwards(spool: LayerSpool, tmp_path: Path) -> None:
    async with spool.lease(GatedSource(ONE), layer_descriptor(ONE)) as path:
        assert path.read_bytes() == ONE.content
        assert files(tmp_path) == [path.name]

    assert files(tmp_path) == []


async def test_those_who_ask_at_once_share_one_download(spool: LayerSpool, tmp_path: Path) -> None:
    gate = asyncio.Event()
    source = GatedSource(ONE, gate=gate)

    async with asyncio.TaskGroup() as group:
        takers = [group.create_task(take(spool, source, ONE)) for _ in range(5)]
        await source.begun.wait()
        gate.set()

    assert [taker.result() for taker in takers] == [ONE.content] * 5
    assert len(source.downloads) == 1
    assert files(tmp_path) == []


async def test_later_lease_keeps_the_file(spool: LayerSpool) -> None:
    source = GatedSource(ONE)
    async with contextlib.AsyncExitStack() as first:
        path = await first.enter_async_context(spool.lease(source, layer_descriptor(ONE)))
        async with spool.lease(source, layer_descriptor(ONE)) as again:
            assert again == path
            await first.aclose()
            assert again.read_bytes() == ONE.content

    assert len(source.downloads) == 1
    assert not path.exists()


async def test_cancelled_download_leaves_nothing_and_the_next_takes_over(
    spool: LayerSpool, tmp_path: Path
) -> None:
    gate = asyncio.Event()
    source = GatedSource(ONE, gate=gate)
    first = asyncio.create_task(take(spool, source, ONE))
    await source.begun.wait()
    second = asyncio.create_task(take(spool, source, ONE))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert source.ended == 1

    gate.set()
    assert await second == ONE.content
    assert len(source.downloads) == 2
    assert files(tmp_path) == []


async def test_cancelled_only_download_leaves_nothing(spool: LayerSpool, tmp_path: Path) -> None:
    source = GatedSource(ONE, gate=asyncio.Event())
    task = asyncio.create_task(take(spool, source, ONE))
    await source.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert files(tmp_path) == []
    assert await take(spool, GatedSource(ONE), ONE) == ONE.content


async def test_refusal_of_one_source_is_no_answer_for_another(spool: LayerSpool, tmp_path: Path) -> None:
    refusing = GatedSource(ONE, error=ScanFailure(Reason.REGISTRY_FORBIDDEN, "No."))

    results = await asyncio.gather(
        take(spool, refusing, ONE), take(spool, GatedSource(ONE), ONE), return_exceptions=True
    )

    assert isinstance(results[0], ScanFailure)
    assert results[1] == ONE.content
    assert files(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_full_disk_has_its_reason(spool: LayerSpool, tmp_path: Path, number: int) -> None:
    with pytest.raises(ScanFailure) as caught:
        await take(spool, GatedSource(ONE, error=OSError(number, "full")), ONE)

    assert caught.value.why is Reason.SPOOL_FULL
    assert files(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_disk_that_fills_while_somebody_works_on_it_has_its_reason(
    spool: LayerSpool, tmp_path: Path, number: int
) -> None:
    with pytest.raises(ScanFailure) as caught:
        async with spool.workplace():
            raise OSError(number, "full")

    assert caught.value.why is Reason.SPOOL_FULL
    assert files(tmp_path) == []


async def test_folder_that_cannot_be_made_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ScanFailure) as caught:
        async with LayerSpool(tmp_path / "file", 1):
            pass

    assert caught.value.why is Reason.INTERNAL


async def test_room_is_waited_for_in_order_of_asking(tmp_path: Path) -> None:
    order: list[str] = []
    small = layer_descriptor(ONE)
    async with LayerSpool(tmp_path, small.size + 5) as spool:
        source = GatedSource(ONE, TWO, THREE)

        async def note(name: str, layer: BuiltLayer) -> None:
            async with spool.lease(source, layer_descriptor(layer)):
                order.append(name)

        async with asyncio.TaskGroup() as group:
            async with spool.lease(source, small):
                waiting = [group.create_task(note("two", TWO)), group.create_task(note("three", THREE))]
                for _ in range(20):
                    await asyncio.sleep(0)
                assert source.downloads == [ONE.digest]
                order.append("one")
            assert not all(task.done() for task in waiting)

    assert order == ["one", "two", "three"]


async def test_layer_larger_than_all_room_is_let_in_alone(tmp_path: Path) -> None:
    async with LayerSpool(tmp_path, 10) as spool:
        assert await take(spool, GatedSource(ONE), ONE) == ONE.content
        assert await take(spool, GatedSource(TWO), TWO) == TWO.content


async def test_room_that_never_comes_has_its_reason(tmp_path: Path) -> None:
    async with LayerSpool(tmp_path, 10, room_timeout_seconds=0.05) as spool:
        source = GatedSource(ONE, TWO)
        async with spool.lease(source, layer_descriptor(ONE)):
            with pytest.raises(ScanFailure) as caught:
                await take(spool, source, TWO)

    assert caught.value.why is Reason.SPOOL_FULL
    assert source.downloads == [ONE.digest]


async def test_end_removes_the_folder(tmp_path: Path) -> None:
    async with LayerSpool(tmp_path, 1):
        assert len(folders(tmp_path)) == 1
    assert folders(tmp_path) == []


async def test_leftovers_of_a_dead_process_go_and_those_of_a_living_one_stay(tmp_path: Path) -> None:
    dead, living = tmp_path / "process-dead", tmp_path / "process-living"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "sha256-file").write_bytes(b"x")
        (folder / ".lock").write_bytes(b"")
    with (living / ".lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with LayerSpool(tmp_path, 1):
            assert not dead.exists()
            assert (living / "sha256-file").read_bytes() == b"x"


async def test_folders_that_are_not_the_spools_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "advisories"
    other.mkdir()
    (other / "file").write_bytes(b"precious")
    (tmp_path / "process-link").symlink_to(other)

    async with LayerSpool(tmp_path, 1):
        assert (other / "file").read_bytes() == b"precious"


@pytest.mark.slow
async def test_file_of_a_killed_process_is_removed_by_the_next(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from services.registry.spool import LayerSpool\n"
        "async def main():\n"
        "    async with LayerSpool(pathlib.Path(sys.argv[1]), 1) as spool:\n"
        "        (next(pathlib.Path(sys.argv[1]).glob('process-*')) / 'sha256-left').write_bytes(b'x')\n"
        "        print('ready', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, tmp_path, stdout=asyncio.subprocess.PIPE, cwd=_ROOT
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    async with LayerSpool(tmp_path, 1):
        assert files(tmp_path) == ["sha256-left"]
    process.kill()
    await process.wait()
    async with LayerSpool(tmp_path, 1):
        assert files(tmp_path) == []


async def test_every_layer_is_fetched_once_and_handed_on(spool: LayerSpool, tmp_path: Path) -> None:
    source = GatedSource(ONE, TWO, THREE)
    got: dict[str, bytes] = {}

    async def analyse(layer: LayerFile) -> None:
        got[layer.descriptor.digest] = await asyncio.to_thread(layer.path.read_bytes)

    layers = [layer_descriptor(layer) for layer in (ONE, TWO, ONE, THREE)]
    await fetch_layers(source, layers, spool, analyse)

    assert got == {layer.digest: layer.content for layer in (ONE, TWO, THREE)}
    assert sorted(source.downloads) == sorted(got)
    assert files(tmp_path) == []


async def test_fetch_cancelled_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    async def analyse(layer: LayerFile) -> None:
        await asyncio.sleep(0)

    async def fetch() -> None:
        async with LayerSpool(tmp_path, 1 << 20) as spool:
            await fetch_layers(GatedSource(ONE, TWO), map(layer_descriptor, (ONE, TWO)), spool, analyse)

    for turns in range(0, 60, 3):
        task = asyncio.create_task(fetch())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert folders(tmp_path) == []


async def test_no_more_layers_than_allowed_are_in_work(spool: LayerSpool) -> None:
    running, most = 0, 0
    both = asyncio.Barrier(2)
    both = asyncio.Barrier(2)

    async def analyse(layer: LayerFile) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await both.wait()
        running -= 1

    layers = [a_layer(str(number)) for number in range(8)]
    await fetch_layers(GatedSource(*layers), map(layer_descriptor, layers), spool, analyse, concurrency=2)

    assert most == 2


async def test_first_failure_ends_the_fetch_as_itself(spool: LayerSpool, tmp_path: Path) -> None:
    source = GatedSource(ONE, TWO, gate=asyncio.Event())

    async def analyse(layer: LayerFile) -> None:
        raise ScanFailure(Reason.LAYER_CORRUPT, "Broken.")

    async with spool.lease(GatedSource(ONE), layer_descriptor(ONE)):
        with pytest.raises(ScanFailure) as caught:
            await fetch_layers(source, [layer_descriptor(ONE), layer_descriptor(TWO)], spool, analyse)

    assert caught.value.why is Reason.LAYER_CORRUPT
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar\0" + "x" * 5000,
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        f"{OCI_LAYER}+gzip+encrypted",
        "application/octet-stream",
        "",
    ],
)
async def test_layer_that_cannot_be_read_is_refused_before_anything_is_fetched(
    spool: LayerSpool, media_type: str
) -> None:
    source = GatedSource(ONE)
    strange = Descriptor(media_type=media_type, digest=TWO.digest, size=len(TWO.content))

    async def analyse(layer: LayerFile) -> None:
        raise AssertionError(layer)

    with pytest.raises(ScanFailure) as caught:
        await fetch_layers(source, [layer_descriptor(ONE), strange], spool, analyse)

    assert caught.value.why is Reason.UNSUPPORTED_MEDIA_TYPE
    assert caught.value.hint
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500
    assert source.downloads == []
