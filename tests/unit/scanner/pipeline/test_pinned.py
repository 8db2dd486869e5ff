"""What a lock pins counts where nothing installed tells what came of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from services.lab.layer import LayerBuilder
from tests.builders.jars import jar, properties
from tests.builders.programs import go_program, modules
from tests.builders.records import coalesced, metadata

RUST = Path(__file__).parents[3] / "fixtures" / "executables" / "rust-auditable.so"


def lock(**packages: str) -> bytes:
    entries = {f"node_modules/{name}": {"version": version} for name, version in packages.items()}
    return msgspec.json.encode({"lockfileVersion": 3, "packages": {"": {"name": "app"}, **entries}})


def cargo_lock(**crates: str) -> str:
    return "\n".join(f'[[package]]\nname = "{name}"\nversion = "{crates[name]}"' for name in crates)


def package(name: str, version: str) -> bytes:
    return msgspec.json.encode({"name": name, "version": version})


def installed(folder: Path, *layers: LayerBuilder) -> list[tuple[str, str, str]]:
    result, _ = coalesced(layers, folder)
    assert result.warnings == ()
    return [(each.name, each.version, each.path) for each in result.packages]


def test_lock_alone_tells_what_was_built_in(tmp_path: Path) -> None:
    layer = LayerBuilder().file("app/package-lock.json", lock(lodash="4.17.15"))

    assert installed(tmp_path, layer) == [("lodash", "4.17.15", "/app/package-lock.json")]


@pytest.mark.parametrize("home", ["app/", ""])
def test_lock_of_a_project_that_is_installed_says_nothing(home: str, tmp_path: Path) -> None:
    place = f"{home}node_modules/a/package.json"
    layer = (
        LayerBuilder().file(f"{home}package-lock.json", lock(a="1.0.0", b="2.0.0")).file(place, package("a", "1"))
    )

    assert installed(tmp_path, layer) == [("a", "1", f"/{place}")]


def test_what_is_installed_elsewhere_says_nothing_of_a_project_of_npm(tmp_path: Path) -> None:
    npm = "usr/local/lib/node_modules/npm/package.json"
    layer = LayerBuilder().file("app/package-lock.json", lock(npm="9.0.0")).file(npm, package("npm", "9.0.0"))
    layer.file("package-lock.json", lock(b="1.0.0"))

    assert installed(tmp_path, layer) == [
        ("npm", "9.0.0", "/app/package-lock.json"),
        ("b", "1.0.0", "/package-lock.json"),
        ("npm", "9.0.0", f"/{npm}"),
    ]


def test_lock_that_npm_leaves_among_the_packages_says_nothing_beside_them(tmp_path: Path) -> None:
    hidden = LayerBuilder().file("app/node_modules/.package-lock.json", lock(a="1.0.0"))
    upper = LayerBuilder().file("app/node_modules/a/package.json", package("a", "1.0.0"))

    assert installed(tmp_path, hidden) == [("a", "1.0.0", "/app/node_modules/.package-lock.json")]
    assert installed(tmp_path, hidden, upper) == [("a", "1.0.0", "/app/node_modules/a/package.json")]


def test_lock_counts_again_when_an_upper_layer_takes_the_installed_away(tmp_path: Path) -> None:
    base = LayerBuilder().file("app/package-lock.json", lock(a="1.0.0"))
    base.file("app/node_modules/a/package.json", package("a", "1.0.0"))

    result, digests = coalesced([base, LayerBuilder().whiteout("app/node_modules")], tmp_path)

    assert [(each.path, each.layer) for each in result.packages] == [("/app/package-lock.json", digests[0])]


def test_of_python_each_pin_is_looked_up_in_the_whole_image(tmp_path: Path) -> None:
    site = "usr/local/lib/python3.11/site-packages/Flask_Cors-3.0.dist-info/METADATA"
    layer = LayerBuilder().file("app/requirements.txt", "flask-cors==3.0.0\nrequests==2.19.1\n")
    layer.file(site, metadata("Flask_Cors", "3.0"))

    assert installed(tmp_path, layer) == [
        ("requests", "2.19.1", "/app/requirements.txt"),
        ("Flask_Cors", "3.0", f"/{site}"),
    ]


def test_of_go_rust_and_java_each_pin_is_looked_up_in_the_whole_image(tmp_path: Path) -> None:
    program = go_program("go1.21.3", modules("dep example.com/lib v1.2.3"))
    archive = jar(properties("org.slf4j", "slf4j-api", "1.7.36"))
    layer = (
        LayerBuilder()
        .file("src/go.mod", "module a.b/c\nrequire (\nexample.com/lib v1.2.3\nexample.com/test v1.0.0\n)\n")
        .file("usr/bin/tool", program, mode=0o755)
        .file("src/Cargo.lock", cargo_lock(itoa="1.0.11", rand="0.8.0"))
        .file("usr/lib/rust.so", RUST.read_bytes(), mode=0o755)
        .file("src/gradle.lockfile", "org.slf4j:slf4j-api:1.7.36=a\ncom.google.guava:guava:31.1-jre=a\n")
        .file("opt/app.war", jar({"WEB-INF/lib/slf4j-api-1.7.36.jar": archive}, class_=False))
    )

    assert installed(tmp_path, layer) == [
        ("app", "", "/opt/app.war"),
        ("org.slf4j:slf4j-api", "1.7.36", "/opt/app.war:WEB-INF/lib/slf4j-api-1.7.36.jar"),
        ("rand", "0.8.0", "/src/Cargo.lock"),
        ("example.com/test", "v1.0.0", "/src/go.mod"),
        ("com.google.guava:guava", "31.1-jre", "/src/gradle.lockfile"),
        ("example.com/lib", "v1.2.3", "/usr/bin/tool"),
        ("stdlib", "1.21.3", "/usr/bin/tool"),
        ("cfg-if", "1.0.0", "/usr/lib/rust.so"),
        ("itoa", "1.0.11", "/usr/lib/rust.so"),
        ("tiny", "0.3.1", "/usr/lib/rust.so"),
    ]


def test_two_locks_of_one_project_tell_of_a_package_once(tmp_path: Path) -> None:
    layer = LayerBuilder().file("app/package-lock.json", lock(a="1.0.0"))
    layer.file("app/yarn.lock", 'a@^1:\n  version "1.0.0"\n\nb@^2:\n  version "2.0.0"\n')
    layer.file("srv/package-lock.json", lock(a="1.0.0"))

    assert installed(tmp_path, layer) == [
        ("a", "1.0.0", "/app/package-lock.json"),
        ("b", "2.0.0", "/app/yarn.lock"),
        ("a", "1.0.0", "/srv/package-lock.json"),
    ]


def test_vendor_folder_speaks_for_composer_s_lock(tmp_path: Path) -> None:
    locked = {"packages": [{"name": "monolog/monolog", "version": "2.0.0"}]}
    there = {"packages": [{"name": "psr/log", "version": "1.1.0"}]}
    layer = LayerBuilder().file("app/composer.lock", msgspec.json.encode(locked))
    upper = LayerBuilder().file("app/vendor/composer/installed.json", msgspec.json.encode(there))

    assert installed(tmp_path, layer) == [("monolog/monolog", "2.0.0", "/app/composer.lock")]
    assert installed(tmp_path, layer, upper) == [("psr/log", "1.1.0", "/app/vendor/composer/installed.json")]


@pytest.mark.parametrize(
    ("unread", "beside", "content"),
    [
        ("app/bun.lockb", "app/node_modules/a/package.json", package("a", "1.0.0")),
        ("app/.pnp.cjs", "app/yarn.lock", b'a@^1:\n  version "1.0.0"\n'),
        (".pnp.cjs", "yarn.lock", b'a@^1:\n  version "1.0.0"\n'),
        ("app/.yarn/cache/a-npm-1.0.0-0123-abc.zip", "app/yarn.lock", b'a@^1:\n  version "1.0.0"\n'),
        (".yarn/cache/a-npm-1.0.0-0123-abc.zip", "yarn.lock", b'a@^1:\n  version "1.0.0"\n'),
    ],
)
def test_what_is_not_read_says_nothing_beside_what_is(
    unread: str, beside: str, content: bytes, tmp_path: Path
) -> None:
    layer, upper = LayerBuilder().file(unread), LayerBuilder().file(beside, content)

    assert [each.code for each in coalesced([layer], tmp_path)[0].warnings] == ["ECOSYSTEM_NOT_READ"]
    assert installed(tmp_path, layer, upper) == [("a", "1.0.0", f"/{beside}")]
