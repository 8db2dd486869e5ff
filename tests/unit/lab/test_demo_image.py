"""The demo's image holds what it says, and nothing leaves its layer."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from services.lab.demo_image import OLD_PACKAGES, SITE_PACKAGES, build_demo_image


def a_wheel(folder: Path, entries: dict[str, str]) -> Path:
    path = folder / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def names(content: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as archive:
        return archive.getnames()


def test_wheels_lie_in_site_packages(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path, {"thing-1.0.dist-info/METADATA": "Name: thing\nVersion: 1.0\n"})
    image = build_demo_image([wheel])
    assert f"{SITE_PACKAGES}/thing-1.0.dist-info/METADATA" in names(image.layers[1].content)


def test_the_package_database_names_every_package_once() -> None:
    image = build_demo_image([])
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(image.layers[0].content))) as archive:
        member = archive.extractfile("var/lib/dpkg/status")
        assert member is not None
        status = member.read().decode()
    found = [line.removeprefix("Package: ") for line in status.splitlines() if line.startswith("Package: ")]
    assert found == [package.name for package in OLD_PACKAGES]


def test_the_same_wheels_give_the_same_digest(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path, {"a.py": ""})
    assert build_demo_image([wheel]).digest == build_demo_image([wheel]).digest


@pytest.mark.parametrize("name", ["../outside.py", "/absolute.py", "a/../../outside.py"])
def test_a_wheel_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="outside of itself"):
        build_demo_image([a_wheel(tmp_path, {name: ""})])
