"""Package files: every compression, every kind of file, and those that are none."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.node import NodeKind
from services.fixer.systems.dpkg.deb import Deb
from tests.builders.debs import Entry, MadeDeb, directory, hard, link

EVERYTHING: dict[str, Entry | str] = {
    "usr/bin/tool": Entry(b"program", mode=0o4755, group="shadow"),
    "usr/bin/alias": hard("usr/bin/tool"),
    "usr/bin/name": link("tool"),
    "usr/lib/empty": directory(0o1777),
    "dev/null": Entry(kind=tarfile.CHRTYPE, mode=0o666),
    "run/pipe": Entry(kind=tarfile.FIFOTYPE),
    "etc/tool.conf": "a=1\n",
}


def opened(tmp_path: Path, content: bytes) -> Deb:
    path = tmp_path / "tool.deb"
    path.write_bytes(content)
    return Deb(path)


@pytest.mark.parametrize("compression", ["", ".gz", ".xz", ".zst"])
def test_everything_in_a_package_is_read(tmp_path: Path, compression: str) -> None:
    made = MadeDeb(
        name="tool", files=EVERYTHING, control={"conffiles": "/etc/tool.conf\n"}, compression=compression
    )
    deb = opened(tmp_path, made.build())
    assert (deb.control.get("package"), deb.conffiles) == ("tool", ("/etc/tool.conf",))
    found = {}
    for entry in deb.entries():
        content = entry.content.read() if entry.content is not None else None
        found[entry.path] = (entry.kind, entry.mode, content, entry.hard_link, entry.target)
    assert list(found)[:3] == ["", "usr", "usr/bin"]
    assert found["usr/bin/tool"] == (NodeKind.FILE, 0o4755, b"program", None, "")
    assert found["usr/bin/alias"][3] == "usr/bin/tool"
    assert found["usr/bin/name"][4] == "tool"
    assert found["usr/lib/empty"][:2] == (NodeKind.DIRECTORY, 0o1777)
    assert found["dev/null"][0] is NodeKind.CHARACTER_DEVICE
    assert found["run/pipe"][0] is NodeKind.FIFO


def test_owners_are_names(tmp_path: Path) -> None:
    deb = opened(tmp_path, MadeDeb(name="tool", files=EVERYTHING).build())
    (tool,) = [entry for entry in deb.entries() if entry.path == "usr/bin/tool"]
    assert (tool.user, tool.group) == ("root", "shadow")


WHOLE = MadeDeb(name="tool", files={"usr/bin/tool": "x" * 5000}).build()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        WHOLE[:100],
        WHOLE[:-200],
        WHOLE.replace(b"data.tar.xz", b"data.tar.rar"[:11]),
        WHOLE.replace(b"debian-binary", b"somethingelse"),
        MadeDeb(name="tool", files={"../etc/passwd": "x"}).build(),
        MadeDeb(name="tool", files={"usr/bin/a\nb": "x"}).build(),
        MadeDeb(name="tool", fields={"Package": "a\nPackage: b"}).build(),
    ],
)
def test_what_is_no_package_is_invalid(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FixFailure) as caught:
        for entry in opened(tmp_path, content).entries():
            if entry.content is not None:
                entry.content.read()
    assert caught.value.why is FixReason.PACKAGE_INVALID


def test_a_package_that_unpacks_to_more_than_one_may_is_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.fixer.systems.dpkg.deb._MAX_DATA", 1 << 20)
    deb = opened(tmp_path, MadeDeb(name="tool", files={"usr/bomb": Entry(bytes(4 << 20))}).build())
    with pytest.raises(FixFailure) as caught:
        list(deb.entries())
    assert caught.value.why is FixReason.PACKAGE_INVALID
