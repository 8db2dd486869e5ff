"""What callers are told when nothing is done for them."""

from __future__ import annotations

import uuid

from services.fixer.api import FIXED_SUFFIX, MAX_FINDINGS
from services.fixer.failure import FixFailure, FixReason
from services.fixer.records import FixRecord
from services.kernel.errors import Kind, ServiceError, invalid, not_found
from services.kernel.model.digest import Digest


def as_uuid(task_id: str) -> str:
    """Returns the id of a task as it is kept. Raises FIX_TASK_NOT_EXIST for what cannot be one."""
    try:
        return str(uuid.UUID(task_id))
    except ValueError:
        raise no_task(task_id) from None


def no_task(task_id: str) -> ServiceError:
    """The error of a task that there is not."""
    return not_found(
        "FIX_TASK_NOT_EXIST",
        f"There is no fix task {task_id[:64]!r}.",
        hint="`drydock fix list` shows those that are kept.",
    )


def tag_required() -> ServiceError:
    """The error of an image that is named without a tag."""
    return invalid(
        "TAG_REQUIRED",
        "A fix is of a tag: a digest alone can neither be written over nor get a tag beside it.",
        field="order.tag",
        hint="Name the tag; with a digest besides, it must hold that.",
    )


def tag_is_a_fix(tag: str) -> ServiceError:
    """The error of asking for a fix of what a fix has made."""
    original = tag.removesuffix(FIXED_SUFFIX)
    return invalid(
        "TAG_IS_A_FIX",
        f"{tag} is named like a fixed image: a fix is always made of the original.",
        field="order.tag",
        hint=f"Fix {original} again: its new fix replaces {tag}." if original else "Fix the original.",
    )


def too_many_findings(count: int) -> ServiceError:
    """The error of an order that names too much."""
    return invalid(
        "TOO_MANY_FINDINGS",
        f"At most {MAX_FINDINGS} findings may be named, here are {count}.",
        field="order.finding_ids",
        hint="Name none to have all fixed that can be.",
    )


def no_finding(identifier: str, *, others: bool) -> ServiceError:
    """The error of a finding that the report has not; `others` tells whether another engine's has it."""
    hint = "TRIVY alone reports it, and its results are no ground for a fix." if others else ""
    return invalid(
        "FINDING_NOT_EXIST",
        f"The last scan by SECURITY_CENTER has no finding {identifier[:80]!r}.",
        field="order.finding_ids",
        hint=hint or "`drydock findings list` shows those that there are.",
    )


def engine_cannot_fix(image: str) -> FixFailure:
    """The error of an image that only TRIVY looked into."""
    return FixFailure(
        FixReason.ENGINE_CANNOT_FIX,
        f"{image} was scanned by TRIVY alone, whose results are no ground for a fix.",
        hint="Scan it with `--engine security-center` (or `all`) first.",
    )


def image_changed(image: str, scanned: Digest, present: Digest) -> FixFailure:
    """The error of a tag that holds something else than what was scanned."""
    return FixFailure(
        FixReason.IMAGE_CHANGED,
        f"{image} was scanned as {scanned}, and holds {present} now.",
        hint="Scan what it holds now, then fix that.",
        metadata={"scanned": scanned, "present": present},
    )


def tag_moved(image: str, named: Digest, present: Digest) -> FixFailure:
    """The error of a tag that does not hold what the caller says."""
    return FixFailure(
        FixReason.TAG_MOVED,
        f"{image} holds {present}, not {named}.",
        hint="Look at what it holds now, and name that, or no digest.",
        metadata={"present": present},
    )


def scan_under_way(image: str) -> ServiceError:
    """The error of an image whose first scan has not ended."""
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "SCAN_UNDER_WAY",
        f"The scan of {image} is not complete yet.",
        hint="Wait for its end: `drydock status --wait 5m`.",
    )


def scan_failed(image: str, reason: str, message: str) -> ServiceError:
    """The error of an image that could not be scanned."""
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "SCAN_FAILED",
        f"The scan of {image} failed, so that nobody knows what to fix: {message or reason}",
        hint="Mend the cause, and scan again.",
        metadata={"scan_reason": reason},
    )


def under_way(task: FixRecord) -> ServiceError:
    """The error of a tag of which something else is being done."""
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "FIX_UNDER_WAY",
        f"Another fix of {task.tag} is under way: task {task.task_id}, {task.state.value}.",
        hint="Wait for its end, or call it off.",
        metadata={"task_id": task.task_id},
    )


def too_many_fixes(limit: int) -> ServiceError:
    """The error of an instance with too much to do."""
    return ServiceError(
        Kind.RESOURCE_EXHAUSTED,
        "TOO_MANY_FIXES",
        f"{limit} fixes of this instance wait or are under way.",
        hint="Try again when some have ended, or raise DRYDOCK_FIXER_OPEN_PER_INSTANCE.",
        retry_after=60.0,
    )


def too_many_previews() -> ServiceError:
    """The error of a fixer that makes as many previews as it may."""
    return ServiceError(
        Kind.RESOURCE_EXHAUSTED,
        "TOO_MANY_PREVIEWS",
        "As many previews are being made as this process makes at once.",
        hint="Try again in a few seconds.",
        retry_after=5.0,
    )


def preview_timed_out() -> ServiceError:
    """The error of a preview that takes too long."""
    return ServiceError(
        Kind.DEADLINE_EXCEEDED,
        "PREVIEW_TIMED_OUT",
        "What a fix would do could not be told in time.",
        hint="Allow the call more time, or start the fix: a task has no caller who waits.",
    )


def request_id_reused() -> ServiceError:
    """The error of a request id that stands for something else."""
    return ServiceError(
        Kind.ALREADY_EXISTS,
        "REQUEST_ID_REUSED",
        "The request id belongs to another fix.",
        hint="Make a new UUID for each request; repeat one only with the same arguments.",
        field="request_id",
    )


def pushing(task: FixRecord) -> ServiceError:
    """The error of calling off what may have written a tag."""
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "FIX_PUSHING",
        f"Task {task.task_id} writes to the registry already, and goes on to its end.",
        hint="`drydock fix revert` puts back what the tag held before, once it has ended.",
    )


def not_revertible(task: FixRecord, why: str) -> ServiceError:
    """The error of a task that left nothing to put back."""
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "FIX_NOT_REVERTIBLE",
        f"Task {task.task_id} cannot be reverted: {why}.",
        hint="`drydock fix show` tells what it wrote.",
    )


def called_off() -> FixFailure:
    """The end of a task that somebody called off."""
    return FixFailure(FixReason.CANCELLED, "The fix was called off; nothing was written.")
