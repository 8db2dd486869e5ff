"""What holds of an image, as reviews of scripts ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.fixer.systems.dpkg.facts import facts_of, is_fact
from services.fixer.systems.dpkg.reviewed import ASKED, REVIEWED, ROOMS
from tests.builders.dpkg_images import write
from tests.fakes.folders import FolderTree

PRESENT = [
    "file /etc/hosts.allow",
    "file /lib/tool",
    "name /etc/alternatives/sh",
    "link /etc/alternatives/sh /bin/dash",
    "user redis",
    "group adm",
    "diverted /bin/sh",
    "diverted /bin/sh dash",
    "diverted /usr/bin/tool LOCAL",
]
ABSENT = [
    "file /etc/alternatives/sh",
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


@pytest.mark.parametrize(
    ("target", "named", "agreed"),
    [
        ("/usr/share/zoneinfo/Etc/UTC", "Etc/UTC\n", True),
        ("/usr/share/zoneinfo/Etc/UTC", None, True),
        ("../usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin\n", True),
        ("/usr/share/zoneinfo/America/Argentina/Salta", "America/Argentina/Salta\n", True),
        ("/usr/share/zoneinfo/Europe/Berlin", "Etc/UTC\n", False),
        ("/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin", False),
        ("/usr/share/zoneinfo/Europe/Kiev", "Europe/Kiev\n", False),
        ("/usr/share/zoneinfo/UTC", "UTC\n", False),
        ("/usr/share/zoneinfo/posix/Europe/Berlin", "Europe/Berlin\n", False),
        ("/usr/share/zoneinfo/Europe/Nowhere", "Europe/Nowhere\n", False),
        ("/somewhere/else", "Etc/UTC\n", False),
        (None, "Etc/UTC\n", False),
    ],
)
def test_a_time_zone_is_agreed_on_where_link_and_file_say_the_same(
    tmp_path: Path, target: str | None, named: str | None, agreed: bool
) -> None:
    known = ("Etc/UTC", "UTC", "Europe/Berlin", "Europe/Kiev", "America/Argentina/Salta")
    files = {f"usr/share/zoneinfo/{each}": "" for each in known} | {"etc/hostname": ""}
    write(tmp_path, files | ({"etc/timezone": named} if named is not None else {}))
    if target is not None:
        (tmp_path / "etc/localtime").symlink_to(target)
    assert facts_of(FolderTree(tmp_path), ["zone agreed"]) == ({"zone agreed"} if agreed else set())


def test_reviews_of_tzdata_ask_for_the_zone() -> None:
    reviews = [each for each in REVIEWED.values() if each.script == "tzdata.postinst"]
    assert reviews
    assert all("zone agreed" in each.needs for each in reviews)


def test_no_text_was_read_twice() -> None:
    """A later room would hide what an earlier one says of it."""
    assert len(REVIEWED) == sum(len(each) for each in ROOMS)
