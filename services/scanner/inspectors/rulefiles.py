"""Files of YARA rules and lists of hashes as text, and the folder in which an operator keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

_MAX_FILES: Final = 2_000
_MAX_BYTES: Final = 16 << 20
_YARA: Final = (".yar", ".yara")
_HASHES: Final = (".sha256", ".md5", ".hdb", ".hsb")


class RuleFile(NamedTuple):
    """A file of YARA rules or a list of hashes, in the operator's folder or ours."""

    name: str
    text: str

    @property
    def lists_hashes(self) -> bool:
        """Tells a list of hashes by its name."""
        return self.name.endswith(_HASHES)


class Broken(NamedTuple):
    """A file of rules that cannot be used."""

    name: str
    line: int
    why: str


class RuleFolder(NamedTuple):
    """What lies in an operator's folder."""

    files: tuple[RuleFile, ...]
    broken: tuple[Broken, ...]


def read_folder(folder: Path) -> RuleFolder:
    """Reads the files of rules below a folder, in the order of their names; what cannot be read is told."""
    if not folder.is_dir():
        return RuleFolder((), (Broken(str(folder), 0, "there is no such folder"),))
    files: list[RuleFile] = []
    broken: list[Broken] = []
    left = _MAX_BYTES
    for path in sorted(each for each in folder.rglob("*") if each.suffix in _YARA + _HASHES and each.is_file()):
        name = str(path.relative_to(folder))
        if len(files) == _MAX_FILES or (left := left - path.stat().st_size) < 0:
            broken.append(Broken(name, 0, f"the folder has more than {_MAX_FILES} files or {_MAX_BYTES} bytes"))
            break
        try:
            files.append(RuleFile(name, path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            broken.append(Broken(name, 0, f"it cannot be read as UTF-8 ({type(error).__name__})"))
    return RuleFolder(tuple(files), tuple(broken))


def digest_of_files(files: Sequence[RuleFile]) -> str:
    """Returns a digest of files of rules, which names and content make."""
    digest = hashlib.sha256()
    for part in _parts(files):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def _parts(files: Sequence[RuleFile]) -> Iterator[bytes]:
    for file in files:
        yield file.name.encode("utf-8", "surrogateescape")
        yield file.text.encode("utf-8", "surrogateescape")
