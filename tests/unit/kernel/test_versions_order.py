import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import ServiceError
from services.kernel.versions import MAX_LENGTH, SCHEMES, compare, is_valid, sort_key

# Without the hash sign: Composer's order is no order for it (see test_a_hash_sign_stands_for_any_number).
HOSTILE = st.text(alphabet="0019azp.-~+^:_rV ", max_size=14) | st.text(max_size=8).filter(
    lambda text: "#" not in text
)
_NUMBERS = r"[0-9]{1,2}(?:\.(?:0|[1-9][0-9]?)){2}"
_PRERELEASE = r"(?:-(?:alpha|rc|[1-9]|0)(?:\.(?:[1-9][0-9]?|x-y))?)?(?:\+[0-9a-f]{3})?"
VERSIONS = {
    "apk": st.from_regex(
        r"[0-9]{1,2}(?:\.[0-9]{1,2}){0,3}[a-b]?(?:_(?:alpha|rc|git|p)[0-9]?){0,2}(?:-r[0-9])?", fullmatch=True
    ),
    "cargo": st.from_regex(rf"[0-9](?:\.(?:0|[1-9][0-9]?)){{2}}{_PRERELEASE}", fullmatch=True),
    "dpkg": st.from_regex(
        r"(?:[0-9]:)?[0-9]{1,2}(?:[.+~][0-9a-z]{0,2}){0,3}(?:-[0-9](?:~rc1|\+b1)?)?", fullmatch=True
    ),
    "gem": st.from_regex(r"[0-9]{1,2}(?:\.(?:0|[1-9]|rc|a1|pre)){0,4}(?:-x86)?", fullmatch=True),
    "go": st.from_regex(rf"v?[0-9](?:(?:\.[0-9])?|(?:\.(?:0|[1-9][0-9]?)){{2}}{_PRERELEASE})", fullmatch=True),
    "maven": st.from_regex(
        r"[0-9]{1,2}(?:[.-](?:0|[1-9]|alpha|rc|RC1|Final|sp|foo|SNAPSHOT|m2)){0,4}", fullmatch=True
    ),
    "npm": st.from_regex(rf"v?[0-9](?:\.(?:0|[1-9][0-9]?)){{2}}{_PRERELEASE}", fullmatch=True),
    "nuget": st.from_regex(rf"[0-9]{{1,2}}(?:\.[0-9]{{1,2}}){{0,3}}{_PRERELEASE}", fullmatch=True),
    "packagist": st.from_regex(
        r"v?[0-9]{1,2}(?:\.[0-9]{1,2}){0,3}(?:[.-]?(?:alpha|b|RC|patch|stable)[0-9]?)?(?:-dev)?|dev-[a-z]{1,3}",
        fullmatch=True,
    ),
    "pep440": st.from_regex(
        r"(?:1!)?[0-9](?:\.[0-9]){0,2}(?:a[0-9]|rc[0-9])?(?:\.post[0-9])?(?:\.dev[0-9])?(?:\+[a-z])?",
        fullmatch=True,
    ),
    "pub": st.from_regex(rf"{_NUMBERS}{_PRERELEASE}", fullmatch=True),
    "rpm": st.from_regex(
        r"(?:[0-9]:)?[0-9a-c]{1,2}(?:[.+~^_][0-9a-c]{0,2}){0,3}(?:-[0-9]{1,2}(?:\.el[0-9])?)?", fullmatch=True
    ),
    "semver": st.from_regex(rf"v?[0-9](?:\.(?:0|[1-9][0-9]?)){{2}}{_PRERELEASE}", fullmatch=True),
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


# Where the rows are from: deb-version(7); apk-package(5); PEP 440, "Summary of permitted suffixes and relative
# ordering"; semver.org, 11; x/mod/semver, package documentation; Gem::Version, class documentation; POM Reference,
# "Version Order Specification"; NuGet, "Package versioning"; PHP manual, version_compare; pub_semver, README;
# rpm-version(7).
_SEMVER = (
    "junk 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.1 "
    "1.2 1.10.0 1.10.0.1 18446744073709551616.0.0"
)


@pytest.mark.parametrize(
    ("scheme", "rising"),
    [
        ("dpkg", "1.0~~ 1.0~~a 1.0~ 1.0 1.0-1~rc1 1.0-1 1.0-1+b1 1.0a 1.0+ 1.0.1 1:0.1"),
        ("apk", "1.0_alpha 1.0_rc1 1.0 1.0-r1 1.0_p1 1.0a 1.0.1 1.02 1.1 1.10"),
        ("pep440", "garbage 1.0.dev1 1.0a1 1.0rc1 1.0 1.0+local 1.0.post1 1.1 1!0.1"),
        ("semver", _SEMVER),
        ("npm", _SEMVER),
        ("cargo", _SEMVER),
        (
            "go",
            "junk v1-pre v0.0.0-20060102150405-abcdefabcdef v0.1 v1.0.0-rc.1 v1 1.0.1 v1.2.99999999999999999999",
        ),
        ("gem", "1.0.a 1.0.a.2 1.0.b1 1.0.rc1 1.0 1.0.0.1 1.0.1.pre 1.0.1 1.0.10 1.1.a"),
        ("maven", "1-alpha-1 1-beta 1-m3 1-rc 1-SNAPSHOT 1 1-sp 1-foo2 1-foo10 1-1 1.1 1.2-SNAPSHOT 1.2 2"),
        ("maven", "1 1.foo 1-foo 1-1 1.1"),
        ("maven", "1-sp-1 1-ga-1 1-2"),
        ("maven", "2.0 2-1 2.0.a 2.0.2"),
        ("nuget", "1.0.0-1 1.0.0-2 1.0.0-alpha 1.0.0-Beta 1.0.0-beta2 1.0 1.0.0.1 1.0.1"),
        (
            "packagist",
            "1.0-foo 1.0-dev 1.0-alpha1 1.0b1 1.0-RC1 1.0-rc2 1.0 1.0-patch1 1.0.1-dev 1.0.1 1.x-dev 2.0 20240101",
        ),
        ("pub", "1.0.0-pre 1.0.0-pre+build 1.0.0 1.0.0+1 1.0.0+2 1.0.0+a 1.0.1"),
        (
            "rpm",
            "~ 1.0~rc1 1.0~rc1^git1 1.0 1.0-1~a 1.0-1 1.0-1.el8 1.0-10 1.0^ 1.0^git1~pre 1.0^git1 1.0.a 1.0.1 1.2 "
            "1:0.1",
        ),
    ],
)
def test_known_versions_rise(scheme: str, rising: str) -> None:
    for older, newer in itertools.combinations(rising.split(), 2):
        assert compare(scheme, older, newer) == -1, (older, newer)


@pytest.mark.parametrize(
    ("scheme", "a", "b"),
    [
        ("dpkg", "0:1.00-0", "1.0"),
        ("dpkg", "", "0"),
        ("pep440", "1.0.0", "v1"),
        ("pep440", "1.0 \\n\n", "1.0"),
        ("apk", "1-r1", "1-r01"),
        ("semver", "v1.2.3+build", "1.2.3+other"),
        ("semver", "1.0.0alpha1", "1.0.0-alpha1"),
        ("go", "v1", "1.0.0+incompatible"),
        ("gem", "1.0.0.a", "1.a"),
        ("gem", "1-a", "1.pre.a"),
        ("gem", "", "0"),
        ("maven", "1.ga", "1-0.0"),
        ("maven", "1-ga-1", "1-1"),
        ("maven", "1-a1", "1-alpha-1"),
        ("maven", "1CR2", "1-rc2"),
        ("nuget", "1.01.0.0-RC+a", "1.1-rc"),
        ("packagist", "v1", "1.0.0.0+build"),
        ("packagist", "1.0-stable", "1.0"),
        ("packagist", "1.0@beta", "1.0"),
        ("packagist", "2024-01-02", "2024:01:02"),
        ("packagist", "1.x-dev", "1.9999999.9999999.9999999-dev"),
        ("rpm", "0:1.0", "1_0"),
        ("rpm", ":1.0\u03b1", "1.0"),
        ("rpm", "1-2-3-4", "1.2.3.4"),
    ],
)
def test_different_spellings_of_one_version_are_equal(scheme: str, a: str, b: str) -> None:
    assert compare(scheme, a, b) == 0


@pytest.mark.parametrize(
    ("scheme", "rising"),
    [
        ("gem", "1.a.b 1.a.0.b 1.a.0.0.b 1.a 1.a.0.0.1 1.a.0.1 1.a.1 1"),
        ("maven", "1.0.alpha 1.0.0.alpha 1 1.0.sp 1.0.0.sp 1.0.0.1 1.0.1"),
    ],
)
def test_zeros_in_the_middle_stand_where_the_part_after_them_stands(scheme: str, rising: str) -> None:
    for older, newer in itertools.combinations(rising.split(), 2):
        assert compare(scheme, older, newer) == -1, (older, newer)


def test_maven_would_run_in_circles_where_we_do_not() -> None:
    assert [compare("maven", "1", "1-foo"), compare("maven", "1.0.alpha", "1")] == [-1, -1]
    assert compare("maven", "1.0.alpha", "1-foo") == -1  # Maven: 1


def test_a_hash_sign_stands_for_any_number() -> None:
    for equal in ("1.2.3", "1.2.3.1", "1.2.3.#", "1.2.#"):
        assert compare("packagist", "1.2.3.#", equal) == compare("packagist", equal, "1.2.3.#") == 0
    assert compare("packagist", "1.2.3.#.1", "1.2.3") == -compare("packagist", "1.2.3", "1.2.3.#.1") == 1
    assert compare("packagist", "1.2.#.dev", "1.2.0") == -compare("packagist", "1.2.0", "1.2.#.dev") == -1
    assert compare("packagist", "1.3.#", "1.2.#") == -compare("packagist", "1.2.#", "1.3.#") == 1
    assert not is_valid("packagist", "1.2.3.#")


@pytest.mark.parametrize(
    ("scheme", "version"),
    [
        *(("dpkg", version) for version in ("v1", "", "1_0")),
        *(("apk", version) for version in ("1.0_foo", "1.0-1")),
        *(("pep440", version) for version in ("1.0-bulb", "")),
        *(("semver", version) for version in ("1.0", "1.0.0-01", "1.0.0-", "01.0.0", "1.0.0alpha", "1.0.0+", "")),
        *(("npm", version) for version in ("1.0.9007199254740992", "=1.0.0", "1.2.3-" + "a" * 251)),
        *(("cargo", version) for version in ("v1.0.0", " 1.0.0", "1.0.18446744073709551616")),
        *(("go", version) for version in ("v1.2-pre", "v01.0.0", "1.0.0-01", "(devel)", "v1.0.0.0")),
        *(("gem", version) for version in ("1..0", "a", "1.0-", "1_0", "1.\u0663")),
        *(("maven", version) for version in ("", "${project.version}", "1 0", "[1,2]")),
        *(("nuget", version) for version in ("v1.0", "1.2.3.4.5", "1.0-01", "1.2147483648", "1.0-a..b")),
        *(("packagist", version) for version in ("foo", "1.0-foo", "1.2.3.4.5", "1.0-beta-x")),
        *(("pub", version) for version in ("1.0", "v1.0.0", "1.0.0-", "9223372036854775808.0.0")),
        *(("rpm", version) for version in ("1-2-3", "", "a:1", "1.0/2", "1 0", "1-")),
    ],
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
