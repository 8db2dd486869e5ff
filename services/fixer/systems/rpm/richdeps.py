"""Rich dependencies, as in `(gcc if make else cc >= 3)` (rpm 4.18, `docs/manual/boolean_dependencies.md`)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Final

from services.rpmdb.faults import Damaged

_MAX_TEXT: Final = 8192
_MAX_DEPTH: Final = 32
_OPERATORS: Final = frozenset({"and", "or", "if", "unless", "else", "with", "without"})
_CHAINED: Final = frozenset({"and", "or", "with"})
_SENSES: Final = frozenset({"<", "<=", "=", ">=", ">", "=="})


@dataclasses.dataclass(frozen=True, slots=True)
class Simple:
    """A name with or without a version: `name`, `name >= 1`."""

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Rich:
    """Parts that an operator joins."""

    operator: str
    parts: tuple[Term, ...]
    otherwise: Term | None = None
    """What `else` says."""


Term = Simple | Rich


def parse(text: str) -> Term:
    """Reads a dependency that begins with a parenthesis.

    Raises:
        Damaged: it is none.
    """
    if len(text) > _MAX_TEXT:
        raise Damaged("has a dependency that is longer than any")
    parser = _Parser(_words(text))
    term = parser.term(0)
    if parser.words:
        raise _broken(text)
    return term


def _words(text: str) -> list[str]:
    """Parentheses within a name belong to it, as in `libc.so.6(GLIBC_2.34)(64bit)`."""
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text[at] in "()":
            words.append(text[at])
            at += 1
        else:
            start, depth = at, 0
            while at < len(text) and not text[at].isspace() and not (text[at] == ")" and not depth):
                depth += {"(": 1, ")": -1}.get(text[at], 0)
                at += 1
            words.append(text[start:at])
    return words


class _Parser:
    def __init__(self, words: list[str]) -> None:
        self.words = words[::-1]

    def term(self, depth: int) -> Term:
        word = self._next()
        if depth > _MAX_DEPTH or word == ")":
            raise _broken(word)
        if word != "(":
            if self.words and self.words[-1] in _SENSES:
                word = f"{word} {self._next()} {self._next()}"
            return Simple(word)
        parts = [self.term(depth + 1)]
        operator, otherwise = "", None
        while (word := self._next()) != ")":
            if word not in _OPERATORS or otherwise is not None:
                raise _broken(word)
            if word == "else" and operator in ("if", "unless"):
                otherwise = self.term(depth + 1)
            elif word == "else" or (operator and (word != operator or word not in _CHAINED)):
                raise _broken(word)
            else:
                operator = word
                parts.append(self.term(depth + 1))
        return Rich(operator, tuple(parts), otherwise) if operator else parts[0]

    def _next(self) -> str:
        if not self.words:
            raise _broken("it breaks off")
        return self.words.pop()


def holds(term: Term, packages: Callable[[str], frozenset[object]]) -> bool:
    """Tells whether a term is met.

    Args:
        term: what is asked.
        packages: returns those that provide a simple dependency; empty where none does.
    """
    if isinstance(term, Simple):
        return bool(packages(term.text))
    parts = term.parts
    match term.operator:
        case "and":
            return all(holds(part, packages) for part in parts)
        case "or":
            return any(holds(part, packages) for part in parts)
        case "if":
            return holds(parts[0], packages) if holds(parts[1], packages) else _otherwise(term, packages, True)
        case "unless":
            return _otherwise(term, packages, False) if holds(parts[1], packages) else holds(parts[0], packages)
        case _:
            return bool(_one_package(term, packages))


def _otherwise(term: Rich, packages: Callable[[str], frozenset[object]], without: bool) -> bool:
    return without if term.otherwise is None else holds(term.otherwise, packages)


def _one_package(term: Term, packages: Callable[[str], frozenset[object]]) -> frozenset[object]:
    """Returns the packages each of which meets a term of `with`, `without` and `or` by itself."""
    if isinstance(term, Simple):
        return packages(term.text)
    sets = [_one_package(part, packages) for part in term.parts]
    match term.operator:
        case "with":
            return frozenset.intersection(*sets)
        case "without":
            return sets[0].difference(*sets[1:])
        case _:
            return frozenset().union(*sets)


def names_in(text: str) -> list[str]:
    """Returns the names of a dependency as rpm's index lists them, sorted; of conditions with `!` before them.

    A dependency that cannot be read has none, as for rpm.
    """
    try:
        term = parse(text)
    except Damaged:
        return []
    marked: list[str] = []
    _gather(term, False, marked)
    return [name.removeprefix(" ") for name in sorted(set(marked))]


def _gather(term: Term, negated: bool, into: list[str]) -> None:
    """As `updateRichDepCB` does: conditions count against, and with `else` both ways."""
    if isinstance(term, Simple):
        name = re.split(r"\s", term.text, maxsplit=1)[0]
        if not name.startswith("rpmlib("):
            into.append(("!" if negated else " ") + name)
        return
    _gather(term.parts[0], negated, into)
    conditional = term.operator in ("if", "unless")
    for part in term.parts[1:]:
        start = len(into)
        _gather(part, negated ^ conditional, into)
        if term.otherwise is not None:
            into += [("!" if name[0] == " " else " ") + name[1:] for name in into[start:]]
    if term.otherwise is not None:
        _gather(term.otherwise, negated, into)


def _broken(word: str) -> Damaged:
    return Damaged(f"has a dependency that cannot be read, at {word[:60]!r}")
