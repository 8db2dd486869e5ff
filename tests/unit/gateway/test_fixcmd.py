"""Fix commands: right for each package manager, and never a shell's plaything."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.acr.fixcmd import fix_command, version_format
from tests.fakes.scanner import a_finding


@pytest.mark.parametrize(
    ("purl_type", "name", "fixed", "command"),
    [
        ("deb", "libssl3", "3.0.11-1~deb12u2", "apt-get install --only-upgrade 'libssl3=3.0.11-1~deb12u2'"),
        ("deb", "libstdc++6", "1:12.2", "apt-get install --only-upgrade libstdc++6=1:12.2"),
        ("apk", "openssl", "3.1.4-r5", "apk add --upgrade 'openssl>=3.1.4-r5'"),
        ("pypi", "Jinja2", "2.11.3", "pip install Jinja2==2.11.3"),
        ("deb", "openssl", "", ""),
        ("rpm", "openssl", "3", ""),
        ("deb", "--allow-unauthenticated", "1", ""),
        ("pypi", "-rfoo", "1", ""),
        ("apk", "x;reboot", "1", ""),
        ("pypi", "x", "1 --index-url http://evil", ""),
        ("deb", "x\n", "1", ""),
    ],
)
def test_the_command_is_that_of_the_package_manager(purl_type: str, name: str, fixed: str, command: str) -> None:
    assert fix_command(a_finding(purl_type=purl_type, name=name, fixed=fixed)) == command


@given(st.sampled_from(["deb", "apk", "pypi"]), st.text(max_size=20), st.text(max_size=20))
def test_a_command_is_always_one_command_with_one_package(purl_type: str, name: str, fixed: str) -> None:
    command = fix_command(a_finding(purl_type=purl_type, name=name, fixed=fixed))

    if command:
        words = shlex.split(command)
        assert len(words) in (3, 4)
        assert words[-1].startswith(name)
        assert words[-1].endswith(fixed)
        assert not words[-1].startswith("-")


@pytest.mark.parametrize(("purl_type", "word"), [("deb", "dpkg"), ("apk", "apk"), ("pypi", "pypi")])
def test_the_package_format_is_the_references_word(purl_type: str, word: str) -> None:
    assert version_format(a_finding(purl_type=purl_type)) == word
