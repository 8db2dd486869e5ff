"""Reading what a peer answers: a word that this release does not know is that of a newer one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.kernel.errors import Kind, ServiceError


@contextmanager
def answer_of(service: str) -> Iterator[None]:
    """Around the reading of an answer of that service; as a decorator, too.

    Raises:
        ServiceError: NEWER_RELEASE for what the reading takes for an unknown word, whether it says so by a
            KeyError, a ValueError or the refusal that a caller of ours would get.
    """
    try:
        yield
    except (KeyError, ValueError, ServiceError) as error:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "NEWER_RELEASE",
            f"The {service}'s answer holds a word that this release does not know.",
            hint=f"Install the release of the {service} here too.",
        ) from error
