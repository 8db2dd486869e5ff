from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.catalogers.interface import Reads
from services.scanner.catalogers.unread import ELSEWHERE, SYSTEM, UnreadCataloger
from services.scanner.layers.wanting import Wanting

SIGNS = [
    *((SYSTEM, path) for path in ("lib/x86_64-linux-gnu/libc.so.6", "usr/lib64/libc.so.6", "bin/busybox")),
    *((SYSTEM, f"etc/{name}") for name in ("alpine-release", "debian_version", "redhat-release")),
    *(
        (ELSEWHERE, f"opt/chroot/{path}")
        for path in (
            "var/lib/dpkg/status",
            "lib/apk/db/installed",
            "usr/lib/apk/db/installed",
            "var/lib/rpm/Packages",
            "usr/lib/sysimage/rpm/rpmdb.sqlite",
            "usr/share/rpm/Packages.db",
        )
    ),
    ("pacman", "var/lib/pacman/local/acl-2.3.1-3/desc"),
    ("opkg", "usr/lib/opkg/status"),
    ("opkg", "var/lib/opkg/status"),
    ("Portage", "var/db/pkg/sys-libs/glibc-2.38-r9/CONTENTS"),
    ("xbps", "var/db/xbps/pkgdb-0.38.plist"),
    ("Homebrew", "home/linuxbrew/.linuxbrew/Cellar/jq/1.7/INSTALL_RECEIPT.json"),
    ("Nix", "nix/store/0c1d-bash-5.2/bin/bash"),
    ("Nix", "nix/store/0c1d-openssl-3.0/lib/libssl.so.3"),
    ("Guix", "gnu/store/0c1d-bash-5.2/bin/bash"),
    ("npm", "app/bun.lockb"),
    ("PyPI", "app/tool.pex"),
    ("ConanCenter", "app/conan.lock"),
    ("CocoaPods", "app/Podfile.lock"),
    ("SwiftURL", "app/Package.resolved"),
    ("Pub", "app/pubspec.lock"),
    ("Hex", "app/mix.lock"),
    ("Hackage", "app/stack.yaml.lock"),
    ("Hackage", "app/cabal.project.freeze"),
    ("CRAN", "app/renv.lock"),
    ("CRAN", "usr/lib/R/site-library/ggplot2/DESCRIPTION"),
    ("CRAN", "usr/lib/R/library/base/DESCRIPTION"),
    ("npm", "app/.pnp.cjs"),
    ("npm", "app/.pnp.js"),
    ("npm", "app/.pnp.data.json"),
    ("npm", "app/deno.lock"),
    ("NuGet", "root/.nuget/packages/newtonsoft.json/9.0.1/newtonsoft.json.nuspec"),
    ("NuGet", "app/packages/Newtonsoft.Json.9.0.1/Newtonsoft.Json.nuspec"),
    ("PyPI", "usr/lib/python3/site-packages/x-1.dist-info/RECORD"),
    ("CPAN", "usr/local/lib/perl5/site_perl/5.38/x86_64-linux/auto/HTTP/Tiny/.packlist"),
    ("LuaRocks", "usr/local/lib/luarocks/rocks-5.1/lua-cjson/2.1-1/rock_manifest"),
    ("PEAR", "usr/share/php/.registry/archive_tar.reg"),
    ("PEAR", "usr/share/php/.registry/.channel.pecl.php.net/redis.reg"),
    ("npm", "app/.yarn/cache/lodash-npm-4.17.21-6382451519-eb835a2e51.zip"),
]
NONE = [
    "",
    "jar",
    "usr/bin/jar",
    "app/package.json",
    "app/node_modules/lodash/lib/package.json",
    "app/node_modules/@babel/package.json.js",
    "usr/lib/python3/dist-packages/x/static/vendor.js",
    "usr/share/nodejs/x.js",
    "app/node_modules/.modules.yaml",
    "app/pom.xml",
    "app/pyproject.toml",
    "app/Gemfile",
    "app/x.gemspec",
    "app/installed.json",
    "app/deps.json",
    "app/meta/x.json",
    "app/pom.properties",
    "app/x.nuspec",
    "app/RECORD",
    "app/.modules.yaml",
    "etc/x.reg",
    "usr/lib/perl5/.packlist",
    "usr/bin/composer",
    "app/node_modules/x",
    "app/node_modules/x/yarn.lock",
    "opt/x/.spdx-y.spdx",
    "opt/bitnami/redis/redis.spdx",
    "srv/mirror/Packages",
    "var/lib/rpm/__db.001",
    "var/lib/dpkg/status",
    "var/lib/pacman/local/ALPM_DB_VERSION",
    "etc/status",
    "DESCRIPTION",
    "nix/store/0c1d-doc/share/doc/README",
    "nix/store/.links/abc",
    "usr/share/python-wheels/pip-23.0.1-py3-none-any.whl",
    "var/cache/apt/archives/x.deb",
    "lib/apk/db/installed",
    "a/x-1.dist-info/METADATA",
]


@pytest.mark.parametrize(("ecosystem", "path"), SIGNS)
def test_file_tells_of_an_ecosystem_by_its_name(ecosystem: str, path: str) -> None:
    cataloger = UnreadCataloger()

    assert cataloger.wants(path)
    assert cataloger.read(path, b"").unread == ecosystem


