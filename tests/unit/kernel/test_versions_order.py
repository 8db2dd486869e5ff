import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import ServiceError
from services.kernel.versions import MAX_LENGTH, SCHEMES, compare, is_valid, sort_key

HOSTILE = st.text(alphabet="0019azp.-~+:_r ", max_size=14) | st.text(max_size=8)
VERSIONS = {
    "dpkg": st.from_regex(
        r"(?:[0-9]:)?[0-9]{1,2}(?:[.+~][0-9a-z]{0,2}){0,3}(?:-[0-9](?:~rc1|\+b1)?)?", fullmatch=True
    ),
    "apk": st.from_regex(
        r"[0-9]{1,2}(?:\.[0-9]{1,2}){0,3}[a-b]?(?:_(?:alpha|rc|git|p)[0-9]?){0,2}(?:-r[0-9])?", fullmatch=True
    ),
    "pep440": st.from_regex(
        r"(?:1!)?[0-9](?:\.[0-9]){0,2}(?:a[0-9]|rc[0-9])?(?:\.post[0-9])?(?:\.dev[0-9])?(?:\+[a-z])?",
        fullmatch=True,
    ),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@given(data=st.data())
def test_order_is_total_and_transitive_for_any_text(scheme: str, data: st.DataObject) -> None:
    either = VERSIONS[scheme] | HOSTILE
    a, b, c = sorted((data.draw(either) for _ in range(3)), key=lambda version: sort_key(scheme, version))
    assert compare(scheme, a, a) == 0
    assert compare(scheme, a, b) == -compare(scheme, b, a)
    assert compare(scheme, a, b) <= 0
    assert compare(scheme, b, c) <= 0
    assert compare(scheme, a, c) == max((compare(scheme, a, b), compare(scheme, b, c)), key=abs)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(data=st.data())
def test_versions_of_the_scheme_are_valid(scheme: str, data: st.DataObject) -> None:
    assert is_valid(scheme, data.draw(VERSIONS[scheme]))


@pytest.mark.parametrize(
    ("scheme", "rising"),
    [
        (
            "dpkg",
            ["1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-1~rc1", "1.0-1", "1.0-1+b1", "1.0a", "1.0+", "1.0.1", "1:0.1"],
        ),
        ("apk", ["1.0_alpha", "1.0_rc1", "1.0", "1.0-r1", "1.0_p1", "1.0a", "1.0.1", "1.02", "1.1", "1.10"]),
        ("pep440", ["garbage", "1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0+local", "1.0.post1", "1.1", "1!0.1"]),
    ],
)
def test_known_versions_rise(scheme: str, rising: list[str]) -> None:
    for older, newer in itertools.combinations(rising, 2):
        assert compare(scheme, older, newer) == -1, (older, newer)


@pytest.mark.parametrize(
    ("scheme", "a", "b"),
    [("dpkg", "0:1.00-0", "1.0"), ("dpkg", "", "0"), ("pep440", "1.0.0", "v1"), ("apk", "1-r1", "1-r01")],
)
def test_different_spellings_of_one_version_are_equal(scheme: str, a: str, b: str) -> None:
    assert compare(scheme, a, b) == 0


@pytest.mark.parametrize(
    ("scheme", "version"),
    [("dpkg", "v1"), ("dpkg", ""), ("dpkg", "1_0"), ("apk", "1.0_foo"), ("apk", "1.0-1"), ("pep440", "1.0-bulb")],
)
def test_versions_that_the_tool_refuses_are_invalid(scheme: str, version: str) -> None:
    assert not is_valid(scheme, version)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_endless_version_is_invalid_and_still_compares(scheme: str) -> None:
    endless = "9" * (MAX_LENGTH * 4)
    assert not is_valid(scheme, endless)
    assert compare(scheme, endless, endless) == 0
    assert compare(scheme, "1.0", endless) == compare(scheme, "1.0", "9" * MAX_LENGTH)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_run_of_blanks_costs_what_its_length_costs(scheme: str) -> None:
    blanks = "1" + " " * (MAX_LENGTH - 2) + "x"
    began = time.thread_time()
    assert compare(scheme, blanks, blanks + "x") == 0
    assert not is_valid(scheme, blanks)
    assert time.thread_time() - began < 0.1


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ServiceError) as caught:
        compare("rpm4", "1", "2")
    assert caught.value.reason == "UNKNOWN_VERSION_SCHEME"
