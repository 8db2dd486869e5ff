"""Packages of NuGet, beside the program that they were built into, and locked."""

from __future__ import annotations

import pytest

from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN
from tests.builders.locks import read, told

DEPS = """{
  "runtimeTarget": {"name": ".NETCoreApp,Version=v8.0", "signature": ""},
  "targets": {".NETCoreApp,Version=v8.0": {
    "Web/1.0.0": {"dependencies": {"Newtonsoft.Json": "9.0.1"}, "runtime": {"Web.dll": {}}},
    "Newtonsoft.Json/9.0.1": {"runtime": {"lib/net45/Newtonsoft.Json.dll": {"assemblyVersion": "9.0.0.0"}}},
    "System.Net.Http/4.3.0": {"dependencies": {"System.IO": "4.3.0"}},
    "System.IO/4.3.0": {"runtime": {"lib/netstandard1.5/_._": {}}},
    "SQLite/1.0.0": {"runtimeTargets": {"runtimes/linux-x64/native/x.so": {"rid": "linux-x64"}}}}},
  "libraries": {
    "Web/1.0.0": {"type": "project", "serviceable": false},
    "Newtonsoft.Json/9.0.1": {"type": "package", "path": "newtonsoft.json/9.0.1"},
    "System.Net.Http/4.3.0": {"type": "package"},
    "System.IO/4.3.0": {"type": "package"},
    "SQLite/1.0.0": {"type": "package"},
    "Untargeted/2.0.0": {"type": "package"}}}"""


def test_packages_that_bring_something_to_run_count() -> None:
    assert told("app/Web.deps.json", DEPS) == [
        ("Newtonsoft.Json", "9.0.1"),
        ("SQLite", "1.0.0"),
        ("Untargeted", "2.0.0"),
    ]


def test_lock_pins_for_every_framework_what_is_no_project() -> None:
    lock = """{"version": 1, "dependencies": {
        "net6.0": {"A": {"type": "Direct", "resolved": "1.0.0"}, "P": {"type": "Project"}},
        "net8.0": {"A": {"type": "Direct", "resolved": "2.0.0"}, "B": {"resolved": "3.0.0"}}}}"""

    assert told("app/packages.lock.json", lock) == [("A", "1.0.0"), ("A", "2.0.0"), ("B", "3.0.0")]


def test_older_list_pins_too() -> None:
    config = """<?xml version="1.0" encoding="utf-8"?>
<packages>
  <package id="jQuery" version="3.1.1" targetFramework="net46" />
  <package version='1.0.0' id='Analyzers' developmentDependency="true" />
  <package
    id="NLog"
    version="4.3.10"></package>
</packages>"""

    assert told("app/packages.config", config) == [("NLog", "4.3.10"), ("jQuery", "3.1.1")]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("app/Web.deps.json", "{}"),
        ("app/Web.deps.json", '{"libraries": {"A": {"type": "package"}}}'),
        ("app/packages.lock.json", '{"dependencies": {"net6.0": {"A": {"type": "Direct"}}}}'),
        ("app/packages.lock.json", "[]"),
        ("app/packages.config", '<package id="A"/>'),
    ],
)
def test_what_cannot_be_read_is_told(path: str, content: str) -> None:
    evidence = read(path, content)

    assert evidence.packages == ()
    assert [each.code for each in evidence.warnings] == [PACKAGE_RECORD_BROKEN]
