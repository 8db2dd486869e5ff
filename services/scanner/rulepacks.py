"""How the rules for baseline and malware are: those in use, and those that lie in the operator's folder now."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import structlog

from services.kernel.workers.pool import WorkerDied, WorkerPool, WorkerTimedOut
from services.rules.engines.api import Part, PartHealth
from services.scanner.inspectors.inspection import Inspection
from services.scanner.inspectors.rulefiles import Broken, RuleFile, read_folder
from services.scanner.search import RULE_FILE_BROKEN, wrong_with

log = structlog.get_logger()

_COMPILE_SECONDS: Final = 120.0
_MAX_NAMED: Final = 3


class RulePacks:
    """Compiles the rules in use once, in a worker, and looks at the operator's files again and again."""

    def __init__(self, inspection: Inspection, folder: Path | None, workers: WorkerPool) -> None:
        """Takes what is in use, and the folder that the operator keeps files in, if there is one."""
        self._inspection = inspection
        self._folder = folder
        self._workers = workers
        self._compiles = False
        self._judged: dict[RuleFile, Broken | None] = {}

    async def look(self) -> PartHealth:
        """Returns how they are now."""
        if not self._compiles and (why := await self._compile()):
            return self._health(ready=False, reason="RULES_BROKEN", message=why)
        if self._folder is None:
            return self._health(ready=True)
        try:
            files, broken = await asyncio.to_thread(self._read, self._folder)
        except OSError as error:  # somebody may be at work in it
            message = f"The folder of the operator's rules cannot be read ({type(error).__name__})."
            return self._health(ready=False, reason="RULE_FOLDER_UNREADABLE", message=message)
        if broken:
            named = "; ".join(f"{one.name}: {one.why}" for one in broken[:_MAX_NAMED])
            count = f"{len(broken)} files of the operator's rules are not usable"
            return self._health(ready=False, reason=RULE_FILE_BROKEN, message=f"{count}: {named}.")
        if set(files) != {*self._inspection.files, *self._inspection.hashes}:
            message = (
                "The operator's files are not those of the scanner's start, which it still uses: start it again."
            )
            return self._health(ready=True, reason="RULE_FILES_CHANGED", message=message)
        return self._health(ready=True)

    async def _compile(self) -> str:
        """Returns what is wrong with the rules in use; empty when they compile."""
        try:
            why = await self._workers.run(_COMPILE_SECONDS, compile_rules, self._inspection)
        except (WorkerDied, WorkerTimedOut) as error:
            why = f"The rules could not be compiled ({type(error).__name__})."
        self._compiles = not why
        if why:
            log.error("rules.broken", why=why)
        return why

    def _read(self, folder: Path) -> tuple[tuple[RuleFile, ...], tuple[Broken, ...]]:
        found = read_folder(folder)
        known = self._judged
        self._judged = {file: known[file] if file in known else wrong_with(file) for file in found.files}
        return found.files, (*found.broken, *(why for why in self._judged.values() if why is not None))

    def _health(self, *, ready: bool, reason: str = "", message: str = "") -> PartHealth:
        return PartHealth(
            part=Part.RULE_PACKS, ready=ready, version=self._inspection.rules, reason=reason, message=message
        )


def compile_rules(inspection: Inspection) -> str:
    """Compiles all rules in a worker process; returns what is wrong with them, nothing when they compile."""
    import yara_x  # noqa: PLC0415 - only workers have rules

    from services.scanner.inspectors.engine import engine_of  # noqa: PLC0415 - the same

    try:
        engine_of(inspection).compile()
    except (yara_x.CompileError, ValueError) as error:
        return f"The rules do not compile: {str(error)[:500]}"
    return ""
