"""`gradle.lockfile`: every line that has coordinates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.catalogers.interface import Evidence, FoundPackage, PackageFormat
from services.scanner.catalogers.java.gradle_lock import GradleLockCataloger

FILE = b"""# This is a Gradle generated file for dependency locking.
# Manual edits can break the build and are not advised.
com.google.guava:guava:31.1-jre=compileClasspath,runtimeClasspath
org.slf4j:slf4j-api:1.7.36=runtimeClasspath
empty=annotationProcessor
"""


def read(content: bytes) -> Evidence:
    return GradleLockCataloger().read("app/gradle.lockfile", content)


def test_what_is_locked_is_read() -> None:
    assert read(FILE) == Evidence(
        path="app/gradle.lockfile",
        cataloger="gradle-lock",
        packages=(
            FoundPackage(format=PackageFormat.MAVEN, name="com.google.guava:guava", version="31.1-jre"),
            FoundPackage(format=PackageFormat.MAVEN, name="org.slf4j:slf4j-api", version="1.7.36"),
        ),
        pinned=True,
    )


@pytest.mark.parametrize("line", [b"a:b=x", b"a:b:c:d=x", b"a b:c:d=x", b":b:c=x", b"======="])
def test_a_broken_line_is_told_and_its_neighbours_are_read(line: bytes) -> None:
    evidence = read(line + b"\n" + FILE)

    assert len(evidence.packages) == 2
    assert [each.code for each in evidence.warnings] == ["PACKAGE_RECORD_BROKEN"]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("gradle.lockfile", True), ("a/buildscript-gradle.lockfile", True), ("a/xgradle.lockfile", False)],
)
def test_wants_lock_files(path: str, wanted: bool) -> None:
    assert GradleLockCataloger().wants(path) is wanted


@given(st.binary(max_size=300))
def test_any_bytes_give_evidence(content: bytes) -> None:
    assert isinstance(read(content), Evidence)
