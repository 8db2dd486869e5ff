"""Addresses for processes that are started later than their addresses are named."""

from __future__ import annotations

import random
import socket

_HOST = "127.0.0.1"
# Below what systems give to whoever asks for any port: Linux begins at 32,768, gVisor at 16,000.
_PORTS = range(10_000, 16_000)
_kept: list[socket.socket] = []


def a_free_address() -> str:
    """Returns an address that nobody listens on, and that no other test of this machine is given.

    The same number of UDP, which nothing here speaks, is held until our process ends: who holds it has the number.
    """
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mark.bind((_HOST, port))
            with socket.socket() as probe:
                probe.bind((_HOST, port))
        except OSError:
            mark.close()
        else:
            _kept.append(mark)
            return f"{_HOST}:{port}"
    raise AssertionError(f"all ports from {_PORTS.start} to {_PORTS.stop} are taken")
