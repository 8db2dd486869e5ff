"""A clamd that speaks the protocol, knows one signature, and misbehaves as the test says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

MARKER = b"fake-clamd-marker"
SIGNATURE = "Test.Marker"


class FakeClamd:
    """Takes one connection after the other."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.release = "ClamAV 1.4.3/27812/Tue Nov 24 09:11:02 2026"
        self.asked: list[bytes] = []
        """Files as it got them."""
        self.says: list[bytes] = []
        """What it says next in place of a verdict; nothing to hang up."""
        self.most = 1 << 30
        """Largest file that it takes."""
        self.silent = False
        """Whether it listens and never answers."""
        self._held: list[socket.socket] = []

    def serve(self, listener: socket.socket) -> None:
        """Until the listener is shut."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                break
            if self.silent:
                self._held.append(connection)
                continue
            with connection, connection.makefile("rb") as file:
                connection.sendall(self._answer(file))
        for each in self._held:
            each.close()

    def _answer(self, file: BinaryIO) -> bytes:
        command = b"".join(iter(lambda: file.read(1), b"\0"))
        if command == b"zVERSION":
            return self.release.encode() + b"\0"
        assert command == b"zINSTREAM"
        content = b""
        while length := struct.unpack("!I", file.read(4))[0]:
            content += file.read(length)
            if len(content) > self.most:
                return b"INSTREAM size limit exceeded. ERROR\0"
        self.asked.append(content)
        if self.says:
            return self.says.pop(0)
        return f"stream: {SIGNATURE} FOUND\0".encode() if MARKER in content else b"stream: OK\0"


@contextmanager
def fake_clamd(folder: Path) -> Iterator[FakeClamd]:
    """Yields one that listens on a socket in the folder."""
    path = folder / "clamd"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(8)
        fake = FakeClamd(str(path))
        thread = threading.Thread(target=fake.serve, args=(listener,))
        thread.start()
        try:
            yield fake
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink(missing_ok=True)
