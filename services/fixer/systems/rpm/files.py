"""The files that a header tells of."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.header import Header
from services.rpmdb.faults import Damaged

_T = TypeVar("_T")
_MAX_FILES: Final = 200_000
_MAX_PATH: Final = 4096
_HASHES: Final = {0: "md5", 1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """One file of a package, as its header has it."""

    path: str
    """Relative to the root, as packaged: links of an image are not followed."""
    mode: int
    size: int
    mtime: int
    user: str
    group: str
    flags: int
    digest: str
    """Hexadecimal; empty of what is no plain file, and of ghosts."""
    algorithm: str
    target: str
    """Of a symbolic link."""
    device: tuple[int, int]
    inode: tuple[int, int]
    """Equal for the names of one file; the file system's number first."""
    color: int
    languages: str
    capabilities: str
    state: int
    """Of an installed package; NORMAL of one that is not."""

    @property
    def is_config(self) -> bool:
        """Whether it is the administrator's to change."""
        return bool(self.flags & tags.CONFIG)

    @property
    def is_ghost(self) -> bool:
        """Whether the package owns it and does not bring it."""
        return bool(self.flags & tags.GHOST)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_plain(self) -> bool:
        """Whether it has content."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


def files_of(header: Header) -> tuple[File, ...]:
    """Returns a header's files in its order.

    Raises:
        Damaged: lists of different lengths, or paths that leave the root.
    """
    names = header.texts(tags.BASE_NAMES)
    if not names:
        return ()
    if len(names) > _MAX_FILES:
        raise Damaged("has more files than any package")
    count = len(names)
    folders = header.texts(tags.DIR_NAMES)
    indexes = _column(header.numbers(tags.DIR_INDEXES), count)
    sizes = header.numbers(tags.LONG_FILE_SIZES) or header.numbers(tags.FILE_SIZES)
    devices = header.numbers(tags.FILE_DEVICES) or (0,) * count
    inodes = header.numbers(tags.FILE_INODES) or tuple(range(count))
    algorithm = _HASHES.get(header.number(tags.FILE_DIGEST_ALGORITHM), "")
    rows = zip(
        indexes,
        names,
        _column(header.numbers(tags.FILE_MODES), count),
        _column(sizes, count),
        _column(header.numbers(tags.FILE_TIMES), count),
        _column(header.texts(tags.FILE_USERS), count),
        _column(header.texts(tags.FILE_GROUPS), count),
        _column(header.numbers(tags.FILE_FLAGS), count),
        _column(header.texts(tags.FILE_DIGESTS), count),
        _column(header.texts(tags.FILE_TARGETS), count),
        _column(header.numbers(tags.FILE_RDEVS), count),
        zip(_column(devices, count), _column(inodes, count), strict=True),
        _column(header.numbers(tags.FILE_COLORS) or (0,) * count, count),
        _column(header.texts(tags.FILE_LANGUAGES) or ("",) * count, count),
        _column(header.texts(tags.FILE_CAPABILITIES) or ("",) * count, count),
        _column(header.numbers(tags.FILE_STATES) or (tags.NORMAL,) * count, count),
        strict=True,
    )
    return tuple(
        File(
            path=_path(folders, folder, name),
            mode=mode,
            size=size,
            mtime=mtime,
            user=user,
            group=group,
            flags=flags,
            digest=digest.lower(),
            algorithm=algorithm,
            target=target,
            device=(device >> 8 & 0xFFF, device & 0xFF | device >> 12 & 0xFFF00),
            inode=inode,
            color=color,
            languages=languages,
            capabilities=capabilities,
            state=state,
        )
        for (
            folder, name, mode, size, mtime, user, group, flags, digest, target, device, inode, color, languages,
            capabilities, state,
        ) in rows
    )  # fmt: skip


def names_of_files(files: Iterable[File]) -> dict[tuple[int, int], list[int]]:
    """Returns the numbers of the names of each plain file; its content comes with the last one."""
    together: dict[tuple[int, int], list[int]] = {}
    for number, file in enumerate(files):
        if file.is_plain and not file.is_ghost:
            together.setdefault(file.inode, []).append(number)
    return together


def _column(values: Sequence[_T], count: int) -> Sequence[_T]:
    if len(values) != count:
        raise Damaged("has lists of its files that do not fit together")
    return values


def _path(folders: Sequence[str], folder: int, name: str) -> str:
    if folder >= len(folders):
        raise Damaged("has a file in a folder that it does not tell")
    path = (folders[folder] + name).strip("/")
    odd = path and not {"", ".", ".."}.isdisjoint(path.split("/"))
    if "/" in name or len(path) > _MAX_PATH or odd:
        raise Damaged(f"has a file at a path that cannot be one: {path[:100]!r}")
    return path
