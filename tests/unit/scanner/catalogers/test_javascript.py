"""npm's packages: installed, and in the locks of four package managers."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.catalogers.interface import Reads
from services.scanner.catalogers.javascript.package_json import NodeCataloger
from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN
from tests.builders.locks import read, told

LOCKS = Path(__file__).parents[3] / "fixtures" / "locks"
PRODUCTION = [("@babel/code-frame", "7.12.11"), ("left-pad", "1.3.0"), ("ms", "2.0.0")]
PEERS = {("supports-color", "8.1.1"), ("has-flag", "4.0.0")}


@pytest.mark.parametrize(
    ("path", "content", "package"),
    [
        (
            "app/node_modules/lodash/package.json",
            '{"name": "lodash", "version": "4.17.15"}',
            ("lodash", "4.17.15"),
        ),
        (
            "app/node_modules/@babel/core/package.json",
            '\ufeff{"version": "7.0.0", "name": "@babel/core", "bin": {"x": 1}}',
            ("@babel/core", "7.0.0"),
        ),
        ("node_modules/alias/package.json", '{"name": "real", "version": "1.0.0"}', ("real", "1.0.0")),
        ("node_modules/lodash/package.json", '{"version": "4.17.15"}', ("lodash", "4.17.15")),
        ("a/node_modules/@b/c/package.json", '{"version": "4.17.15"}', ("@b/c", "4.17.15")),
    ],
)
def test_package_is_what_its_description_says(path: str, content: str, package: tuple[str, str]) -> None:
    assert told(path, content) == [package]


def test_package_without_a_version_is_one_of_an_unknown_version() -> None:
    assert told("app/node_modules/x/package.json", '{"name": "x", "private": true}') == [("x", "")]
    assert told("app/node_modules/x/package.json", '{"type": "module"}') == [("x", "")]


@pytest.mark.parametrize("path", ["x/esm/package.json", "@x/y/dist/cjs/package.json", ".cache/x/package.json"])
def test_description_of_a_folder_within_a_package_is_none_of_a_package(path: str) -> None:
    assert not NodeCataloger().counts(f"app/node_modules/{path}")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"name": 1, "version": "1"}',
        '{"name": "a b", "version": "1"}',
        '{"name": "x", "version": "1 0"}',
        '{"name": "../x", "version": "/"}',
    ],
)
def test_description_that_cannot_be_one_is_told(content: str) -> None:
    evidence = read("app/node_modules/x/package.json", content)

    assert evidence.packages == ()
    assert [each.code for each in evidence.warnings] == [PACKAGE_RECORD_BROKEN]


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("node_modules/a/package.json", True),
        ("app/node_modules/.pnpm/a@1/node_modules/@s/a/package.json", True),
        ("app/node_modules/a/node_modules/b/package.json", True),
        ("usr/share/nodejs/a/package.json", True),
        ("opt/yarn-v1.22.22/package.json", True),
        ("app/package.json", False),
        ("package.json", False),
        ("app/node_modules/a/lib/package.json", False),
        ("app/node_modules/a/test/node_modules/b/package.json", False),
        ("app/node_modules/a/__fixtures__/x/node_modules/b/package.json", False),
        ("app/node_modules/.cache/package.json", False),
        ("app/node_modules/@s/package.json", False),
    ],
)
def test_only_installed_packages_count(path: str, counts: bool) -> None:
    assert NodeCataloger().counts(path) is counts


@pytest.mark.parametrize(
    "name",
    [
        "npm-1/package-lock.json",
        "npm-2/package-lock.json",
        "npm-3/package-lock.json",
        "pnpm-7/pnpm-lock.yaml",
        "pnpm-8/pnpm-lock.yaml",
        "pnpm-9/pnpm-lock.yaml",
        "bun/bun.lock",
    ],
)
def test_locks_of_one_project_pin_the_same_for_production(name: str) -> None:
    packages = set(told(f"app/{Path(name).name}", (LOCKS / name).read_bytes()))

    assert packages > set(PRODUCTION)
    # pnpm gives production what development brings, where a package takes it if it is there.
    assert packages - PEERS == set(told("package-lock.json", (LOCKS / "npm-3/package-lock.json").read_bytes()))
    assert name.startswith("pnpm") or packages.isdisjoint(PEERS)


@pytest.mark.parametrize("name", ["yarn-1/yarn.lock", "yarn-4/yarn.lock"])
def test_locks_of_yarn_pin_what_development_needs_too(name: str) -> None:
    packages = told("yarn.lock", (LOCKS / name).read_bytes())

    assert set(packages) > set(PRODUCTION)
    assert {package for package, _ in packages} > {"he"}
    assert "app" not in {package for package, _ in packages}


def test_lock_of_npm_names_by_folder_and_leaves_out_what_is_the_project_s_own() -> None:
    lock = """{"lockfileVersion": 3, "packages": {
        "": {"name": "app", "version": "1.0.0"},
        "packages/ui": {"name": "@app/ui", "version": "1.0.0"},
        "node_modules/@app/ui": {"resolved": "packages/ui", "link": true},
        "node_modules/a/node_modules/@s/b": {"version": "2.0.0", "devOptional": true},
        "node_modules/alias": {"name": "real", "version": "3.0.0"},
        "node_modules/mocha": {"version": "8.0.0", "dev": true},
        "packages/ui/node_modules/c": {"version": "4.0.0"}}}"""

    assert told("package-lock.json", lock) == [("@s/b", "2.0.0"), ("c", "4.0.0"), ("real", "3.0.0")]


def test_lock_of_npm_before_version_2_nests() -> None:
    lock = """{"lockfileVersion": 1, "dependencies": {
        "a": {"version": "1.0.0", "requires": {"b": "^2"}, "dependencies": {"b": {"version": "2.0.0"}}},
        "alias": {"version": "npm:@s/real@3.0.0"},
        "mocha": {"version": "8.0.0", "dev": true, "dependencies": {"ms": {"version": "1.0.0", "dev": true}}},
        "local": {"version": "file:packages/local"},
        "git": {"version": "git+ssh://git@example.org/x/y.git#abc"}}}"""

    assert told("npm-shrinkwrap.json", lock) == [("@s/real", "3.0.0"), ("a", "1.0.0"), ("b", "2.0.0")]


def test_one_broken_entry_of_a_lock_does_not_spoil_the_others() -> None:
    evidence = read(
        "package-lock.json", '{"packages": {"node_modules/a": 1, "node_modules/b": {"version": "1.0"}}}'
    )

    assert [package.name for package in evidence.packages] == ["b"]
    assert len(evidence.warnings) == 1


def test_lock_that_nests_without_end_is_read_to_a_depth() -> None:
    depth = 3000
    lock = '{"dependencies": ' + '{"a": {"version": "1.0.0", "dependencies": ' * depth + "{}" + "}}" * depth + "}"

    evidence = read("package-lock.json", lock)

    assert [package.name for package in evidence.packages] in ([], ["a"])
    assert len(evidence.warnings) == 1


def test_yarn_s_aliases_are_read_by_their_real_names() -> None:
    first = """# yarn lockfile v1


