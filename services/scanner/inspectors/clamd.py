"""Clamd: what an antivirus daemon of the operator says of a file, by INSTREAM (clamd(8), "COMMANDS")."""

from __future__ import annotations

import dataclasses
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from services.scanner.inspectors.masking import printable

CLAMD_FAILED: Final = "CLAMD_FAILED"
"""Says that it failed to answer for files, and so of a whole report that another time it may say more."""
CLAMD_UNAVAILABLE: Final = "CLAMD_UNAVAILABLE"
"""Says that nobody could ask it."""
_STEP: Final = 1 << 17
_MAX_ANSWER: Final = 4096
_VERSION_SECONDS: Final = 5.0
_TOO_LARGE: Final = "size limit exceeded"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clamd:
    """Where clamd is, and how long and for how much it is asked; small enough to travel to a worker process."""

    address: str
    """Path of a socket, or HOST:PORT."""
    release: str = ""
    """Its own version and that of its signatures, as it says them."""
    seconds: float = 60.0
    """Longest time for each step of asking about one file: reaching it, giving it a piece, its verdict."""
    file_bytes: int = 100 << 20
    """Larger files are not given to it."""
    layer_seconds: float = 300.0
    """Longest time that it has for one layer, however slow a file is."""

    @property
    def key(self) -> str:
        """Names all that changes what it says of the same bytes."""
        return f"clamd={self.release}.{self.file_bytes}.{self.layer_seconds:g}"


class ClamdFailed(Exception):
    """It could not be asked, or gave no verdict; the text says why."""


class ClamdRefused(ClamdFailed):
    """It does not take files of that size."""


def release_of(clamd: Clamd) -> str:
    """Asks clamd for its version and that of its signatures, as in `ClamAV 1.4.3/27812/Tue Nov 24 09:11:02 2026`.

    Raises:
        ClamdFailed: it does not answer within a few seconds.
    """
    asked = dataclasses.replace(clamd, seconds=min(clamd.seconds, _VERSION_SECONDS))
    with Question(asked, b"VERSION") as question:
        answer = question.answer()
    if not answer.startswith("ClamAV "):
        raise ClamdFailed(f"it answers {printable(answer)!r}")
    return printable(answer)


class Question:
    """One question to clamd, over a connection of its own: it closes those that are idle while a layer is read."""

    def __init__(self, clamd: Clamd, command: bytes = b"INSTREAM") -> None:
        """Connects.

        Raises:
            ClamdFailed: nobody takes the connection.
        """
        self.within(clamd.seconds)
        with _told():
            self._socket = _connected(clamd.address, clamd.seconds)
            try:
                self._socket.sendall(b"z" + command + b"\0")
            except OSError:
                self._socket.close()
                raise

    def __enter__(self) -> Self:
        """Closes the connection at the end."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the connection."""
        self.close()

    def within(self, seconds: float) -> None:
        """Says how long what is done next may take."""
        self._until = time.monotonic() + seconds

    def send(self, content: bytes | memoryview) -> None:
        """Gives it more of the file.

        Raises:
            ClamdRefused: it has enough.
            ClamdFailed: it does not listen any more.
        """
        content = memoryview(content)
        for start in range(0, len(content), _STEP):
            self._give(content[start : start + _STEP])

    def _give(self, piece: bytes | memoryview) -> None:
        """Gives it a piece, of which an empty one is the end."""
        try:
            with _told():
                self._hurry()
                self._socket.sendall(struct.pack("!I", len(piece)) + piece)
        except ClamdFailed as failure:
            # It closes a connection after it said why; over TCP what it said may be lost on the way.
            try:
                _signature(self.answer())
            except ClamdRefused:
                raise
            except ClamdFailed:
                raise failure from None
            raise

    def verdict(self) -> str:
        """Ends the file, and returns the name of the signature that is in it; empty where none is.

        Raises:
            ClamdRefused: the file is too large for it.
            ClamdFailed: it does not answer in time, or with an error.
        """
        self._give(b"")
        return _signature(self.answer())

    def answer(self) -> str:
        """Returns one answer, as it is.

        Raises:
            ClamdFailed: there is none in time, or none that ends.
        """
        answer = b""
        with _told():
            while b"\0" not in answer:
                self._hurry()
                piece = self._socket.recv(_MAX_ANSWER)
                answer += piece
                if not piece:
                    raise ClamdFailed("it closed the connection without an answer")
                if len(answer) > _MAX_ANSWER:
                    raise ClamdFailed("its answer has no end")
        return answer.partition(b"\0")[0].decode("utf-8", "replace")

    def _hurry(self) -> None:
        self._socket.settimeout(max(self._until - time.monotonic(), 0.001))

    def close(self) -> None:
        """Lets it go, asked to the end or not."""
        self._socket.close()


def _connected(address: str, seconds: float) -> socket.socket:
    if not address.startswith("/"):
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=seconds)
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(seconds)
        made.connect(address)
    except OSError:
        made.close()
        raise
    return made


def _signature(answer: str) -> str:
    """Reads `stream: OK`, `stream: NAME FOUND` and `… ERROR`."""
    said = answer.removeprefix("stream: ")
    if said == "OK":
        return ""
    if said.endswith(" FOUND"):
        return printable(said.removesuffix(" FOUND"))
    if _TOO_LARGE in said:
        raise ClamdRefused("it takes no files of that size (StreamMaxLength)")
    raise ClamdFailed(f"it answers {printable(said)!r}")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise ClamdFailed("it does not answer in time") from error
    except OSError as error:
        raise ClamdFailed(f"it cannot be reached ({error.strerror or type(error).__name__})") from error
