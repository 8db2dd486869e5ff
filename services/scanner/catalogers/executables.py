"""Executables that carry a list of what was built into them: seen by a mark, so that nobody takes them for clean.

Sources: Go, package `debug/buildinfo`, `buildInfoMagic`; cargo-auditable, PARSING.md, section `.dep-v0`.
"""

from __future__ import annotations

from services.scanner.catalogers.interface import Cataloger, Evidence, Mark, Reads


class _ExecutableCataloger(Cataloger):
    reads = Reads.MARK
    ecosystem: str

    def wants(self, path: str) -> bool:
        """Any: a program is what it is under every name."""
        return True

    def read(self, path: str, content: bytes) -> Evidence:
        """The ecosystem; of which packages is not known."""
        return Evidence(path=path, cataloger=self.name, unread=self.ecosystem)


class GoExecutableCataloger(_ExecutableCataloger):
    """Knows what Go's linker made, since Go 1.13."""

    name = "go-executable"
    version = 1
    mark = Mark(b"\xff Go buildinf:", loaded=True)
    ecosystem = "Go"


class RustExecutableCataloger(_ExecutableCataloger):
    """Knows what was built with cargo-auditable; other Rust programs do not tell what is in them.

    The section's name is looked for: names of sections are not loaded.
    """

    name = "rust-executable"
    version = 1
    mark = Mark(b".dep-v0\0", loaded=False)
    ecosystem = "crates.io"
