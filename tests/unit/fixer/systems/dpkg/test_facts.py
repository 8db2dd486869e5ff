"""What holds of an image, as reviews of scripts ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.fixer.systems.dpkg.facts import facts_of, is_fact
from services.fixer.systems.dpkg.reviewed import ASKED
from tests.builders.dpkg_images import write
from tests.fakes.folders import FolderTree

PRESENT = [
    "file /etc/hosts.allow",
    "file /lib/tool",
    "link /etc/alternatives/sh /bin/dash",
    "user redis",
    "group adm",
    "diverted /bin/sh",
    "diverted /bin/sh dash",
    "diverted /usr/bin/tool LOCAL",
]
ABSENT = [
    "file /etc/hosts.deny",
    "link /etc/alternatives/sh /bin/bash",
    "link /etc/hosts.allow /bin/dash",
    "user adm",
    "group redis",
    "diverted /bin/bash",
    "diverted /bin/sh LOCAL",
    "owned redis:adm 750 /var/log/redis",
    "owned nobody:nogroup 755 /etc/hosts.allow",
]


@pytest.fixture
def tree(tmp_path: Path) -> FolderTree:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "etc/alternatives").mkdir(parents=True)
    (tmp_path / "etc/alternatives/sh").symlink_to("/bin/dash")
    diverted = "/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/tool\n/usr/bin/tool.real\n:\n"
    write(
        tmp_path,
        {
            "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nredis:x:101:102::/var/lib/redis:/bin/false\nbroken\n",
            "etc/group": "adm:x:4:\n",
            "etc/hosts.allow": "",
            "usr/lib/tool": "",
            "var/lib/dpkg/diversions": diverted,
        },
    )
    return FolderTree(tmp_path)


def test_what_is_there_holds_and_nothing_else(tree: FolderTree) -> None:
    assert facts_of(tree, [*PRESENT, *ABSENT]) == set(PRESENT)


def test_nothing_holds_of_an_empty_image(tmp_path: Path) -> None:
    assert not facts_of(FolderTree(tmp_path), [*PRESENT, *ABSENT])


def test_owner_and_mode_are_held_against_the_images_own_users(tmp_path: Path) -> None:
    owner = tmp_path.stat()
    write(tmp_path, {"etc/passwd": f"me:x:{owner.st_uid}:\n", "etc/group": f"us:x:{owner.st_gid}:\n", "log/x": ""})
    (tmp_path / "log").chmod(0o2750)
    asked = ["owned me:us 2750 /log", "owned me:us 750 /log", "owned us:us 2750 /log", "owned me:us 2750 /none"]
    assert facts_of(FolderTree(tmp_path), asked) == {"owned me:us 2750 /log"}


def test_reviews_ask_in_forms_that_are_known() -> None:
    assert ASKED
    assert [each for each in ASKED if not is_fact(each)] == []
    assert not any(map(is_fact, ("", "file", "file /a b", "user ", "mode 755 /x", "link /x")))
