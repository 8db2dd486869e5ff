"""Named queries: the SQL of a service lies in its own files, one block for each query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

_HEAD = re.compile(r"^-- name: (?P<name>[a-z_]+)\n(?P<prose>(?:-- .*\n)+)", re.MULTILINE)


def load_queries(package: str) -> Mapping[str, str]:
    """Reads `sql/*.sql` of a package.

    A block is `-- name: insert_rule`, at least one comment line that says what it does, then the statement.

    Raises:
        ValueError: a name occurs twice, or a file has text before its first block.
    """
    queries: dict[str, str] = {}
    folder = resources.files(package) / "sql"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        text = file.read_text(encoding="utf-8")
        heads = list(_HEAD.finditer(text))
        if not heads or text[: heads[0].start()].strip():
            raise ValueError(f"{package}/sql/{file.name} must begin with '-- name: …' and a line of prose")
        for head, following in zip(heads, [*heads[1:], None], strict=True):
            name = head["name"]
            if name in queries:
                raise ValueError(f"{package}/sql/{file.name} defines {name} twice")
            queries[name] = text[head.end() : following.start() if following else None].strip()
    return MappingProxyType(queries)
