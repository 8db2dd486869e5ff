"""Files that a gate is given: exemptions in TOML, and OpenVEX documents."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from services.kernel.errors import ServiceError, invalid

if TYPE_CHECKING:
    from services.scanner.gate.api import Exemption

_MOST_BYTES = 3 << 20
_KEYS = frozenset({"id", "reason", "package", "until"})
_FORM = 'Write [[exempt]] with id = "CVE-…", reason = "…", and perhaps package = "…" and until = 2027-01-31.'


def read_exemptions(path: Path) -> tuple[Exemption, ...]:
    """Reads a file of exemptions; `until` is a day, the last on which it holds (UTC), or a moment.

    Raises:
        ServiceError: INVALID_EXEMPTION, FILE_NOT_READABLE.
    """
    try:
        document = tomllib.loads(read_document(path, "exempt").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _broken(path, f"it is no TOML: {error}") from error
    if unknown := set(document) - {"exempt"}:
        raise _broken(path, f"it has {', '.join(sorted(unknown))[:80]!r}, which says nothing")
    entries = document.get("exempt", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _broken(path, "exempt is no list of tables")
    return tuple(_exemption(path, number, entry) for number, entry in enumerate(entries, start=1))


def read_document(path: Path, field: str) -> bytes:
    """Reads a file whole.

    Raises:
        ServiceError: FILE_NOT_READABLE, also for one that is larger than anything of its sort.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, field, error.strerror or "it cannot be opened") from error
    if len(content) > _MOST_BYTES:
        raise _unreadable(path, field, f"it has more than {_MOST_BYTES >> 20} MiB")
    return content


def _exemption(path: Path, number: int, entry: dict[str, object]) -> Exemption:
    from services.scanner.gate.api import Exemption

    if unknown := set(entry) - _KEYS:
        raise _broken(path, f"entry {number} has {', '.join(sorted(unknown))}, which says nothing")
    words = {key: entry.get(key, "") for key in ("id", "reason", "package")}
    texts = {key: word for key, word in words.items() if isinstance(word, str)}
    if len(texts) < len(words) or not texts["id"].strip() or not texts["reason"].strip():
        raise _broken(path, f"entry {number} does not say which finding may pass and why")
    return Exemption(
        finding_id=texts["id"],
        reason=texts["reason"],
        package=texts["package"],
        expires_at=_expiry(path, number, entry.get("until")),
    )


def _expiry(path: Path, number: int, until: object) -> datetime | None:
    if until is None:
        return None
    if isinstance(until, datetime):
        return until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    if isinstance(until, date) and until < date.max:
        return datetime.combine(until + timedelta(days=1), time(), tzinfo=UTC)
    raise _broken(path, f"entry {number} has no day as `until`")


def _broken(path: Path, why: str) -> ServiceError:
    return invalid("INVALID_EXEMPTION", f"{path} cannot be taken: {why}.", field="exempt", hint=_FORM)


def _unreadable(path: Path, field: str, why: str) -> ServiceError:
    return invalid("FILE_NOT_READABLE", f"{path} cannot be read: {why}.", field=field)
