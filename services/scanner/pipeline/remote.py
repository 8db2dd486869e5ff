"""The pipeline's work in worker processes: what it needs is imported there alone, so that who asks starts soon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.layers.file import LayerFile
    from services.layers.limits import LayerLimits
    from services.scanner.catalogers.interface import Cataloger
    from services.scanner.inspectors.inspection import Inspection
    from services.scanner.pipeline.case import Case
    from services.scanner.records import ScannedImage


def analyse_remotely(
    file: LayerFile,
    *,
    limits: LayerLimits,
    inspection: Inspection | None,
    catalogers: Sequence[Cataloger] | None = None,
) -> bytes:
    """Runs `analyse_layer`, with the installed catalogers unless others are named."""
    from services.scanner.catalogers.installed import CATALOGERS  # noqa: PLC0415
    from services.scanner.layers.analyse import analyse_layer  # noqa: PLC0415

    return analyse_layer(
        str(file.path),
        media_type=file.descriptor.media_type,
        expected=None if file.verified else file.descriptor,
        limits=limits,
        catalogers=CATALOGERS if catalogers is None else catalogers,
        inspection=inspection,
    )


def ready_remotely(inspection: Inspection) -> None:
    """Runs `load_engine`, in what workers are forked from."""
    from services.scanner.inspectors.engine import load_engine  # noqa: PLC0415

    load_engine(inspection)


def judge_remotely(case: Case) -> ScannedImage:
    """Runs `judge`."""
    from services.scanner.pipeline.judge import judge  # noqa: PLC0415

    return judge(case)
