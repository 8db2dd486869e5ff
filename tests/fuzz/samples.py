"""A good file for every cataloger that reads content: what the damage begins with."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from tests.builders.jars import jar, properties


class Sample(NamedTuple):
    """A file as it lies in an image."""

    path: str
    content: bytes


_RPM: Final = Path(__file__).parents[1] / "fixtures" / "rpm"
_DPKG: Final = b"""Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl (3.0.11-1)
Version: 3.0.11-1~deb12u2
Description: toolkit
 with a second line

Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7

"""
_APK: Final = b"""C:Q1abc=
P:musl
V:1.2.4-r2
A:x86_64
o:musl
F:lib
R:ld-musl-x86_64.so.1

P:busybox
V:1.36.1-r5
A:x86_64
o:busybox

"""
_TOML: Final = b"""[[package]]
name = "flask"
version = "0.12.2"
groups = ["main"]
source = { registry = "x" }
dependencies = [{ name = "click" }]
"""
_EGG: Final = io.BytesIO()
with zipfile.ZipFile(_EGG, "w") as _archive:
    _archive.writestr("EGG-INFO/PKG-INFO", "Name: Old\nVersion: 1.5\n")
_NPM: Final = b'{"packages": {"": {"name": "app"}, "node_modules/a": {"version": "1.0.0", "dev": false}}}'
_NPM_1: Final = b'{"dependencies": {"a": {"version": "1.0.0", "dependencies": {"b": {"version": "2.0.0"}}}}}'
_YARN: Final = b"""# yarn lockfile v1

"@s/a@^1.0.0", "@s/a@^1.1.0":
  version "1.2.0"

"b@npm:^2":
  version: 2.0.0
  resolution: "b@npm:2.0.0"
  linkType: hard
"""
_PNPM: Final = b"""lockfileVersion: '9.0'

importers:
  .:
    dependencies:
      a:
        specifier: ^1
        version: 1.0.0(p@1.0.0)

packages:
  '@s/p@1.0.0':
    resolution: {integrity: x}
  a@1.0.0: {}

snapshots:
  a@1.0.0(p@1.0.0):
    dependencies:
      '@s/p': 1.0.0
"""
_BUN: Final = b"""{"workspaces": {"": {"dependencies": {"a": "^1",},}}, // x
"packages": {"a": ["a@1.0.0", "", {"dependencies": {"b": "1"}}, "x"], "a/b": ["b@1.0.0", "", {}, "x"]},}"""
_GEMSPEC: Final = b"""Gem::Specification.new do |s|
  s.name = "rack".freeze
  s.version = "2.2.6"
end
"""
_GEMS: Final = b"""GEM
  remote: x
  specs:
    rack (2.2.6)
    nokogiri (1.13.0-x86_64-linux)
      racc (~> 1.4)

PLATFORMS
  ruby
