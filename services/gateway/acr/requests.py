"""What callers of the ACR door say, checked: which image, which page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

from services.kernel.errors import ServiceError, invalid
from services.kernel.model.digest import parse_digest
from services.kernel.model.reference import parse_tag
from services.scanner.api import ImageQuery

_DEFAULT_SIZE = 30
_MAX_SIZE = 100


InReach = Callable[[str, str], bool]
"""Tells whether the caller's key reaches a namespace of an instance, by its id; all of it for no namespace."""


class NamesImage(Protocol):
    """A request that names an image by repository and tag, by digest, or by task."""

    @property
    def instance_id(self) -> str: ...  # noqa: D102 - the field of the proto

    @property
    def repo_id(self) -> str: ...  # noqa: D102

    @property
    def tag(self) -> str: ...  # noqa: D102

    @property
    def digest(self) -> str: ...  # noqa: D102

    @property
    def scan_task_id(self) -> str: ...  # noqa: D102


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A page by number."""

    number: int
    size: int

    @property
    def begin(self) -> int:
        """Index of its first item."""
        return (self.number - 1) * self.size


def required(field: str, value: str) -> str:
    """Returns the value of a field that must be there.

    Raises:
        ServiceError: MISSING_PARAMETER.
    """
    if not value:
        raise missing(field, f"The field {field} is missing.")
    return value


def missing(field: str, message: str, *, hint: str = "") -> ServiceError:
    """The error of a field that is not there."""
    return invalid("MISSING_PARAMETER", message, field=field, hint=hint)


def from_image(request: NamesImage) -> ImageQuery:
    """Reads which image is meant: a task, or a repository with a tag or a digest.

    Raises:
        ServiceError: MISSING_PARAMETER, INVALID_REFERENCE, INVALID_DIGEST.
    """
    if not request.scan_task_id:
        if not request.repo_id:
            raise missing("repo_id", "The field repo_id is missing.", hint="Send repo_id, or scan_task_id.")
        if not request.tag and not request.digest:
            raise missing("tag", "The field tag is missing.", hint="Send tag, digest, or scan_task_id.")
    return ImageQuery(
        instance=required("instance_id", request.instance_id),
        repo_id=request.repo_id,
        tag=parse_tag(request.tag) if request.tag else "",
        digest=parse_digest(request.digest) if request.digest else None,
        task_id=request.scan_task_id,
    )


def from_page(page_no: int, page_size: int) -> Window:
    """Reads a page: 0 means the default (page 1, size 30), sizes above 100 are cut.

    Raises:
        ServiceError: INVALID_PAGE when negative.
    """
    for field, value in (("page_no", page_no), ("page_size", page_size)):
        if value < 0:
            raise invalid("INVALID_PAGE", f"The field {field} cannot be negative.", field=field)
    return Window(number=page_no or 1, size=min(page_size or _DEFAULT_SIZE, _MAX_SIZE))
