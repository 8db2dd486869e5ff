"""Groups of tasks: the failure that ended one."""

from __future__ import annotations


def cause_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Returns the failure that began it: a group of one cause is no help to whoever catches reasons."""
    first: BaseException = failures
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
