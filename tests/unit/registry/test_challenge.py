"""Challenges as servers write them, and as they should not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.challenge import Challenge, parse_challenges

HUB = (
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
    'scope="repository:samalba/my-app:pull,push"'
)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (
            [HUB],
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:samalba/my-app:pull,push",
                    },
                )
            ],
        ),
        (["Basic"], [Challenge("basic", {})]),
        ([], []),
        ([" , ,"], []),
        (
            ['Bearer realm="https://a/t", Basic realm="a, \\"b\\""'],
            [Challenge("bearer", {"realm": "https://a/t"}), Challenge("basic", {"realm": 'a, "b"'})],
        ),
        (
            ['BASIC Realm = "x" , charset=UTF-8', "Bearer realm=plain"],
            [Challenge("basic", {"realm": "x", "charset": "UTF-8"}), Challenge("bearer", {"realm": "plain"})],
        ),
        (
            ["Negotiate dG9rZW4=, Basic", "NTLM"],
            [Challenge("negotiate", {}), Challenge("basic", {}), Challenge("ntlm", {})],
        ),
    ],
)
def test_challenges_are_read(headers: list[str], found: list[Challenge]) -> None:
    assert parse_challenges(headers) == tuple(found)


@pytest.mark.parametrize(
    "text",
    [
        'Bearer realm="open',
        'Bearer realm="a" service="b"',
        'Bearer realm="a",realm="b"',
        'Bearer realm="a\x01"',
        'realm="a"',
        '"quoted"',
        "Bearer realm=,x=1",
        "Bearer a b c",
        "Bearer " + ",".join(f"p{number}=1" for number in range(40)),
        ",".join(["Basic"] * 40),
        'Bearer realm="' + "a" * 20_000 + '"',
    ],
)
def test_what_is_no_challenge_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"character|long"):
        parse_challenges([text])


@given(st.lists(st.text(alphabet='Bearer =",\\ \tx~\x00é', max_size=200), max_size=3))
def test_any_text_is_read_or_refused(headers: list[str]) -> None:
    try:
        found = parse_challenges(headers)
    except ValueError:
        return
    assert all(one.scheme == one.scheme.lower() and one.scheme for one in found)


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=80))
def test_quoted_text_comes_back_as_it_was(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')

    assert parse_challenges([f'Bearer realm="{quoted}", Basic']) == (
        Challenge("bearer", {"realm": text}),
        Challenge("basic", {}),
    )