"@s/a@^1.0.0", "@s/a@^1.1.0":
  version "1.2.0"
  resolved "https://registry.example.org/@s/a/-/a-1.2.0.tgz#abc"
  dependencies:
    version "^9.0.0"

alias@npm:@s/real@^2.0.0:
  version "2.1.0"

unversioned@npm:ms:
  version "2.1.3"

"quoted@^1.0.0":
  "resolved" "https://registry.example.org/quoted/-/quoted-1.5.0.tgz"
  "version" "1.5.0"

"local@file:./local":
  version "1.0.0"
"""
    later = """__metadata:
  version: 8

"@s/a@npm:^1.0.0, @s/a@npm:^1.1.0":
  version: 1.2.0
  resolution: "@s/a@npm:1.2.0"
  languageName: node
  linkType: hard

"alias@npm:@s/real@^2.0.0":
  version: 2.1.0
  resolution: "@s/real@npm:2.1.0"
  linkType: hard

"local@workspace:.":
  version: 0.0.0-use.local
  resolution: "local@workspace:."
  languageName: unknown
  linkType: soft

"patched@patch:patched@npm%3A3.0.0#~/.yarn/patches/x.patch":
  version: 3.0.0
  resolution: "patched@patch:patched@npm%3A3.0.0#~/.yarn/patches/x.patch::version=3.0.0&hash=1"
  linkType: hard
