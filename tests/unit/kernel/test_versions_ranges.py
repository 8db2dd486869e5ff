"""Ranges: rows from each tool's documentation, rows that the tools themselves decided, and what holds for all."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import ServiceError
from services.kernel.versions import MAX_LENGTH, SCHEMES, compare, satisfies
from services.kernel.versions.ranges.grammars import GRAMMARS

# One row: scheme, range, versions in it, versions outside it. `-` stands for no version.
ROWS = [
    # node-semver, README, "Advanced Range Syntax" and "Prerelease Tags"
    ("npm", ">1.2.3-alpha.3", "1.2.3-alpha.7 3.4.5", "1.2.3-alpha.3 3.4.5-alpha.9"),
    ("npm", "1.2.3 - 2.3", "1.2.3 2.3.9", "1.2.2 2.4.0 2.4.0-rc"),
    ("npm", "~1.2.3-beta.2", "1.2.3-beta.4 1.2.9", "1.2.3-beta.1 1.2.4-beta.2 1.3.0"),
    ("npm", "^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0 0.2.4-beta"),
    ("npm", "^0.0.x", "0.0.0 0.0.9", "0.1.0"),
    ("npm", "^0.x", "0.0.0 0.9.9", "1.0.0"),
    ("npm", "<2 >=1.5 || 3.x", "1.5.0 3.9.1", "1.4.9 2.0.0 2.0.0-a 4.0.0"),
    ("npm", "", "1.0.0 v1.0.0", "1.0.0-rc.1 1.0 junk"),
    # node-semver itself: the order in which it rewrites a range
    ("npm", "* || 1.0.0-rc", "1.0.0", "1.0.0-rc"),
    ("npm", ">=0.0.0 <=0.0.0-rc", "0.0.0-rc 0.0.0-a", "0.0.0"),
    ("npm", "1.2.3*", "1.2.3", "1.2.4"),
    ("npm", "^1.x.5", "1.0.0 1.9.9", "2.0.0"),
    ("npm", "~> 1.2", "1.2.9", "1.3.0"),
    ("npm", ">x || <*", "-", "0.0.0 1.0.0"),
    ("npm", "v= 1.2.3", "-", "1.2.3"),
    ("npm", "1.x.5", "-", "1.0.5"),
    ("npm", "x.1", "-", "1.1.0"),
    ("npm", "1.0.0 - 2.0.0 3", "-", "1.5.0 3.0.0"),
    ("npm", "^9007199254740991", "-", "9007199254740991.0.0"),
    # The Cargo Book, "Specifying Dependencies"
    ("cargo", "1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 1.3.0-rc"),
    ("cargo", "0.0", "0.0.9", "0.1.0"),
    ("cargo", "0", "0.9.9", "1.0.0"),
    ("cargo", "0.0.3", "0.0.3", "0.0.4"),
    ("cargo", "~1", "1.9.0", "2.0.0"),
    ("cargo", "~1.2.3", "1.2.4", "1.3.0"),
    ("cargo", "1.2.*", "1.2.9", "1.3.0"),
    ("cargo", ">= 1.2, < 1.5", "1.2.0 1.4.9", "1.5.0 1.1.0"),
    ("cargo", ">1.2", "1.3.0", "1.2.9"),
    ("cargo", "=1.2", "1.2.9", "1.3.0"),
    ("cargo", "^1.0.0-rc.1", "1.0.0-rc.2 1.1.0", "1.0.0-beta 1.1.0-rc.1"),
    ("cargo", "*", "1.0.0", "1.0.0-rc v1.0.0"),
    ("cargo", "1.0 2.0", "-", "1.0.0 2.0.0"),
    ("cargo", ">=1,", "-", "1.0.0"),
    # RubyGems Guides, "Patterns", "Pessimistic version constraint"; Gem::Requirement
    ("gem", "~> 2.2", "2.2 2.9.1", "2.1 3.0 3.0.a"),
    ("gem", "~> 2.2.0", "2.2.9", "2.3.0 2.3.0.a"),
    ("gem", "~> 2", "2.0 2.9", "3.0"),
    ("gem", "~> 1.0.0.a", "1.0.0.b 1.0.9", "1.1.0.a 1.1"),
    ("gem", ">= 1.0, != 1.5, < 2", "1.0.0 1.9 2.a", "1.5.0 2"),
    ("gem", "1.0", "1.0.0", "1.0.1 1.0.a"),
    ("gem", "", "0 1.0.a", "junk"),
    ("gem", "^1", "-", "1"),
    # POM Reference, "Dependency Version Requirement Specification"
    ("maven", "1.0", "1.0 2.0 0.1", "-"),
    ("maven", "[1.0]", "1.0 1", "1.0.1"),
    ("maven", "(,1.0]", "0.1 1.0 1.0-rc1", "1.0-1 1.1"),
    ("maven", "[1.2,1.3]", "1.2 1.3 1.3-SNAPSHOT", "1.2-rc 1.4"),
    ("maven", "[1.0,2.0)", "1.0 1.9 2.0-SNAPSHOT", "2.0"),
    ("maven", "(,1.1),(1.1,)", "1.0 1.2", "1.1"),
    ("maven", "[2,1]", "-", "1 2"),
    ("maven", "(1,3),[2,4]", "-", "2"),
    ("maven", "(1.0]", "-", "1.0"),
    ("maven", "[1,2", "-", "1"),
    # NuGet, "Package versioning", "Version ranges" and "Floating version resolutions"
    ("nuget", "1.0", "1.0.0 7.0", "0.9 1.0-rc"),
    ("nuget", "(1.0,)", "1.0.0.1", "1.0"),
    ("nuget", "[1.0]", "1.0.0.0", "1.0.1"),
    ("nuget", "(,1.0)", "0.9 1.0-beta", "1.0"),
    ("nuget", "[1.0,2.0)", "1.0 2.0-a", "2.0"),
    ("nuget", "(1.0)", "-", "1.0"),
    ("nuget", "[2.0,1.0]", "-", "1.0 2.0"),
    ("nuget", "(,)", "-", "1.0"),
    ("nuget", "1.1.*", "1.1.0 1.1.9.9", "1.2.0 1.1.1-rc"),
    ("nuget", "*", "0.0.0 9.9", "1.0-a"),
    ("nuget", "*-*", "9.9 1.0-a", "-"),
    ("nuget", "1.*-*", "1.9 1.2-a 1.0.0-0", "2.0-a 2.0"),
    ("nuget", "1.0.0-rc*", "1.0.0-rc 1.0.0-RC.2 1.0.0", "1.0.0-beta 1.0.0-s 1.0.1"),
    ("nuget", "[1.*,1.5)", "1.0 1.4", "1.5 2.0"),
    # Composer, "Versions and constraints", "Writing version constraints"
    ("packagist", ">=1.0 <1.1 || >=1.2", "1.0.9 1.2 1.0-dev", "1.1 1.1-dev"),
    ("packagist", "1.0 - 2.0", "1.0 2.0.9", "2.1 2.1-dev"),
    ("packagist", "1.0.0 - 2.1.0", "1.0.0 2.1.0", "2.1.1"),
    ("packagist", "1.0.*", "1.0.0 1.0-dev 1.0.9", "1.1 1.1-dev"),
    ("packagist", "~1.2.3", "1.2.3 1.2.9", "1.3.0"),
    ("packagist", "~1.2", "1.2 1.9", "2.0 2.0-dev"),
    ("packagist", "^0.3", "0.3.0 0.3.9", "0.4.0 0.4.0-dev"),
    ("packagist", "^0.0.3", "0.0.3", "0.0.4"),
    ("packagist", "^1.2.3-beta.2", "1.2.3-beta3 1.9", "1.2.3-beta1 2.0"),
    ("packagist", ">1.0@beta", "1.0.1 1.0", "1.0-alpha"),
    ("packagist", "dev-main#abc", "dev-main", "dev-other 1.0"),
    ("packagist", "!=1.0", "1.1 dev-main", "1.0.0.0"),
    ("packagist", ">=1.0", "1.x-dev", "dev-main"),
    ("packagist", "1.0|2.0", "1.0 2.0", "1.5"),
    ("packagist", "*", "1.0 dev-main", "junk"),
    ("packagist", "~>1.0", "-", "1.0"),
    # PEP 440, "Version specifiers"
    ("pep440", "~=2.2", "2.2 2.9 2.2.post3", "3.0 2.1"),
    ("pep440", "==3.1.*", "3.1 3.1.post1", "3.2"),
    ("pep440", "!=1.1,>=1", "1.0 1.1.1", "1.1 0.9"),
    ("pep440", ">1.7", "1.7.1", "1.7.0.post1 1.7"),
    ("pep440", "<1.0", "0.9", "1.0 1.0rc1"),
    ("pep440", ">=1.0rc1", "1.0rc2 1.0", "1.0b1"),
    ("pep440", ">=x", "-", "1.0"),
    # pub, "Version constraints"; pub_semver, README
    ("pub", "^0.1.2", "0.1.2 0.1.9", "0.2.0 0.2.0-0 0.1.1"),
    ("pub", "^1.2.3", "1.9.9 1.3.0-rc", "2.0.0 2.0.0-0 2.0.0-"),
    ("pub", ">=1.2.3 <2.0.0", "1.2.3 1.3.0-rc", "2.0.0-rc 2.0.0"),
    ("pub", ">=2.0.0-a<2.0.0", "2.0.0-b", "2.0.0"),
    ("pub", "<2.0.0-b", "2.0.0-a", "2.0.0-b"),
    ("pub", "1.2.3", "1.2.3", "1.2.3+1"),
    ("pub", ">1.0.0 1.5.0", "1.5.0", "1.4.0"),
    ("pub", ">2.0.0 <1.0.0", "-", "1.5.0"),
    ("pub", "any", "0.0.1 1.0.0-rc", "1.0"),
    ("pub", "^1.0.0 <1.5.0", "-", "1.2.0"),
    # deb-version(7) and Debian Policy 7.1
    ("dpkg", ">= 1.2, << 2:0", "1.2-0 1:0", "1.2~rc1 2:0"),
    ("dpkg", "< 1.0", "1.0 0.9", "1.0-1"),
    ("dpkg", ">> 1.0", "1.0-1", "1.0 1.0~"),
    ("dpkg", "1.0", "-", "1.0"),
    # rpm: what a package provides and requires
    ("rpm", "= 1.0", "1.0 1.0-5 1.0-5.el9", "1.0.1-1 1:1.0-5"),
    ("rpm", "= 1.0-5", "1.0-5 1.0", "1.0-6"),
    ("rpm", "> 1.0", "1.1-1 1:0", "1.0-9 1.0"),
    ("rpm", "> 1.0-5", "1.0-6 1.0", "1.0-5"),
    ("rpm", "< 1.0-5", "1.0-4 1.0", "1.0-5 1.0.1"),
    ("rpm", "<= 1.0", "1.0-9 1.0~rc1-1", "1.0^git-1"),
    # apk-world(5)
    ("apk", "~1.2", "1.2 1.2.3 1.2-r1 1.2_rc1", "1.20 1.3 1"),
    ("apk", ">=1.2.3-r1", "1.2.3-r1 1.2.4", "1.2.3 1.2.3-r0"),
    ("apk", ">~1.2", "1.2 1.2.9 1.3", "1.1.9"),
    ("go", ">=v1.2.0, <1.3.0-0", "v1.2.0 1.2.9+incompatible", "v1.3.0-rc.1 v1.1.9"),
    ("semver", ">=1.2.0,!=1.3.0", "1.2.0 2.0.0-rc.1", "1.3.0 1.2.0-rc"),
]


@pytest.mark.parametrize(("scheme", "expression", "inside", "outside"), ROWS)
def test_known_versions_lie_inside_and_outside(scheme: str, expression: str, inside: str, outside: str) -> None:
    for versions, expected in ((inside, True), (outside, False)):
        for version in versions.split():
            if version != "-":
                assert satisfies(scheme, expression, version) is expected, version


RELEASES = st.from_regex(r"(?:0|[1-9][0-9]?)(?:\.(?:0|[1-9][0-9]?)){2}", fullmatch=True)
SIGNS = {
    "dpkg": {"<<": {-1}, "<=": {-1, 0}, "=": {0}, ">=": {0, 1}, ">>": {1}},
    "pep440": {"<": {-1}, "<=": {-1, 0}, "==": {0}, "!=": {-1, 1}, ">=": {0, 1}, ">": {1}},
    "pub": {"<": {-1}, "<=": {-1, 0}, "": {0}, ">=": {0, 1}, ">": {1}},
}
COMMON = {"<": {-1}, "<=": {-1, 0}, "=": {0}, ">=": {0, 1}, ">": {1}}
BRACKETS = {"(,{})": {-1}, "(,{}]": {-1, 0}, "[{}]": {0}, "[{},)": {0, 1}, "({},)": {1}}


@pytest.mark.parametrize("scheme", SCHEMES)
@given(version=RELEASES, bound=RELEASES)
def test_one_bound_says_what_the_order_says(scheme: str, version: str, bound: str) -> None:
    if scheme in ("maven", "nuget"):
        ranges = {form.format(bound): signs for form, signs in BRACKETS.items()}
    else:
        ranges = {f"{sign}{bound}": signs for sign, signs in SIGNS.get(scheme, COMMON).items()}
    for expression, signs in ranges.items():
        assert satisfies(scheme, expression, version) is (compare(scheme, version, bound) in signs), expression


ANY_TEXT = st.text(alphabet="01.2xX*^~<>=!|,[]()- +vbetadvrc:@#s", max_size=16) | st.text(max_size=8)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(expression=ANY_TEXT, version=ANY_TEXT)
def test_any_text_is_judged_without_a_fault(scheme: str, expression: str, version: str) -> None:
    assert satisfies(scheme, expression, version) in (True, False)
    assert satisfies(scheme, expression, "1.2.3") in (True, False)


HOSTILE = [
    *("9", "0", "1.", "0-", "1a", "-", " ", "~", "v=", "^ ", "> ", "||", "1 - ", "[1,2),", "^1,", "#", "\u0663"),
    *("a@", " as ", "-dev", "1.*-", "1+", "\ufeff", "1.0.0-1.", "*", "\\n"),
]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_hostile_text_is_judged_in_bounded_time(scheme: str) -> None:
    for piece in HOSTILE:
        for start, end in (("", ""), ("1.0.0-beta", "!")):
            text = (start + piece * MAX_LENGTH)[: MAX_LENGTH - len(end)] + end
            began = time.thread_time()
            satisfies(scheme, text, "1.2.3")
            satisfies(scheme, ">=1.0.0", text)
            compare(scheme, text, text + "1")
            assert time.thread_time() - began < 2, (start, piece, end)


def test_what_is_too_long_satisfies_nothing() -> None:
    assert satisfies("npm", "*" + " " * (MAX_LENGTH - 1), "1.0.0")
    assert not satisfies("npm", "*" + " " * MAX_LENGTH, "1.0.0")
    assert not satisfies("maven", "1.0", "1" * (MAX_LENGTH + 1))


def test_ranges_of_an_unknown_scheme_are_refused() -> None:
    with pytest.raises(ServiceError) as caught:
        satisfies("rpm4", "1", "2")
    assert caught.value.reason == "UNKNOWN_VERSION_SCHEME"


def test_every_scheme_has_its_grammar() -> None:
    assert set(GRAMMARS) == set(SCHEMES)