@pytest.mark.parametrize("path", NONE)
def test_other_files_tell_of_none(path: str) -> None:
    assert not UnreadCataloger().wants(path)


READ = [
    ("osrelease", "etc/os-release"),
    ("osrelease", "usr/lib/os-release"),
    ("dpkg", "var/lib/dpkg/status"),
    ("dpkg", "var/lib/dpkg/status.d/tzdata"),
    ("apk", "lib/apk/db/installed"),
    ("apk", "usr/lib/apk/db/installed"),
    ("python", "a/x-1.dist-info/METADATA"),
    ("python", "a/x.egg-info/PKG-INFO"),
    ("python", "a/EGG-INFO/PKG-INFO"),
    ("python", "x-1.egg-info"),
    *(("java-archive", f"opt/app/x.{end}") for end in ("jar", "war", "ear", "hpi", "aar", "rar", "JAR")),
    ("pom-properties", "app/META-INF/maven/org.slf4j/slf4j-api/pom.properties"),
    ("gradle-lock", "opt/app/gradle.lockfile"),
    ("go-mod", "src/go.mod"),
    ("cargo-lock", "src/Cargo.lock"),
    ("egg", "usr/lib/python3/site-packages/x-1-py3.egg"),
    ("conda", "opt/conda/conda-meta/numpy-1.26-py311.json"),
    *(("python-lock", f"app/{name}") for name in ("poetry.lock", "uv.lock", "pdm.lock", "pylock.toml")),
    ("pipfile-lock", "app/Pipfile.lock"),
    ("requirements", "app/requirements.txt"),
    ("node", "node_modules/lodash/package.json"),
    ("node", "app/node_modules/@babel/core/package.json"),
    ("node", "usr/share/nodejs/lodash/package.json"),
    ("node", "opt/yarn-v1.22.22/package.json"),
    *(("npm-lock", f"app/{name}") for name in ("package-lock.json", "npm-shrinkwrap.json")),
    ("npm-lock", "app/node_modules/.package-lock.json"),
    ("yarn-lock", "yarn.lock"),
    ("pnpm-lock", "app/pnpm-lock.yaml"),
    ("bun-lock", "app/bun.lock"),
    ("gem", "usr/lib/ruby/gems/3.1.0/specifications/default/json-2.6.gemspec"),
    *(("gem-lock", f"app/{name}") for name in ("Gemfile.lock", "gems.locked")),
    ("composer", "app/vendor/composer/installed.json"),
    ("composer-lock", "app/composer.lock"),
    ("dotnet", "app/Service.deps.json"),
    *(("nuget-lock", f"app/{name}") for name in ("packages.lock.json", "packages.config")),
    ("bitnami", "opt/bitnami/.spdx-common.spdx"),
    ("dpkg-files", "var/lib/dpkg/info/libc6:amd64.list"),
    ("dpkg-files", "var/lib/dpkg/status.d/tzdata.md5sums"),
    *(("unread", path) for _, path in SIGNS),
]


@pytest.mark.parametrize(("name", "path"), READ)
def test_hints_turn_nobody_away_who_is_wanted(name: str, path: str) -> None:
    assert [each.name for each in Wanting(CATALOGERS).of(path)] == [name]


PARTS = sorted({part for _, path in READ for part in path.split("/")})


@given(parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=4))
def test_hints_change_no_answer(parts: list[str]) -> None:
    path = "/".join(parts)

    assert Wanting(CATALOGERS).of(path) == [
        each for each in CATALOGERS if each.reads is not Reads.MARK and each.wants(path)
    ]


@pytest.mark.parametrize(("ecosystem", "path"), SIGNS)
def test_nothing_that_is_read_is_called_unread(ecosystem: str, path: str) -> None:
    assert [each.name for each in CATALOGERS if each.reads is Reads.CONTENT and each.wants(path)] == []


FOLDERS = [
    ("dpkg", "var"),
    ("dpkg", "var/lib/dpkg"),
    ("apk", "lib/apk"),
    ("apk", "usr/lib/apk/db"),
    ("python", "a/x-1.dist-info"),
    ("python", "a/x.egg-info"),
    ("python", "a/EGG-INFO"),
    ("rpm", "var/lib/rpm"),
    ("rpm", "usr/lib/sysimage/rpm"),
    ("node", "node_modules"),
    ("node", "app/node_modules/x"),
    ("node", "app/node_modules/@x/y"),
    ("node", "app/node_modules/.pnpm/x@1/node_modules/x"),
    ("gem", "usr/lib/ruby/specifications"),
    ("composer", "vendor/composer"),
    ("conda", "opt/conda/conda-meta"),
]


@pytest.mark.parametrize(("name", "path"), FOLDERS)
def test_folder_of_records_is_known_by_its_name(name: str, path: str) -> None:
    assert [each.name for each in CATALOGERS if each.holds(path)] == [name]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "lib",
        "usr/lib",
        "bin",
        "etc",
        "var/run",
        "usr/bin/composer",
        "app/node_modules/.bin",
        "app/node_modules/.bin/x",
        "app/node_modules/x/lib",
        "usr/share/info",
    ],
)
def test_other_folders_hold_no_records(path: str) -> None:
    assert not Wanting(CATALOGERS).hides(path)
