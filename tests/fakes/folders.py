"""An image's tree that is a folder on disk, and a layer that changes one at once."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from services.fixer.image.node import Attributes, Node, NodeKind
from services.layers.links import real_path

_KINDS = {
    stat.S_IFREG: NodeKind.FILE,
    stat.S_IFDIR: NodeKind.DIRECTORY,
    stat.S_IFLNK: NodeKind.SYMBOLIC_LINK,
    stat.S_IFCHR: NodeKind.CHARACTER_DEVICE,
    stat.S_IFBLK: NodeKind.BLOCK_DEVICE,
    stat.S_IFIFO: NodeKind.FIFO,
}


class FolderTree:
    """Meets `services/fixer/image/node.py::Tree`; any content can be read."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._links: dict[str, str] = {}
        for folder, folders, files in os.walk(root):
            for name in (*folders, *files):
                path = Path(folder) / name
                if path.is_symlink():
                    self._links[str(path.relative_to(root))] = str(path.readlink())

    def get(self, path: str) -> Node | None:
        try:
            found = os.lstat(self._root / path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        link = stat.S_ISLNK(found.st_mode)
        names = [] if link else os.listxattr(self._root / path)
        return Node(
            kind=_KINDS[stat.S_IFMT(found.st_mode)],
            attributes=Attributes(
                mode=stat.S_IMODE(found.st_mode),
                uid=found.st_uid,
                gid=found.st_gid,
                mtime=int(found.st_mtime),
                xattrs={name: os.getxattr(self._root / path, name) for name in names},
            ),
            target=str((self._root / path).readlink()) if link else "",
            size=found.st_size,
        )

    def real_path(self, path: str, *, last: bool = False) -> str | None:
        return real_path(path, self._links or {"": ""}, last=last)

    def names(self, path: str) -> Iterable[str]:
        folder = self._root / path
        return (
            sorted(each.name for each in folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []
        )

    def read(self, path: str) -> bytes:
        if not stat.S_ISREG(os.lstat(self._root / path).st_mode):
            raise KeyError(path)
        return (self._root / path).read_bytes()


class FolderLayer:
    """Meets `services/fixer/image/node.py::Layer`, and refuses what no layer may have: a path that comes twice."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.paths: set[str] = set()
        self.removed: set[str] = set()

    def directory(self, path: str, attributes: Attributes) -> None:
        self._once(path)
        place = self._place(path)
        if not (place.is_dir() and not place.is_symlink()):
            self._clear(path)
            place.mkdir()
        self._dress(path, attributes)

    def file(self, path: str, attributes: Attributes, content: BinaryIO, size: int) -> None:
        self._once(path)
        self._clear(path)
        data = content.read()
        assert len(data) == size, path
        self._place(path).write_bytes(data)
        self._dress(path, attributes)

    def symbolic_link(self, path: str, target: str, attributes: Attributes) -> None:
        self._once(path)
        self._clear(path)
        self._place(path).symlink_to(target)
        self._dress(path, attributes)

    def hard_link(self, path: str, target: str) -> None:
        assert target in self.paths, "a link to what the layer does not have"
        self._once(path)
        self._clear(path)
        os.link(self._root / target, self._place(path))

    def device(self, path: str, kind: NodeKind, device: tuple[int, int], attributes: Attributes) -> None:
        self._once(path)
        self._clear(path)
        types = {each: bits for bits, each in _KINDS.items()}
        os.mknod(self._place(path), types[kind] | attributes.mode, os.makedev(*device))
        self._dress(path, attributes)

    def remove(self, path: str) -> None:
        self._once(path)
        self.removed.add(path)
        self._clear(path)

    def _once(self, path: str) -> None:
        assert path not in self.paths, f"{path} comes twice"
        self.paths.add(path)

    def _place(self, path: str) -> Path:
        place = self._root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _clear(self, path: str) -> None:
        place = self._root / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def _dress(self, path: str, attributes: Attributes) -> None:
        place = self._root / path
        if os.geteuid() == 0:
            os.chown(place, attributes.uid, attributes.gid, follow_symlinks=False)
        if place.is_symlink():
            return
        place.chmod(attributes.mode)
        for name, value in attributes.xattrs.items():
            os.setxattr(place, name, value)
        os.utime(place, (attributes.mtime, attributes.mtime))
