"""IMAGE of the command line as the services want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.kernel.model.reference import parse_image

if TYPE_CHECKING:
    from drydock.scanner.v1.scan_pb2 import ImageRef


def to_image_ref(instance: str, image: str, engine: str = "") -> ImageRef:
    """Reads `NAMESPACE/REPO:TAG` or `@DIGEST`; with neither, the tag is `latest`.

    `engine` asks for what that engine says alone.

    Raises:
        ServiceError: INVALID_REFERENCE.
    """
    from drydock.scanner.v1.scan_pb2 import ImageRef

    name = parse_image(image)
    return ImageRef(
        instance=instance,
        namespace=name.repository.namespace,
        repository=name.repository.name,
        tag=name.tag or "",
        digest=name.digest or "",
        engine=engine,
    )
