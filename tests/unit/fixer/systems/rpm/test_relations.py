"""Dependencies: when versions meet, and what rich ones mean."""

from __future__ import annotations

import pytest

from services.fixer.systems.rpm.capabilities import to_xattr
from services.fixer.systems.rpm.facts import Fact
from services.fixer.systems.rpm.relations import overlap, relation
from services.fixer.systems.rpm.richdeps import names_in, parse
from services.fixer.systems.rpm.world import World, is_met
from services.rpmdb.faults import Damaged


@pytest.mark.parametrize(
    ("wanted", "provided", "meet"),
    [
        ("a", "a = 1-1", True),
        ("a = 1", "a = 1-1", True),
        ("a = 1-1", "a = 1", True),
        ("a > 1", "a = 1-5", False),
        ("a >= 1", "a = 1-5", True),
        ("a < 1-2", "a = 1-1", True),
        ("a < 1-2", "a = 1-2", False),
        ("a = 1:1-1", "a = 1-1", False),
        ("a >= 0:1", "a = 1-1", True),
        ("a >= 3", "a >= 2", True),
        ("a < 2", "a > 3", False),
        ("a >= 1.0~rc1", "a = 1.0-1", True),
    ],
)
def test_versions_meet_as_rpm_says(wanted: str, provided: str, meet: bool) -> None:
    assert overlap(relation(wanted), relation(provided)) is meet


def world() -> World:
    def fact(name: str, *provides: str, files: tuple[str, ...] = ()) -> Fact:
        return Fact(name, "1-1", "x86_64", (), provides, (), (), files)

    return World([fact("a", "both", "p = 2"), fact("b", "both", files=("/usr/bin/b",)), fact("c", "l(x)(64bit)")])


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("(a and b)", True),
        ("(a and nobody)", False),
        ("(nobody or b)", True),
        ("(nobody if nothing)", True),
        ("(nobody if a)", False),
        ("(nobody if a else b)", False),
        ("(nobody if nothing else b)", True),
        ("(b unless a)", False),
        ("(b unless nothing)", True),
        ("(both with p >= 2)", True),
        ("(both with nobody)", False),
        ("(p without b)", True),
        ("(both without (a or b))", False),
        ("(l(x)(64bit) and (a or nobody))", True),
        ("/bin/b", True),
        ("/usr/sbin/b", True),
        ("/bin/nobody", False),
        ("(a and", False),
        ("(a and b or c)", False),
    ],
)
def test_rich_dependencies_mean_what_rpm_says(text: str, met: bool) -> None:
    assert is_met(world(), text) is met


def test_the_index_of_rich_names_is_as_rpm_writes_it() -> None:
    assert names_in("(x if y else z)") == ["x", "y", "z", "!y"]
    assert names_in("(gcc >= 3 with rpmlib(X))") == ["gcc"]


def test_deep_and_endless_dependencies_end() -> None:
    with pytest.raises(Damaged):
        parse("(" * 5000)
    with pytest.raises(Damaged):
        parse("(a and " * 3000)


def test_capabilities_become_the_bytes_that_the_kernel_keeps() -> None:
    assert to_xattr("cap_net_raw,cap_net_admin=ep").hex() == "0100000200300000000000000000000000000000"
    assert to_xattr("= cap_net_raw+p").hex() == "0000000200200000000000000000000000000000"
    assert to_xattr("cap_checkpoint_restore=i").hex() == "0000000200000000000000000000000000010000"
    assert to_xattr("") == to_xattr("=") == b""
    with pytest.raises(Damaged):
        to_xattr("cap_of_fools=ep")
