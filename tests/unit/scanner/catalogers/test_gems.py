"""Gems: installed ones by their specifications, locked ones by Bundler's lock."""

from __future__ import annotations

import pytest

from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.catalogers.interface import Reads
from services.scanner.catalogers.records import MAX_RECORDS
from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN
from tests.builders.locks import read, told

PLACE = "usr/lib/ruby/gems/3.1.0/specifications"
RACK = """# -*- encoding: utf-8 -*-
# stub: rack 2.2.6 ruby lib

Gem::Specification.new do |s|
  s.name = "rack".freeze
  s.version = "2.2.6"

  s.required_rubygems_version = Gem::Requirement.new(">= 0".freeze)
  s.metadata = { "version" => "9" } if s.respond_to? :metadata=
  s.summary = "s.name = \\"other\\"".freeze
end
"""


@pytest.mark.parametrize(
    ("file", "content", "gem"),
    [
        ("rack-2.2.6.gemspec", RACK, ("rack", "2.2.6")),
        ("default/x-1.gemspec", RACK, ("rack", "2.2.6")),
        ("a-1.gemspec", "  spec.name = 'a'\n  spec.version = Gem::Version.new('1.0.0')\n", ("a", "1.0.0")),
        ("a-1.gemspec", "s.name = %q{a}\ns.version = %q{1.2}\n", ("a", "1.2")),
        (
            "net-http-0.2.0.gemspec",
            "s.name = File.basename(__FILE__)\ns.version = VERSION\n",
            ("net-http", "0.2.0"),
        ),
        ("nokogiri-1.13.0-x86_64-linux.gemspec", "", ("nokogiri", "1.13.0")),
        ("a-1.0.gemspec", 's.name = "a"\ns.version = "#{VERSION}"\n', ("a", "1.0")),
    ],
)
def test_specification_is_read_as_text(file: str, content: str, gem: tuple[str, str]) -> None:
    assert told(f"{PLACE}/{file}", content) == [gem]


def test_specification_that_says_nothing_is_told() -> None:
    evidence = read(f"{PLACE}/x.gemspec", "exit 1")

    assert evidence.packages == ()
    assert [each.code for each in evidence.warnings] == [PACKAGE_RECORD_BROKEN]


LOCK = """GIT
  remote: https://example.org/x/forked.git
  revision: 0123abc
  specs:
    forked (1.0.0)

PATH
  remote: .
  specs:
    app (0.1.0)
      rack

GEM
  remote: https://registry.example.org/
  specs:
    rack (2.2.6)
    nokogiri (1.13.0-x86_64-linux)
      racc (~> 1.4)
    nokogiri (1.13.0)
      racc (~> 1.4)
    racc (1.6.0)
    rails (7.0.0.rc1)!

PLATFORMS
  ruby

DEPENDENCIES
  app!
  rack (= 9.9.9)

UNHEARD-OF
    x (1.0.0)

BUNDLED WITH
   2.3.7
"""


@pytest.mark.parametrize("name", ["Gemfile.lock", "gems.locked"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_lock_of_bundler_pins_gems_of_servers_and_repositories(name: str, ends: str) -> None:
    assert told(f"app/{name}", LOCK.replace("\n", ends)) == [
        ("forked", "1.0.0"),
        ("nokogiri", "1.13.0"),
        ("racc", "1.6.0"),
        ("rack", "2.2.6"),
        ("rails", "7.0.0.rc1"),
    ]


def test_lock_in_the_midst_of_a_merge_is_read_and_told() -> None:
    merge = "<<<<<<< HEAD\n    rack (2.2.6)\n=======\n    rack (2.2.7)\n>>>>>>> other\n"
    evidence = read("app/Gemfile.lock", f"GEM\n  specs:\n{merge}    racc (1.6.0)\n")

    assert [each.version for each in evidence.packages] == ["2.2.6", "2.2.7", "1.6.0"]
    assert "merge" in evidence.warnings[0].message


def test_lock_that_begins_with_a_byte_order_mark_is_read() -> None:
    assert told("app/Gemfile.lock", "\ufeffGEM\n  specs:\n    rack (2.2.6)\n") == [("rack", "2.2.6")]


def test_lock_of_more_packages_than_any_project_has_is_read_in_part() -> None:
    evidence = read(
        "app/Gemfile.lock", "GEM\n" + "".join(f"    a{number} (1)\n" for number in range(MAX_RECORDS + 5))
    )

    assert len(evidence.packages) == MAX_RECORDS
    assert len(evidence.warnings) == 1


def test_lock_that_a_gem_was_published_with_is_not_read() -> None:
    path = "usr/lib/ruby/gems/3.1.0/gems/rbs-2.1.0/steep/Gemfile.lock"

    assert [each.name for each in CATALOGERS if each.reads is Reads.CONTENT and each.wants(path)] == []
