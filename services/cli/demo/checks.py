"""The demo checks itself: a step that only looks right is a failure."""

from __future__ import annotations

from services.kernel.errors import Kind, ServiceError


def check(holds: bool, step: str, otherwise: str) -> None:
    """Goes on when it holds.

    Raises:
        ServiceError: DEMO_STEP_FAILED.
    """
    if not holds:
        raise step_failed(step, otherwise)


def step_failed(step: str, why: str) -> ServiceError:
    """The failure of a step."""
    return ServiceError(
        Kind.INTERNAL,
        "DEMO_STEP_FAILED",
        f"The demo failed at {step}: {why.rstrip('.')}.",
        hint="Run `drydock demo --keep` and look into drydock.log of the folder that it names.",
    )
