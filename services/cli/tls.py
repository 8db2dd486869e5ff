"""How the command line speaks TLS with a gateway: by the environment, as it gets its token."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from services.kernel.errors import invalid

if TYPE_CHECKING:
    import grpc

_SYSTEM = "system"


def spoken() -> bool:
    """Tells whether the environment asks for TLS."""
    return bool(os.environ.get("DRYDOCK_TLS_CA"))


def credentials() -> grpc.ChannelCredentials | None:
    """Returns what `DRYDOCK_TLS_CA`, `DRYDOCK_TLS_CERT` and `DRYDOCK_TLS_KEY` say; None for plain text.

    Raises:
        ServiceError: TLS_INCOMPLETE, TLS_FILE_UNREADABLE, TLS_FILE_INVALID.
    """
    import grpc

    from services.kernel.rpc.identity import read_authority, read_pair

    authority, certificate, key = (os.environ.get(f"DRYDOCK_TLS_{name}", "") for name in ("CA", "CERT", "KEY"))
    if not authority and not certificate and not key:
        return None
    if not authority or bool(certificate) is not bool(key):
        missing = "DRYDOCK_TLS_CA" if not authority else f"DRYDOCK_TLS_{'KEY' if certificate else 'CERT'}"
        raise invalid(
            "TLS_INCOMPLETE",
            f"To speak TLS with the server {missing} is needed too.",
            field=missing,
            hint=f"Name PEM files; DRYDOCK_TLS_CA={_SYSTEM} trusts the authorities of this machine.",
        )
    own, secret = read_pair(Path(certificate), Path(key)) if certificate else (None, None)
    roots = read_authority(Path(authority)) if authority != _SYSTEM else None
    return grpc.ssl_channel_credentials(roots, secret, own)