"""
_COMPOSER: Final = b'{"packages": [{"name": "monolog/monolog", "version": "2.0.0"}], "dev": false}'
_DEPS: Final = b"""{"targets": {"x": {"A/1.0.0": {"runtime": {"A.dll": {}}}, "B/1.0.0": {}}},
"libraries": {"A/1.0.0": {"type": "package"}, "B/1.0.0": {"type": "package"}}}"""
_NUGET: Final = b'{"dependencies": {"net6.0": {"A": {"type": "Direct", "resolved": "1.0.0"}}}}'
_SPDX: Final = b"""{"packages": [{"externalRefs": [
{"referenceType": "purl", "referenceLocator": "pkg:bitnami/redis@7.4.1-0?arch=arm64&distro=debian-12"}]}]}"""
_PURL: Final = b"ExternalRef: PACKAGE-MANAGER purl pkg:bitnami/redis@7.4.1-0?arch=arm64\n"
_GO_MOD: Final = b"module a.b/c\n\ngo 1.22\n\nrequire (\n\td.e/f v1.2.3 // indirect\n)\n"
_CARGO: Final = b'version = 3\n\n[[package]]\nname = "serde"\nversion = "1.0.1"\nsource = "registry+x"\n'
_WAR: Final = jar({"WEB-INF/lib/x.jar": jar(properties("a.b", "x", "1.0")), **properties("a.b", "y", "2")})
SAMPLES: Final[Mapping[str, tuple[Sample, ...]]] = MappingProxyType(
    {
        "osrelease": (
            Sample("etc/os-release", b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n'),
        ),
        "channels": (
            Sample(
                "var/lib/ubuntu-advantage/status.json",
                b'{"attached": true, "services": [{"name": "esm-infra", "status": "enabled"}]}',
            ),
            Sample(
                "root/buildinfo/content_manifests/ubi9.json",
                b'{"content_sets": ["ubi-9-baseos-rpms", "ubi-9-appstream-rpms"]}',
            ),
        ),
        "rpm": (
            Sample("var/lib/rpm/rpmdb.sqlite", gzip.decompress((_RPM / "rpmdb.sqlite.gz").read_bytes())),
            Sample("var/lib/rpm/Packages", gzip.decompress((_RPM / "Packages.gz").read_bytes())),
        ),
        "dpkg": (Sample("var/lib/dpkg/status", _DPKG), Sample("var/lib/dpkg/status.d/bash", _DPKG)),
        "apk": (Sample("lib/apk/db/installed", _APK),),
        "python": (
            Sample(
                "usr/lib/python3/dist-packages/jinja2-3.1.2.dist-info/METADATA",
                b"Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.2\nSummary: x\n\nText: yes\n",
            ),
        ),
        "dpkg-files": (Sample("var/lib/dpkg/info/x.list", b"/.\n/usr/share/nodejs/x/package.json\n/usr/bin/x\n"),),
        "egg": (Sample("usr/lib/x-1.egg", _EGG.getvalue()),),
        "conda": (Sample("opt/conda/conda-meta/x-1-0.json", b'{"name": "x", "version": "1", "files": []}'),),
        "python-lock": tuple(
            Sample(f"app/{name}", _TOML.replace(b"[package]", b"[packages]") if name[:2] == "py" else _TOML)
            for name in ("poetry.lock", "uv.lock", "pdm.lock", "pylock.toml")
        ),
        "pipfile-lock": (Sample("app/Pipfile.lock", b'{"_meta": {}, "default": {"x": {"version": "==1.0"}}}'),),
        "requirements": (Sample("app/requirements.txt", b"x[y]==1.0 ; z\\\n  --hash=sha256:0\nz>=1\n"),),
        "node": (Sample("app/node_modules/@s/a/package.json", b'{"name": "@s/a", "version": "1.0.0"}'),),
        "npm-lock": (Sample("app/package-lock.json", _NPM), Sample("app/npm-shrinkwrap.json", _NPM_1)),
        "yarn-lock": (Sample("app/yarn.lock", _YARN),),
        "pnpm-lock": (Sample("app/pnpm-lock.yaml", _PNPM),),
        "bun-lock": (Sample("app/bun.lock", _BUN),),
        "gem": (Sample("usr/lib/ruby/specifications/rack-2.2.6.gemspec", _GEMSPEC),),
        "gem-lock": (Sample("app/Gemfile.lock", _GEMS),),
        "composer": (Sample("app/vendor/composer/installed.json", _COMPOSER),),
        "composer-lock": (Sample("app/composer.lock", _COMPOSER),),
        "dotnet": (Sample("app/x.deps.json", _DEPS),),
        "nuget-lock": (
            Sample("app/packages.lock.json", _NUGET),
            Sample("app/packages.config", b'<packages>\n <package id="A" version="1.0.0" />\n</packages>'),
        ),
        "go-mod": (Sample("src/go.mod", _GO_MOD),),
        "cargo-lock": (
            Sample(
                "src/Cargo.lock",
                _CARGO,
            ),
        ),
        "java-archive": (
            Sample(
                "opt/app.war",
                _WAR,
            ),
        ),
        "pom-properties": (
            Sample("app/META-INF/maven/a.b/x/pom.properties", b"version=1.0\ngroupId=a.b\nartifactId=x\n"),
        ),
        "gradle-lock": (Sample("app/gradle.lockfile", b"# comment\na.b:x:1.0=compileClasspath\nempty=\n"),),
        "bitnami": (
            Sample("opt/bitnami/x/.spdx-x.spdx", _SPDX),
            Sample("opt/bitnami/x/.spdx-y.spdx", _PURL),
        ),
    }
)
"""By the cataloger's name."""
