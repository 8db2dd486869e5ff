"""The operator's list of repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.fixer.plan.packages import Release, RepositoryRef, Survey
from services.fixer.repositories.configured import read_repositories
from services.kernel.errors import ServiceError

LIST = """
[[repository]]
distribution = "debian"
release = "12"
address = "https://mirror.example/debian/"
suite = "bookworm"
components = ["main"]

[[repository]]
distribution = "wolfi"
address = "https://mirror.example/wolfi"
"""
OWN = RepositoryRef(address="http://archive.example/debian", suite="bookworm", components=("main",))


def survey(name: str, version: str) -> Survey:
    release = Release(id=name, version=version)
    return Survey(system="dpkg", release=release, architecture="amd64", packages=(), repositories=(OWN,))


def test_the_list_stands_in_place_of_what_the_image_names(tmp_path: Path) -> None:
    file = tmp_path / "repositories.toml"
    file.write_text(LIST)
    configured = read_repositories(file)
    named = RepositoryRef(address="https://mirror.example/debian", suite="bookworm", components=("main",))
    assert configured.of(survey("debian", "12")) == (named,)
    assert configured.of(survey("debian", "11")) == (OWN,)
    assert [each.address for each in configured.of(survey("wolfi", "20230201"))] == [
        "https://mirror.example/wolfi"
    ]


def test_without_a_list_the_image_says_where() -> None:
    assert read_repositories(None).of(survey("debian", "12")) == (OWN,)


@pytest.mark.parametrize(
    "text",
    [
        "[[repository]]\ndistribution = 'debian'",
        "[[repository]]\ndistribution = 'debian'\naddress = 'ftp://mirror.example'",
        "[[repository]]\ndistribution = 'debian'\naddress = 'https://me:secret@mirror.example'",
        "[[repository]]\ndistribution = 'debian'\naddress = 'https://m.example'\nmirror = 'x'",
        "[[repository",
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "repositories.toml"
    file.write_text(text)
    with pytest.raises(ServiceError) as caught:
        read_repositories(file)
    assert caught.value.reason == "INVALID_SETTING"
    assert str(file) in caught.value.message


def test_a_list_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="cannot be read"):
        read_repositories(tmp_path / "none.toml")
