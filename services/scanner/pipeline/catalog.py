"""Catalog: has one layer read in a worker process."""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.reasons import Reason, ScanFailure
from services.kernel.workers.pool import WorkerDied, WorkerPool, WorkerTimedOut
from services.layers.file import LayerFile
from services.layers.limits import LayerLimits
from services.registry.interface import Descriptor
from services.scanner.catalogers.interface import Cataloger
from services.scanner.inspectors.inspection import Inspection
from services.scanner.pipeline.remote import analyse_remotely


class CatalogStep:
    """Analyses layers, as many at a time as the pool has processes."""

    def __init__(
        self,
        workers: WorkerPool,
        layer_seconds: float,
        limits: LayerLimits | None = None,
        catalogers: Sequence[Cataloger] | None = None,
    ) -> None:
        self._workers = workers
        self._layer_seconds = layer_seconds
        self._limits = limits or LayerLimits()
        self._catalogers = catalogers

    async def catalog(
        self, file: LayerFile, inspection: Inspection | None = None, *, patient: bool = False
    ) -> bytes:
        """Returns the encoded analysis of a layer, with what an `inspection` sees in its files.

        It holds the diffID as computed, for the caller to hold against the image's. Cancelling kills the worker.
        One that is `patient` leaves processes to scans that somebody waits for.

        Raises:
            ScanFailure: DIGEST_MISMATCH of a file that nobody verified before; LAYER_CORRUPT, LAYER_TOO_LARGE,
                LAYER_EXPANDS_TOO_FAR, LAYER_TOO_MANY_ENTRIES, LAYER_PATH_TOO_DEEP;
                SCAN_TIMED_OUT and WORKER_DIED when the worker did not come to an end.
        """
        layer = file.descriptor
        run = self._workers.run_patiently if patient else self._workers.run
        try:
            return await run(
                self._layer_seconds,
                analyse_remotely,
                file,
                limits=self._limits,
                catalogers=self._catalogers,
                inspection=inspection,
            )
        except WorkerTimedOut as error:
            raise ScanFailure(
                Reason.SCAN_TIMED_OUT,
                f"Reading the layer {layer.digest} took longer than {self._layer_seconds:g} seconds.",
                hint="Raise DRYDOCK_SCANNER_LAYER_SECONDS if the layer is that large.",
                metadata={"layer": layer.digest},
            ) from error
        except WorkerDied as error:
            raise ScanFailure(
                Reason.WORKER_DIED,
                f"The worker that read the layer {layer.digest} died.",
                hint="Raise DRYDOCK_SCANNER_WORKER_MEMORY_BYTES if it ran out of memory.",
                metadata={"layer": layer.digest},
            ) from error
        except OSError as error:
            if file.verified:
                raise
            raise ScanFailure(
                Reason.BLOB_NOT_FOUND,
                f"The file of the layer {layer.digest} cannot be read: {error.strerror or error}.",
                hint="Somebody changed the image while it was scanned, or the disk failed: scan it again.",
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
