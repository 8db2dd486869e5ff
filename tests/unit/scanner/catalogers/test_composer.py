"""Packages of PHP, installed and locked."""

from __future__ import annotations

import pytest

from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN
from tests.builders.locks import read, told

INSTALLED = "app/vendor/composer/installed.json"
LISTED = '[{"name": "monolog/monolog", "version": "2.0.0", "version_normalized": "2.0.0.0"}]'


@pytest.mark.parametrize("content", [LISTED, f'{{"packages": {LISTED}, "dev": true, "dev-package-names": []}}'])
def test_installed_packages_are_a_list_or_have_one(content: str) -> None:
    assert told(INSTALLED, content) == [("monolog/monolog", "2.0.0")]
    assert told(INSTALLED, "\ufeff " + content) == [("monolog/monolog", "2.0.0")]


def test_lock_leaves_out_what_is_for_development() -> None:
    lock = f'{{"packages": {LISTED}, "packages-dev": [{{"name": "phpunit/phpunit", "version": "9.0.0"}}]}}'

    assert told("app/composer.lock", lock) == [("monolog/monolog", "2.0.0")]


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '[{"name": "a/b"}]', '[{"name": "a b", "version": "1"}]', '{"packages": 1}']
)
def test_what_cannot_be_read_is_told(content: str) -> None:
    evidence = read(INSTALLED, content)

    assert evidence.packages == ()
    assert [each.code for each in evidence.warnings] == [PACKAGE_RECORD_BROKEN]
