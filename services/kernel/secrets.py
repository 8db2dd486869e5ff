"""Secrets at rest: AES-256-GCM, bound to the place where each is kept."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.kernel.errors import Kind, ServiceError

_NONCE = 12
_KEY = 32
_VERSION = b"\x01"


class SecretBox:
    """Seals and opens secrets with one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY:
            raise ValueError("the key must have 32 bytes")
        self._cipher = AESGCM(key)

    def seal(self, plain: str, context: str) -> bytes:
        """Encrypts; `context` names the row and column, and is needed to open: a sealed value cannot be moved."""
        nonce = secrets.token_bytes(_NONCE)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain.encode(), context.encode())

    def open(self, sealed: bytes, context: str) -> str:
        """Decrypts.

        Raises:
            ServiceError: SECRET_UNREADABLE when the key is another one or the value was changed.
        """
        nonce, body = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            return self._cipher.decrypt(nonce, body, context.encode()).decode()
        except (InvalidTag, ValueError) as error:  # the latter: too short to hold a nonce
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "SECRET_UNREADABLE",
                "A stored secret cannot be decrypted with this key.",
                hint="Start with the DRYDOCK_SECRET_KEY (or secret.key file) that it was stored with.",
            ) from error


def load_key(configured: str, file: Path) -> bytes:
    """Returns the key: the configured one (64 hex characters), else the file's, which is made (0600) if missing.

    Raises:
        ServiceError: SECRET_KEY_INVALID.
    """
    if configured:
        return _decode(configured, "DRYDOCK_SECRET_KEY")
    try:
        return _decode(file.read_text().strip(), str(file))
    except FileNotFoundError:
        _write_new(file, secrets.token_bytes(_KEY).hex())
    return _decode(file.read_text().strip(), str(file))


def _write_new(file: Path, text: str) -> None:
    """Makes the file whole at once, unless another process was first: nobody ever reads a part of a key."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()


def _decode(text: str, origin: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY:
        raise ServiceError(
            Kind.INVALID_ARGUMENT,
            "SECRET_KEY_INVALID",
            f"{origin} must hold 64 hex characters.",
            hint="Make one with: openssl rand -hex 32",
        )
    return key
