"""Where an image's packages are from, and what it wants to stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.fixer.systems.rpm.sources import is_held
from tests.builders.rpms import RpmImage

REPOSITORIES = b"""
[one]
name=One
baseurl=https://mirror.test/$releasever/$basearch/os/
  https://second.test/
enabled=1
gpgkey=file:///etc/pki/evil

[off]
baseurl=https://off.test/
enabled=0
[comment]
mirrorlist=https://mirrors.test/list
# baseurl=https://origin.test/${stream}/
[example]
metalink=https://mirrors.test/metalink
#baseurl=http://download.example/pub
[nothing]
mirrorlist=https://mirrors.test/$unknown
[unknown]
baseurl=https://mirror.test/$unknown/
[file]
baseurl=file:///media
[secret]
baseurl=https://user:word@mirror.test/
"""


def test_addresses_are_taken_with_the_images_variables(tmp_path: Path) -> None:
    texts = {"etc/yum.repos.d/a.repo": REPOSITORIES, "etc/dnf/vars/stream": b"9-stream\n"}
    image = RpmImage(tmp_path, texts=texts)
    survey = image.system.survey(image.tree())
    assert survey is not None
    assert [(each.name, each.address) for each in survey.repositories] == [
        ("one", "https://mirror.test/9/x86_64/os"),
        ("comment", "https://origin.test/9-stream"),
    ]
    assert (survey.release.id, survey.release.version, survey.architecture) == ("almalinux", "9.4", "x86_64")


@pytest.mark.parametrize(
    ("pattern", "held"),
    [
        ("a", True), ("a*", True), ("b*", False), ("a.x86_64", True), ("a.noarch", False), ("a-1-1", True),
        ("a-2:1-1.*", True), ("a-0:1-1.*", False), ("2:a-1-1", True), ("a-2*", True),
    ],
)  # fmt: skip
def test_patterns_are_read_as_dnf_reads_them(pattern: str, held: bool) -> None:
    assert is_held((pattern,), "a", "2:1-1", "x86_64") is held
