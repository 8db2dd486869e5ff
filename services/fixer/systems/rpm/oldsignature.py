"""Signatures of OpenPGP's version 3, with which Red Hat signs packages to this day (RFC 4880, 5.2.2 and 5.2.4).

The library behind `repositories/openpgp.py` refuses them all, since their form is of long ago. What counts here is
RSA over SHA-256 or longer, by the primary key of a certificate, made while that was valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from pysequoia import Cert
from pysequoia.packet import PacketPile, Tag

from services.fixer.failure import FixFailure, FixReason

_HASHES: Final[dict[int, type[hashes.HashAlgorithm]]] = {8: hashes.SHA256, 9: hashes.SHA384, 10: hashes.SHA512}
_RSA: Final = frozenset({1, 3})
_OF_BYTES: Final = 0
_LEAST_BITS: Final = 2048
_MOST_BITS: Final = 8192


def is_old(signature: bytes) -> bool:
    """Tells whether that is one signature of version 3."""
    body = _body(signature)
    return body is not None and body[:2] == b"\x03\x05" and len(body) > 21


def _body(signature: bytes) -> bytes | None:
    try:
        packets = list(PacketPile.from_bytes(signature))
    except Exception:  # noqa: BLE001  # the library has one error for everything
        return None
    return bytes(packets[0].body) if len(packets) == 1 and packets[0].tag == Tag.Signature else None


def verify_old(content: bytes, signature: bytes, keys: Sequence[bytes], *, what: str) -> None:
    """Checks one of version 3.

    Raises:
        FixFailure: INDEX_KEY_UNKNOWN or INDEX_SIGNATURE_INVALID.
    """
    body = _body(signature) or b""
    made, issuer = body[3:7], body[7:15].hex()
    algorithm, hash_type = body[15], _HASHES.get(body[16])
    moment = datetime.fromtimestamp(int.from_bytes(made), UTC)
    candidates = [key for name, key in _keys(keys, moment) if name == issuer]
    if not candidates:
        raise FixFailure(
            FixReason.INDEX_KEY_UNKNOWN,
            f"{what} is signed by a key that is not trusted for this distribution: {issuer.upper()}.",
            hint="If it is right, put the repository's public key into the folder of DRYDOCK_FIXER_KEYRINGS_DIR.",
        )
    if body[2] == _OF_BYTES and algorithm in _RSA and hash_type is not None:
        number, _ = _number(body, 19)
        for key in candidates:
            try:
                padded = number.to_bytes(key.key_size // 8)
                key.verify(padded, content + body[2:7], PKCS1v15(), hash_type())
            except (InvalidSignature, OverflowError):
                continue
            return
    raise FixFailure(
        FixReason.INDEX_SIGNATURE_INVALID,
        f"{what} is not what its signature was made over, or is signed in a way that counts no more.",
    )


def _keys(keys: Sequence[bytes], moment: datetime) -> Iterator[tuple[str, RSAPublicKey]]:
    """Yields the primary keys that could sign then, by the name that signatures have for them."""
    for content in keys:
        for cert in Cert.split_bytes(content):
            if cert.is_revoked or (cert.expiration is not None and cert.expiration <= moment):
                continue
            for packet in PacketPile.from_bytes(bytes(cert)):
                key = _rsa(bytes(packet.body), moment) if packet.tag == Tag.PublicKey else None
                if key is not None and packet.key_id:
                    yield packet.key_id.lower(), key


def _rsa(body: bytes, moment: datetime) -> RSAPublicKey | None:
    if (
        body[:1] != b"\x04"
        or len(body) < 12
        or body[5] not in _RSA
        or int.from_bytes(body[1:5]) > moment.timestamp()
    ):
        return None
    modulus, at = _number(body, 6)
    exponent, _ = _number(body, at)
    if not _LEAST_BITS <= modulus.bit_length() <= _MOST_BITS:
        return None
    try:
        return RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:
        return None


def _number(body: bytes, at: int) -> tuple[int, int]:
    """Reads a number with its length in bits before it; returns where it ends, too."""
    end = at + 2 + (int.from_bytes(body[at : at + 2]) + 7) // 8
    return int.from_bytes(body[at + 2 : end]), end
