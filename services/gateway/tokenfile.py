"""The token file: one line, readable by its owner only, replaced as a whole."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from services.gateway.tokens import is_token
from services.kernel.errors import Kind, ServiceError

_MAX_BYTES = 4096


def read_token(path: Path) -> str:
    """Returns the token in the file; empty when there is no file or no token in it.

    Raises:
        ServiceError: TOKEN_FILE_UNREADABLE.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _failed("read", "TOKEN_FILE_UNREADABLE", path, error) from error
    return text if is_token(text) else ""


def write_token(path: Path, token: str) -> None:
    """Replaces the file by one of mode 0600: readers see the old content or the new, never a part.

    Raises:
        ServiceError: TOKEN_FILE_UNWRITABLE.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(token + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise _failed("write", "TOKEN_FILE_UNWRITABLE", path, error) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _failed(verb: str, reason: str, path: Path, error: OSError) -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        reason,
        f"Cannot {verb} the token file {path}: {error.strerror}.",
        hint="Check the folder's owner and mode.",
    )
