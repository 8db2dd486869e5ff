"""Catalog: has one layer read in a worker process, and holds the outcome against the image's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.kernel.model.digest import Digest
from services.kernel.workers import WorkerDied, WorkerPool, WorkerTimedOut
from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.catalogers.interface import Cataloger
from services.scanner.images.interface import Descriptor
from services.scanner.layers.analyse import analyse_layer
from services.scanner.layers.analysis import decode_diff_id
from services.scanner.layers.limits import LayerLimits
from services.scanner.reasons import Reason, ScanFailure


class Cataloguer:
    """Analyses layers, as many at a time as the pool has processes."""

    def __init__(
        self,
        workers: WorkerPool,
        layer_seconds: float,
        limits: LayerLimits | None = None,
        catalogers: Sequence[Cataloger] = CATALOGERS,
    ) -> None:
        self._workers = workers
        self._layer_seconds = layer_seconds
        self._limits = limits or LayerLimits()
        self._catalogers = tuple(catalogers)

    async def catalog(self, layer: Descriptor, path: Path, expected_diff_id: Digest) -> bytes:
        """Returns the encoded analysis of a layer whose stored bytes were verified before.

        Cancelling it kills the worker.

        Args:
            layer: what the manifest says of the layer.
            path: the layer's file, as stored in the registry.
            expected_diff_id: digest of the uncompressed bytes, as the configuration has it.

        Raises:
            ScanFailure: LAYER_CORRUPT, LAYER_TOO_LARGE, LAYER_EXPANDS_TOO_FAR, LAYER_TOO_MANY_ENTRIES,
                DIFF_ID_MISMATCH; SCAN_TIMED_OUT and WORKER_DIED when the worker did not come to an end.
        """
        analysis = await self._analyse(layer, path)
        found = decode_diff_id(analysis)
        if found != expected_diff_id:
            raise ScanFailure(
                Reason.DIFF_ID_MISMATCH,
                f"The layer {layer.digest} unpacks to {found}, but the configuration says {expected_diff_id}.",
                hint="The image is damaged or was tampered with: build and push it again.",
                metadata={"layer": layer.digest},
            )
        return analysis

    async def _analyse(self, layer: Descriptor, path: Path) -> bytes:
        try:
            return await self._workers.run(
                self._layer_seconds,
                analyse_layer,
                str(path),
                media_type=layer.media_type,
                limits=self._limits,
                catalogers=self._catalogers,
            )
        except WorkerTimedOut as error:
            raise ScanFailure(
                Reason.SCAN_TIMED_OUT,
                f"Reading the layer {layer.digest} took longer than {self._layer_seconds:g} seconds.",
                hint="Raise DRYDOCK_SCANNER_LAYER_SECONDS if the layer is that large.",
                metadata={"layer": layer.digest},
            ) from error
        except (WorkerDied, MemoryError) as error:
            raise ScanFailure(
                Reason.WORKER_DIED,
                f"The worker that read the layer {layer.digest} died.",
                hint="Raise DRYDOCK_SCANNER_WORKER_MEMORY_BYTES if it ran out of memory.",
                metadata={"layer": layer.digest},
            ) from error
        except ScanFailure as failure:
            raise _named(failure, layer) from failure


def _named(failure: ScanFailure, layer: Descriptor) -> ScanFailure:
    """Says which layer it is about: the worker saw only a file."""
    return ScanFailure(
        failure.why,
        f"{layer.digest}: {failure.message}",
        hint=failure.hint,
        retry_after=failure.retry_after,
        metadata={**failure.metadata, "layer": layer.digest},
    )
