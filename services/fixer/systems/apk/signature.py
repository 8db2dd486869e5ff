"""The signature of an index: who made it, and whether it covers every byte behind it (apk-tools, `extract_v2.c`).

An index is a gzip member that holds signatures, `.SIGN.RSA.NAME` (SHA-1) or `.SIGN.RSA256.NAME` (SHA-256), PKCS#1
v1.5, and behind it the signed rest. Names of keys are only names: each key that we trust is tried, no other.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from services.fixer.failure import FixFailure, FixReason
from services.fixer.repositories.apk_identity import NotAnApk, members, tar_files

_SIGN: Final = ".SIGN."
_ALGORITHMS: Final[dict[str, hashes.HashAlgorithm]] = {
    "RSA512": hashes.SHA512(),
    "RSA256": hashes.SHA256(),
    "RSA": hashes.SHA1(),  # noqa: S303 -- what Alpine signs with
}
_MIN_BITS: Final = 2_048
_MAX_SIGNATURES: Final = 16
_MAX_BYTES: Final = 1 << 20


def verified(content: bytes, keys: Sequence[bytes], where: str) -> bytes:
    """Returns what is signed of a file, once a key that we trust vouches for it.

    Args:
        content: the whole file.
        keys: public keys, PEM; what is none is left.
        where: the file's address, for the message.

    Raises:
        FixFailure: INDEX_UNSIGNED, INDEX_KEY_UNKNOWN, INDEX_SIGNATURE_INVALID, REPOSITORY_INVALID.
    """
    file = io.BytesIO(content)
    try:
        first = next(members(file, _MAX_BYTES), None)
        entries = tar_files(first.plain) if first is not None else {}
    except NotAnApk as error:
        raise _unreadable(content, where, error) from error
    signatures = [(name, value) for name, value in entries.items() if name.startswith(_SIGN)][:_MAX_SIGNATURES]
    if not signatures or len(entries) != len(signatures):
        raise FixFailure(FixReason.INDEX_UNSIGNED, f"{where} has no signature.")
    signed = content[file.tell() :]
    trusted = [key for key in map(_key, keys) if key is not None]
    forged = ""
    for name, signature in signatures:
        kind, _, signer = name.removeprefix(_SIGN).partition(".")
        algorithm = _ALGORITHMS.get(kind)
        if algorithm is None:
            continue
        digest = hashlib.new(algorithm.name, signed, usedforsecurity=False).digest()
        for key in trusted:
            said = _signed_digest(key, signature, algorithm)
            if said == digest:
                return signed
            forged = forged or (signer if said is not None else "")
    if forged:
        raise FixFailure(
            FixReason.INDEX_SIGNATURE_INVALID, f"{where} is not what its signature is of: {forged[:80]!r}."
        )
    signers = ", ".join(repr(name.removeprefix(_SIGN)[:80]) for name, _ in signatures)
    raise FixFailure(
        FixReason.INDEX_KEY_UNKNOWN,
        f"{where} is signed by {signers}, and by no key that is trusted for this distribution.",
        hint="Put the distribution's public key into the folder of DRYDOCK_FIXER_KEYRINGS_DIR, if you trust it.",
    )


def _key(pem: bytes) -> RSAPublicKey | None:
    """Reads a key; one that is none, or weak, is none that we trust."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= _MIN_BITS else None


def _signed_digest(key: RSAPublicKey, signature: bytes, algorithm: hashes.HashAlgorithm) -> bytes | None:
    """Returns what a key signed; None where the signature is not of that key."""
    try:
        return key.recover_data_from_signature(signature, padding.PKCS1v15(), algorithm)
    except (InvalidSignature, ValueError):
        return None


def _unreadable(content: bytes, where: str, error: NotAnApk) -> FixFailure:
    hint = "Indexes of apk 3 (ADB) cannot be verified here yet." if content.startswith(b"ADB") else ""
    return FixFailure(FixReason.REPOSITORY_INVALID, f"{where} {error}.", hint=hint)
