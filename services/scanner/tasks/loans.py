"""Loans: how whoever asks for a scan lets its image be pulled, sealed in the task's row until the task has ended.

Why they lie there: `docs/decisions/0038-harbor-adapter.md`.
"""

from __future__ import annotations

import msgspec
from pydantic import SecretStr

from services.kernel.errors import ServiceError
from services.kernel.model.access import RegistryAccess
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.secrets import SecretBox

_OTHERS_HINT = "The credentials came with the request for the scan: it takes those of a user who may pull."


class _Loan(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    plain_http: bool
    username: str
    password: str
    token: str


class Loans:
    """Seals what is lent, each loan for its own task, and opens it for whoever is about to pull."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    def seal(self, task_id: str, access: RegistryAccess) -> bytes:
        """Returns an access as it is kept."""
        loan = _Loan(
            address=access.address,
            plain_http=access.plain_http,
            username=access.username,
            password=access.password.get_secret_value(),
            token=access.token.get_secret_value(),
        )
        return self._box.seal(msgspec.json.encode(loan).decode(), _context(task_id))

    def open(self, task_id: str, sealed: bytes) -> RegistryAccess:
        """Returns what was lent for a task.

        Raises:
            ScanFailure: REGISTRY_UNAUTHORIZED when it was sealed with another key, or for another task.
        """
        try:
            loan = msgspec.json.decode(self._box.open(sealed, _context(task_id)), type=_Loan)
        except ServiceError as error:
            raise ScanFailure(
                Reason.REGISTRY_UNAUTHORIZED,
                "The credentials that came with the request cannot be decrypted by this scanner.",
                hint="Give all scanners the same DRYDOCK_SECRET_KEY, and ask again.",
            ) from error
        return RegistryAccess(
            address=loan.address,
            plain_http=loan.plain_http,
            username=loan.username,
            password=SecretStr(loan.password),
            token=SecretStr(loan.token),
        )


def refused(failure: ScanFailure) -> ScanFailure:
    """Says of a refusal of lent credentials whose they were: nobody is to look for the fault at the instance."""
    if failure.why not in (Reason.REGISTRY_UNAUTHORIZED, Reason.REGISTRY_FORBIDDEN):
        return failure
    return ScanFailure(failure.why, failure.message, hint=_OTHERS_HINT, metadata=failure.metadata)


def _context(task_id: str) -> str:
    return f"scanner.task:{task_id}"
