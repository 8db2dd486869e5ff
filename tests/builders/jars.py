"""Makes Java archives, nested ones too."""

from __future__ import annotations

import zipfile
from io import BytesIO

CLASS = b"\xca\xfe\xba\xbe\0\0\0\x34"


def jar(files: dict[str, bytes | str] | None = None, *, packed: bool = True, class_: bool = True) -> bytes:
    """A jar with these files and, unless it is to have none, a class."""
    content = BytesIO()
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, each in {**({"a/A.class": CLASS} if class_ else {}), **(files or {})}.items():
            archive.writestr(zipfile.ZipInfo(name), each, method)
    return content.getvalue()


def properties(group: str, artifact: str, version: str) -> dict[str, bytes | str]:
    """Maven's record of a package, at its place."""
    text = f"#Created by Apache Maven 3.6.3\nversion={version}\ngroupId={group}\nartifactId={artifact}\n"
    return {f"META-INF/maven/{group}/{artifact}/pom.properties": text}


def manifest(**fields: str) -> dict[str, bytes | str]:
    """A manifest; underscores stand for hyphens."""
    lines = (f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return {"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\n" + "".join(lines) + "\r\nName: a/\r\nX: y\r\n"}


def pom(body: str) -> str:
    """A `pom.xml`."""
    return f'<?xml version="1.0"?>\n<project xmlns="http://maven.apache.org/POM/4.0.0">{body}</project>'
