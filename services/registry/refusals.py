"""Why a registry does not take what is pushed: from answers to reasons.

The distribution-spec has codes for it that say little (DENIED, UNSUPPORTED); what else is looked for is what
registries were seen to say, read 2026-11-26. Harbor: 412 PRECONDITION "configured as immutable", 403 DENIED "in
read only mode"; Amazon ECR: 400 TAG_INVALID "cannot be overwritten because the repository is immutable"; Alibaba
ACR: "already exists and cannot be overwritten"; Azure, of what is locked: "The operation is disallowed on this
registry, repository or image"; Google: 400 MANIFEST_INVALID "has enabled tag immutability"; Quay: 405 DENIED
"System is currently read-only"; Nexus: 400 "does not allow updating assets"; distribution in its read-only mode:
405. GitLab's words were not found; it speaks of protected and of immutable tags elsewhere.
"""

from __future__ import annotations

import enum
import re
from typing import Final

import aiohttp

from services.kernel.clock import Clock
from services.kernel.errors import Kind, ServiceError
from services.kernel.reasons import Reason, ScanFailure
from services.registry.answers import Asked, Told, registry_error, unwilling

PUSHED: Final = frozenset({Asked.PUSHED_BLOB, Asked.PUSHED_MANIFEST, Asked.PUSHED_TAG})
_IMMUTABLE: Final = re.compile(
    r"immutab|cannot be overwritten|not allow updating|redeploy is not allowed|protected tag|tag is protected",
    re.I,
)
_LOCKED: Final = re.compile(r"operation is disallowed on this registry", re.I)
_READ_ONLY: Final = re.compile(r"read[-_ ]?only", re.I)
_UNFINISHED: Final = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID", "SIZE_INVALID"})
"""What an upload ends with that lost something on its way: from its start it may succeed."""

_MISSING: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})


class Refused(enum.Enum):
    """What stands in the way; the names stay."""

    PUSH_REFUSED = "PUSH_REFUSED"
    """We may not, or it does not want it."""
    REGISTRY_READ_ONLY = "REGISTRY_READ_ONLY"
    """Nobody may, at present."""
    TAG_IMMUTABLE = "TAG_IMMUTABLE"
    """The tag is there, and nobody may write over it."""


class PushRefused(ServiceError):
    """The registry does not take it, and will not take it the next time either."""

    def __init__(self, why: Refused, message: str, *, hint: str, metadata: dict[str, str] | None = None) -> None:
        super().__init__(Kind.FAILED_PRECONDITION, why.value, message, hint=hint, metadata=metadata)
        self.why = why


def push_failure(
    response: aiohttp.ClientResponse, asked: Asked, *, what: str, host: str, told: Told, clock: Clock
) -> Exception:
    """Turns an answer to something pushed, that is no success and no challenge to be met, into its reason.

    Args:
        response: status and headers.
        asked: what was pushed.
        what: its name in sentences.
        host: who answered.
        told: what `read_error` found.
        clock: for dates in Retry-After.
    """
    status, code = response.status, f" ({told.code})" if told.code else ""
    facts = {"status": str(status), "host": host} | ({"registry_code": told.code} if told.code else {})
    if status in (405, 501) or told.code == "UNSUPPORTED" or _READ_ONLY.search(told.message):
        return PushRefused(
            Refused.REGISTRY_READ_ONLY,
            f"{host} is read-only at present: it did not take {what}{code}.",
            hint="Try again when it takes pushes; a mirror of another registry never does.",
            metadata=facts,
        )
    fixed = _IMMUTABLE.search(told.message) or _LOCKED.search(told.message)
    if fixed and asked is Asked.PUSHED_TAG:
        return PushRefused(
            Refused.TAG_IMMUTABLE,
            f"{host} does not let the tag {what} be written over: it is immutable, or locked{code}.",
            hint="Take it out of the registry's rule for immutable tags, or write to another tag.",
            metadata=facts,
        )
    if status in (408, 429) or status >= 500:
        return unwilling(response, what=what, host=host, clock=clock, code=told.code)
    if told.code in _UNFINISHED or status == 416:
        return registry_error(host, f"lost the upload of {what} on its way{code}", None, facts)
    return _not_taken(status, what, host, told.code, facts)


def _not_taken(status: int, what: str, host: str, given: str, facts: dict[str, str]) -> Exception:
    code = f" ({given})" if given else ""
    if given in _MISSING:
        return ScanFailure(
            Reason.BLOB_NOT_FOUND,
            f"{host} did not take {what}, because it has not all that it leads to{code}.",
            hint="The registry is damaged or its garbage collection took it: push the original again.",
            metadata=facts,
        )
    if status == 413:
        return refused(host, f"finds {what} too large{code}", "Raise what it, or a proxy before it, takes.", facts)
    hint = "Its own log may tell why."
    if status in (401, 403, 404):
        hint = "Grant the user the right to push, to a repository that is there."
    return refused(host, f"did not take {what}: it answers {status}{code}", hint, facts)


def refused(host: str, how: str, hint: str, facts: dict[str, str] | None = None) -> PushRefused:
    """The failure of a push that the registry does not take from us."""
    return PushRefused(Refused.PUSH_REFUSED, f"{host} {how}.", hint=hint, metadata=facts)
