from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from services.kernel.reasons import Reason, ScanFailure
from services.lab.layer import BuiltLayer, Compression, LayerBuilder
from services.layers.file import LayerFile
from services.layers.limits import LayerLimits
from services.registry.interface import Descriptor
from services.scanner.catalogers.interface import Cataloger, Evidence
from services.scanner.layers.analysis import decode_analysis
from services.scanner.pipeline.catalog import CatalogStep
from tests.builders.tars import LineCataloger, layer_file
from tests.builders.workers import spawned_workers

pytestmark = pytest.mark.slow


class Sleeper(LineCataloger):
    """Takes longer than anyone waits."""

    def read(self, path: str, content: bytes) -> Evidence:
        time.sleep(60)
        return super().read(path, content)


class Crasher(LineCataloger):
    """Ends its process, as the kernel does to one that takes too much memory."""

    def read(self, path: str, content: bytes) -> Evidence:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().read(path, content)


class Glutton(LineCataloger):
    """Wants more memory than the worker may have."""

    def read(self, path: str, content: bytes) -> Evidence:
        return super().read(path, bytes(8 << 30))


def a_layer(compression: Compression = Compression.GZIP) -> BuiltLayer:
    return LayerBuilder().file("packages", "one 1\n").build(compression)


async def catalogued(
    folder: Path,
    layer: BuiltLayer,
    *,
    cataloger: Cataloger | None = None,
    seconds: float = 30,
    limits: LayerLimits | None = None,
) -> bytes:
    """Catalogs the layer in a process of its own."""
    pool = spawned_workers(1)
    step = CatalogStep(pool, seconds, limits, [cataloger or LineCataloger()])
    descriptor = Descriptor(
        media_type=layer.media_type_for(docker=False), digest=layer.digest, size=len(layer.content)
    )
    return await step.catalog(LayerFile(descriptor, layer_file(folder, layer)))


async def test_a_layer_is_analysed_in_a_worker(tmp_path: Path) -> None:
    layer = a_layer()

    analysis = decode_analysis(await catalogued(tmp_path, layer))

    assert analysis.diff_id == layer.diff_id
    assert analysis.evidence[0].packages[0].name == "one"


async def test_a_failure_names_its_layer(tmp_path: Path) -> None:
    layer = a_layer()
    cut = BuiltLayer(content=layer.content[:-9], diff_id=layer.diff_id, compression=layer.compression)

    with pytest.raises(ScanFailure) as caught:
        await catalogued(tmp_path, cut)

    assert caught.value.why is Reason.LAYER_CORRUPT
    assert caught.value.metadata["layer"] == cut.digest
    assert cut.digest in caught.value.message


async def test_the_bounds_reach_the_worker(tmp_path: Path) -> None:
    with pytest.raises(ScanFailure) as caught:
        await catalogued(tmp_path, a_layer(), limits=LayerLimits(entries=0))

    assert caught.value.why is Reason.LAYER_TOO_MANY_ENTRIES


@pytest.mark.parametrize(
    ("cataloger", "seconds", "reason"),
    [
        (Sleeper(), 2.0, Reason.SCAN_TIMED_OUT),
        (Crasher(), 30.0, Reason.WORKER_DIED),
        (Glutton(), 30.0, Reason.WORKER_DIED),
    ],
)
async def test_a_worker_that_does_not_finish_has_its_reason(
    tmp_path: Path, cataloger: Cataloger, seconds: float, reason: Reason
) -> None:
    layer = a_layer(Compression.NONE)

    with pytest.raises(ScanFailure) as caught:
        await catalogued(tmp_path, layer, cataloger=cataloger, seconds=seconds)

    assert caught.value.why is reason
    assert caught.value.metadata["layer"] == layer.digest


async def test_a_file_that_is_gone_is_a_failure_that_names_its_layer(tmp_path: Path) -> None:
    layer = a_layer()
    descriptor = Descriptor(media_type="", digest=layer.digest, size=len(layer.content))
    step = CatalogStep(spawned_workers(1), 30, None, [LineCataloger()])

    with pytest.raises(ScanFailure, match=layer.digest) as caught:
        await step.catalog(LayerFile(descriptor, tmp_path / "gone", verified=False))

    assert caught.value.why is Reason.BLOB_NOT_FOUND
