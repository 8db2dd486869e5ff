"""Who wants a file: asked for every entry of every layer, so that most are turned away at once."""

from __future__ import annotations

from collections.abc import Sequence

from services.scanner.catalogers.interface import Cataloger, Reads


class Wanting:
    """Asks the catalogers that go by names, but only for paths that some of their hints allow."""

    def __init__(self, catalogers: Sequence[Cataloger]) -> None:
        self._catalogers = tuple(each for each in catalogers if each.reads is not Reads.MARK)
        hints = [each.hints for each in self._catalogers if each.hints is not None]
        self._names = frozenset(name for hint in hints for name in hint.names)
        self._ends = frozenset(end for hint in hints for end in hint.ends)
        self._folders = tuple(folder for hint in hints for folder in hint.folders)
        self._all = len(hints) < len(self._catalogers)

    def of(self, path: str) -> list[Cataloger]:
        """Returns the catalogers that want a path, in their order."""
        name = path[path.rfind("/") + 1 :]
        if (
            name in self._names
            or name[name.rfind(".") + 1 :].lower() in self._ends
            or path.startswith(self._folders)
            or self._all
        ):
            return [cataloger for cataloger in self._catalogers if cataloger.wants(path)]
        return []

    def hides(self, path: str) -> bool:
        """Tells whether a link there is in place of a folder of evidence."""
        return any(cataloger.holds(path) for cataloger in self._catalogers)
