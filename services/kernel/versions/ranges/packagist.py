"""Composer's constraints (Composer documentation, "Versions and constraints"; composer/semver)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from services.kernel.versions.packagist import MODIFIER, PhpKey, normalize, php_key
from services.kernel.versions.ranges import CACHED

_OPERATORS: Final[dict[str, Callable[[PhpKey, PhpKey], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FLAGS: Final = re.IGNORECASE | re.ASCII
_VERSION: Final = (
    r"v?([0-9]++)(?:\.([0-9]++))?(?:\.([0-9]++))?(?:\.([0-9]++))?"
    rf"(?:{MODIFIER}|\.([x*][.-]?dev))(?:\+\S+)?"
)
_EITHER = re.compile(r"\s*\|\|?\s*")
_BOTH = re.compile(r"(?<!^)(?<!as)(?<![=>< ,]) ?(?<!-)[, ](?!-) ?(?!,|as|$)")
_SPACES = re.compile(r" +")
_ALIAS = re.compile(r"([^,\s]+) +as +([^,\s]+)")
_STABILITY = re.compile(r"([^,\s]*?)@(stable|rc|beta|alpha|dev)", _FLAGS)
_REFERENCE = re.compile(r"(dev-[^,\s@]+?|[^,\s@]+?\.x-dev)#.+", _FLAGS)
_ANY = re.compile(r"(v)?[x*](\.[x*])*", _FLAGS)
_TILDE = re.compile(rf"~{_VERSION}", _FLAGS)
_CARET = re.compile(rf"\^{_VERSION}", _FLAGS)
_X_RANGE = re.compile(r"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:\.[xX*])+")
_HYPHEN = re.compile(rf"(?P<low>{_VERSION}) +- +(?P<high>{_VERSION})", _FLAGS)
_BASIC = re.compile(r"(<>|!=|>=?|<=?|==?)?\s*(.*)", re.DOTALL)
_SUFFIX = re.compile(rf"-{MODIFIER}\Z", _FLAGS)
_STABLE_END = re.compile(rf"{MODIFIER}\Z", _FLAGS)
_NAME = re.compile(r"[0-9a-zA-Z./-]+")


class Constraint(NamedTuple):
    """One bound."""

    sign: str
    version: str
    """Normalized."""
    key: PhpKey


def _constraint(sign: str, version: str) -> Constraint:
    return Constraint(sign, version, php_key(version))


_Numbers = tuple[str | None, ...]
_All = tuple[Constraint, ...]


def satisfies(expression: str, version: str) -> bool:
    """Tells whether Composer takes the version for the constraint.

    Stabilities count as bounds only: whether a project wants a `dev` or a `beta` at all is not for a range to say.
    """
    text = normalize(version)
    if text is None:
        return False
    key = php_key(text)
    return any(all(_holds(constraint, text, key) for constraint in choice) for choice in _parse(expression))


def _holds(constraint: Constraint, version: str, key: PhpKey) -> bool:
    sign, bound, bound_key = constraint
    if version.startswith("dev-") or bound.startswith("dev-"):
        # Branches have no order.
        return version != bound if sign == "!=" else sign == "=" and version == bound
    return _OPERATORS[sign](key, bound_key)


@lru_cache(maxsize=CACHED)
def _parse(expression: str) -> tuple[_All, ...]:
    """Returns the choices, each of constraints that must all hold; none where Composer refuses one."""
    choices: list[_All] = []
    for choice in _EITHER.split(_SPACES.sub(" ", expression.strip())):
        found: list[Constraint] = []
        for text in _BOTH.split(choice):
            constraints = _constraints(text)
            if constraints is None:
                return ()
            found.extend(constraints)
        choices.append(tuple(found))
    return tuple(choices)


def _constraints(text: str) -> _All | None:
    """Returns the bounds that one constraint stands for, none for any version; None where it cannot be read."""
    alias = _ALIAS.fullmatch(text)
    text = alias[1] if alias else text
    flag = _STABILITY.fullmatch(text)
    text = (flag[1] or "*") if flag else text
    stability = flag[2] if flag and flag[2] != "stable" else ""
    reference = _REFERENCE.fullmatch(text)
    text = reference[1] if reference else text
    if (match := _ANY.fullmatch(text)) is not None:
        return (_constraint(">=", "0.0.0.0-dev"),) if match[1] or match[2] else ()
    for pattern, read in ((_TILDE, _tilde), (_CARET, _caret), (_X_RANGE, _x_range), (_HYPHEN, _hyphen)):
        if (match := pattern.fullmatch(text)) is not None:
            return read(match)
    return _basic(text, stability)


def _tilde(match: re.Match[str]) -> _All | None:
    numbers = match.groups()[:4]
    given = max(place for place in range(1, 5) if numbers[place - 1])
    raised = max(1, given - 1 + bool(match[8]))
    return _from_to(match[0][1:] + _unstable(match, 5), numbers, raised)


def _caret(match: re.Match[str]) -> _All | None:
    major, minor, patch = match.group(1, 2, 3)
    raised = 1 if major != "0" or not minor else 2 if minor != "0" or not patch else 3
    return _from_to(match[0][1:] + _unstable(match, 5), match.groups()[:4], raised)


def _from_to(low: str, numbers: _Numbers, raised: int) -> _All | None:
    lower = normalize(low)
    return None if lower is None else (_constraint(">=", lower), _constraint("<", _raised(numbers, raised)))


def _x_range(match: re.Match[str]) -> _All:
    numbers = match.groups()
    given = max(place for place in range(1, 4) if numbers[place - 1])
    lower = f"{_padded(numbers, given)}-dev"
    upper = _constraint("<", _raised(numbers, given))
    return (upper,) if lower == "0.0.0.0-dev" else (_constraint(">=", lower), upper)


def _hyphen(match: re.Match[str]) -> _All | None:
    low, high = normalize(match["low"]), normalize(match["high"])
    if low is None or high is None:
        return None
    lower = _constraint(">=", low + _unstable(match, 6))
    numbers = match.group(11, 12, 13, 14)
    if (numbers[1] and numbers[2]) or match[15] or match[17] or match[18]:
        return (lower, _constraint("<=", high))
    return (lower, _constraint("<", _raised(numbers, 2 if numbers[1] else 1)))


def _basic(text: str, stability: str) -> _All | None:
    match = _BASIC.fullmatch(text)
    if match is None:  # the expression matches any text: never the case
        return None
    sign, written = match[1] or "=", match[2]
    version = normalize(written)
    if version is None and written.endswith("-dev") and _NAME.fullmatch(written):
        version = normalize(f"dev-{written[:-4]}")
    if version is None:
        return None
    sign = {"==": "=", "<>": "!="}.get(sign, sign)
    if sign != "=" and stability and _is_stable(version):
        version += f"-{stability}"
    elif sign in ("<", ">=") and not _SUFFIX.search(written) and not written.startswith("dev-"):
        version += "-dev"
    return (_constraint(sign, version),)


def _is_stable(version: str) -> bool:
    match = _STABLE_END.search(version)
    return not version.startswith("dev-") and (
        match is None or not (match[3] or (match[1] or "").lower() in ("beta", "b", "alpha", "a", "rc"))
    )


def _unstable(match: re.Match[str], group: int) -> str:
    """A bound without a stability of its own begins with the first unstable version."""
    return "" if match[group] or match[group + 2] or match[group + 3] else "-dev"


def _raised(numbers: _Numbers, place: int) -> str:
    """Returns the first unstable version after all that agree in the first `place` numbers."""
    kept = [*numbers[: place - 1], str(int(numbers[place - 1] or 0) + 1)]
    return f"{_padded(tuple(kept), place)}-dev"


def _padded(numbers: _Numbers, kept: int) -> str:
    return ".".join([*(number or "0" for number in numbers[:kept]), *["0"] * (4 - kept)])