"""

    assert told("yarn.lock", first) == [
        ("@s/a", "1.2.0"),
        ("@s/real", "2.1.0"),
        ("ms", "2.1.3"),
        ("quoted", "1.5.0"),
    ]
    assert told("yarn.lock", later) == [("@s/a", "1.2.0"), ("@s/real", "2.1.0"), ("patched", "3.0.0")]


@pytest.mark.parametrize(
    ("key", "fields", "package"),
    [
        ("/lodash/4.17.21", "dev: false", ("lodash", "4.17.21")),
        ("/@babel/core/7.0.0_x@1.0.0", "dev: false", ("@babel/core", "7.0.0")),
        ("registry.example.org/a/1.0.0", "dev: false", ("a", "1.0.0")),
        ("/lodash@4.17.21", "hasBin: true", ("lodash", "4.17.21")),
        ("/@babel/core@7.0.0(x@1.0.0)(@s/y@2.0.0)", "hasBin: true", ("@babel/core", "7.0.0")),
        ("'@babel/core@7.0.0'", "engines: {node: '>=6'}", ("@babel/core", "7.0.0")),
        ("'lodash@4.17.21'", "deprecated: |-\n      version: 9\n\n      dev: true", ("lodash", "4.17.21")),
        ("'x@https://example.org/x.tgz'", "version: 1.0.0", ("x", "1.0.0")),
        ("github.com/a/b/0123abc", "name: b\n    version: 1.5.0", ("b", "1.5.0")),
        ("? /@s/long/1.0.0_peers@1\n ", "dev: false", ("@s/long", "1.0.0")),
        ("/lodash/4.17.21", "dev: true", None),
        ("file:packages/local", "dev: false", None),
    ],
)
def test_pnpm_s_keys_tell_name_and_version(key: str, fields: str, package: tuple[str, str] | None) -> None:
    lock = f"lockfileVersion: 5.4\n\npackages:\n\n  {key}:\n    {fields}\n"

    assert told("pnpm-lock.yaml", lock) == ([package] if package else [])


def test_pnpm_since_version_9_is_followed_from_the_importers() -> None:
    lock = """lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      alias: {specifier: 'npm:b@^1', version: x}
      a:
        specifier: ^1
        version: 1.0.0(p@1.0.0)
      other:
        specifier: npm:@s/b@^2
        version: '@s/b@2.0.0'
    devDependencies:
      d:
        specifier: ^4
        version: 4.0.0
  packages/ui:
    optionalDependencies:
      o:
        specifier: ^5
        version: 5.0.0
packages:
  a@1.0.0: {}
  '@s/b@2.0.0': {}
  c@3.0.0: {}
  d@4.0.0: {}
  o@5.0.0: {}
  p@1.0.0: {}
snapshots:
  a@1.0.0(p@1.0.0):
    dependencies:
      c: 3.0.0
      p: 1.0.0
    transitivePeerDependencies:
      - supports-color
  '@s/b@2.0.0': {}
  c@3.0.0:
    dependencies:
      a: 1.0.0(p@1.0.0)
  d@4.0.0: {}
  o@5.0.0: {}
  p@1.0.0: {}
"""

    assert told("pnpm-lock.yaml", lock) == [
        ("@s/b", "2.0.0"),
        ("a", "1.0.0"),
        ("c", "3.0.0"),
        ("o", "5.0.0"),
        ("p", "1.0.0"),
    ]


def test_lock_that_pnpm_did_not_write_is_told() -> None:
    assert len(read("pnpm-lock.yaml", '{"lockfileVersion": "9.0", "packages": {"a@1.0.0": {}}}').warnings) == 1


def test_bun_s_lock_has_comments_and_leaves_out_what_is_from_no_registry() -> None:
    lock = """{ // bun
  "workspaces": {
    "": {"dependencies": {"a": "^1",}, "devDependencies": {"d": "^1", "a": "^1"},},
    "ui": {"name": "@app/ui", "dependencies": {"b": "^1"}},
  },
  "packages": {
    "@app/ui": ["@app/ui@workspace:ui"],
    "a": ["a@1.0.0", "", { "dependencies": { "c": "^1" }, "peerDependencies": {"p": "*"} }, "sha512-//,}=="],
    "a/c": ["c@1.5.0", "", {}, "sha512-x"],
    "b": ["@s/real@2.0.0", "", { "optionalDependencies": { "c": "^2" } }, ""],
    "c": ["c@2.0.0", "", {}, ""],
    "d": ["d@1.0.0", "", { "dependencies": { "e": "1" } }, ""],
    "e": ["e@1.0.0", "", {}, ""],
    "g": ["g@github:x/y#0123abc", {}, "x-y-0123abc"],
    "p": ["p@3.0.0", "", {}, ""],
  },
}
"""

    assert told("bun.lock", lock) == [
        ("@s/real", "2.0.0"),
        ("a", "1.0.0"),
        ("c", "1.5.0"),
        ("c", "2.0.0"),
        ("p", "3.0.0"),
    ]


def wanted_by(path: str) -> list[str]:
    return [each.name for each in CATALOGERS if each.reads is Reads.CONTENT and each.wants(path)]


@pytest.mark.parametrize("name", ["package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml"])
def test_locks_that_packages_were_published_with_are_not_read(name: str) -> None:
    assert wanted_by(f"app/node_modules/x/{name}") == []
    assert len(wanted_by(f"app/{name}")) == 1
