"""Keys of OpenPGP that tests make, and signatures with them."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

from pysequoia import Sig, SignatureMode, Tsk, sign


@dataclasses.dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs repositories."""

    secret: Tsk

    @property
    def public(self) -> bytes:
        """The keyring that whoever trusts it has."""
        return bytes(self.secret.extract_certificate())

    def clear_sign(self, content: bytes) -> bytes:
        """Returns the content with the signature around it, as `InRelease` is."""
        return bytes(sign(self.secret.signer(), content, mode=SignatureMode.CLEAR))

    def sign(self, content: bytes) -> bytes:
        """Returns a signature that lies beside the content, armored."""
        return str(
            Sig.from_bytes(bytes(sign(self.secret.signer(), content, mode=SignatureMode.DETACHED)))
        ).encode()


@lru_cache
def signing_key(name: str = "archive") -> SigningKey:
    """Returns the key of that name, the same one each time in a process."""
    return SigningKey(Tsk.generate(f"{name} <{name}@example.invalid>"))
