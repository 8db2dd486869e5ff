"""The content of an image's files, as far as it was kept."""

from __future__ import annotations

from services.fixer.image.node import NodeKind, Tree
from services.fixer.systems.dpkg.control import decode


def is_file(tree: Tree, path: str) -> bool:
    """Tells whether a path leads to a regular file."""
    real = tree.real_path(path, last=True)
    node = tree.get(real) if real is not None else None
    return node is not None and node.kind is NodeKind.FILE


def content_of(tree: Tree, path: str) -> bytes | None:
    """Returns a file's content; None where there is no file, or nobody asked for its content."""
    real = tree.real_path(path, last=True)
    if real is None or not is_file(tree, path):
        return None
    try:
        return tree.read(real)
    except KeyError:
        return None  # a link to what nobody asked for is not followed


def text_of(tree: Tree, path: str) -> str:
    """Returns a file's text, empty where there is none."""
    content = content_of(tree, path)
    return decode(content) if content is not None else ""
