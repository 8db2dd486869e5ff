"""What targets may look like, and where they may be."""

from __future__ import annotations

import pytest

from services.kernel.errors import ServiceError
from services.notifier.api import TargetKind
from services.notifier.grammar import MAX_URL, check_name, check_url


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/x?y=z",
        "http://localhost/",
        "http://10.0.0.1",
        "http://[::1]:9/",
        "http://hooks.example/a/b",
        "HTTP://Hooks.Example/",
        "http://hooks.example/" + "a" * (MAX_URL - 21),
    ],
)
def test_an_ordinary_url_is_taken(url: str) -> None:
    check_url(url, TargetKind.HTTP)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "printable"),
        ("http://a b/", "printable"),
        ("http://a/\n", "printable"),
        ("http://a\\@b/", "backslashes"),
        ("http://\u00e9.example/", "printable"),
        ("http://hooks.example/" + "a" * MAX_URL, "printable"),
        ("https://hooks.example/", "begins with http://"),
        ("ftp://hooks.example/", "begins with http://"),
        ("hooks.example", "begins with http://"),
        ("http://user@hooks.example/", "user"),
        ("http://user:secret@hooks.example/", "user"),
        ("http://@hooks.example/", "user"),
        ("http:///x", "host"),
        ("http://hooks.example:99999/", "read"),
        ("http://hooks.example:0/", "port"),
        ("http://hooks.example/#a", "fragment"),
        ("http://hooks.example/#", "fragment"),
        ("http://[::1/", "read"),
    ],
)
def test_a_url_outside_the_rules_is_refused_and_not_repeated(url: str, word: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_url(url, TargetKind.HTTP)
    assert (caught.value.reason, caught.value.field) == ("INVALID_URL", "url")
    assert word in caught.value.message or word == "host"
    assert "secret" not in caught.value.sentence()


def test_the_scheme_is_that_of_the_kind() -> None:
    check_url("https://hooks.example/", TargetKind.HTTPS)
    with pytest.raises(ServiceError):
        check_url("http://hooks.example/", TargetKind.HTTPS)


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a" * 65, "tgt-abc", "a\0"])
def test_a_name_outside_the_grammar_is_refused(name: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_name(name)
    assert (caught.value.reason, caught.value.field) == ("INVALID_NAME", "name")
