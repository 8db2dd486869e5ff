"""Opinion: clamd is asked about the files of a layer, within bounds; what it did not look at is told."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.kernel.model.finding import FindingKind
from services.kernel.model.report import ReportWarning
from services.kernel.model.severity import Severity
from services.scanner.inspectors.clamd import CLAMD_FAILED, Clamd, ClamdFailed, ClamdRefused, Question
from services.scanner.inspectors.interface import RuleFacts
from services.scanner.inspectors.malware import ADVICE
from services.scanner.reading.complaints import shown

CLAMD_LIMIT: Final = "CLAMD_LIMIT"
_CUT_SHORT: Final = "Heuristics.Limits.Exceeded"
"""What clamd says, if its AlertExceedsMax is on, of a file that it gave up."""
_PATIENCE: Final = 3
"""Failures one after the other, after which it is not asked about the rest of a layer."""
_SHORTEST: Final = 0.001
_MAX_NAMED: Final = 20
"""Files of a layer that are named for one reason."""


class SecondOpinion:
    """What clamd says of the files of one layer."""

    def __init__(self, clamd: Clamd) -> None:
        self._clamd = clamd
        self._left = clamd.layer_seconds
        self._failures = 0
        self._lacking: Counter[str] = Counter()
        self._told: list[ReportWarning] = []

    @property
    def failed(self) -> bool:
        """Whether it failed to answer: another time it may say more."""
        return CLAMD_FAILED in self._lacking

    def of(self, path: str, content: bytes) -> RuleFacts | None:
        """Returns what it knows a file as, if it is a bad one."""
        asking = self.ask(path, len(content))
        asking.take(content)
        return asking.finish()

    def ask(self, path: str, size: int, *, sparse: bool = False) -> Asking:
        """Begins to ask about a file of so many bytes; what a sparse one is stored as is another file."""
        if sparse:
            self._lacks(CLAMD_LIMIT, path, "it is stored as a sparse file")
        elif size > self._clamd.file_bytes:
            self._lacks(CLAMD_LIMIT, path, f"it has more than {self._clamd.file_bytes} bytes")
        elif self._failures >= _PATIENCE:
            self._lacks(CLAMD_FAILED, path, "it did not answer for others")
        elif self._left <= 0:
            self._lacks_time(path)
        else:
            with self.waiting(path) as seconds:
                return Asking(self, path, Question(dataclasses.replace(self._clamd, seconds=seconds)))
        return Asking(self, path, None)

    @contextmanager
    def waiting(self, path: str) -> Iterator[float]:
        """Yields the seconds that a step has, and counts them; that it fails is noted, and ends only the step."""
        begun = time.monotonic()
        try:
            yield max(min(self._clamd.seconds, self._left), _SHORTEST)
        except ClamdRefused as refused:
            self._lacks(CLAMD_LIMIT, path, str(refused))
        except ClamdFailed as failure:
            if time.monotonic() - begun >= self._left:
                self._lacks_time(path)
            else:
                self._failures += 1
                self._lacks(CLAMD_FAILED, path, str(failure))
        finally:
            self._left -= time.monotonic() - begun

    def conclude(self, path: str, signature: str) -> RuleFacts | None:
        """Returns what a verdict means."""
        self._failures = 0
        if not signature:
            return None
        if signature.startswith(_CUT_SHORT):
            self._lacks(CLAMD_LIMIT, path, f"it gave up ({signature})")
            return None
        return RuleFacts(
            id=signature,
            kind=FindingKind.MALICIOUS_SAMPLE,
            severity=Severity.HIGH,
            title=f"ClamAV knows it as {signature}",
            advice=ADVICE,
        )

    def warnings(self) -> Iterator[ReportWarning]:
        """Yields what it did not look at in the layer."""
        yield from self._told
        for code, count in self._lacking.items():
            if count > _MAX_NAMED:
                more = count - _MAX_NAMED
                message = f"clamd did not look at {more} more files of the layer, or not at all of them."
                yield ReportWarning(code=code, message=message)

    def _lacks_time(self, path: str) -> None:
        self._lacks(CLAMD_LIMIT, path, f"it has {self._clamd.layer_seconds:g} seconds for a layer")

    def _lacks(self, code: str, path: str, why: str) -> None:
        self._lacking[code] += 1
        if self._lacking[code] <= _MAX_NAMED:
            message = f"clamd did not look at /{shown(path, 200)}, or not at all of it: {why}."
            self._told.append(ReportWarning(code=code, message=message, path=f"/{path}"))


class Asking:
    """One file that it is asked about, piece by piece."""

    def __init__(self, opinion: SecondOpinion, path: str, question: Question | None) -> None:
        self._opinion = opinion
        self._path = path
        self._question = question

    def take(self, piece: bytes | memoryview) -> None:
        """Gives it a piece of the file."""
        question, self._question = self._question, None
        if question is not None:
            with self._opinion.waiting(self._path) as seconds:
                question.within(seconds)
                question.send(piece)
                self._question = question
            if self._question is None:
                question.close()

    def finish(self) -> RuleFacts | None:
        """Returns what it knows the file as, if it is a bad one."""
        question, self._question = self._question, None
        if question is None:
            return None
        with question, self._opinion.waiting(self._path) as seconds:
            question.within(seconds)
            return self._opinion.conclude(self._path, question.verdict())
        return None
