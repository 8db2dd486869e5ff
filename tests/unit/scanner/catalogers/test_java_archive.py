"""Java's archives: what they are, what is shaded into them, what lies in them; bombs are borne."""

from __future__ import annotations

import struct
import time
import zipfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.catalogers.interface import Evidence, PackageFormat
from services.scanner.catalogers.java.archive import JavaArchiveCataloger
from services.scanner.catalogers.java.names import of_manifest
from tests.builders.jars import CLASS, jar, manifest, pom, properties

Files = dict[str, bytes | str]
LOG4J = properties("org.apache.logging.log4j", "log4j-core", "2.14.1")
LOG4J_TOLD = ("org.apache.logging.log4j:log4j-core", "2.14.1")


def read(content: bytes, path: str = "app/x.jar") -> Evidence:
    return JavaArchiveCataloger().read(path, content)


def packages(evidence: Evidence) -> list[tuple[str, str, str]]:
    assert all(each.format is PackageFormat.MAVEN for each in evidence.packages)
    return [(each.name, each.version, each.inner) for each in evidence.packages]


def codes(evidence: Evidence) -> list[str]:
    return [each.code for each in evidence.warnings]


def told(files: Files, path: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Names and versions, and the names that are guesses."""
    evidence = read(jar(files), path)
    assert evidence.warnings == ()
    return [(name, version) for name, version, _ in packages(evidence)], guessed(evidence)


def guessed(evidence: Evidence) -> list[str]:
    return [each.name for each in evidence.packages if each.guessed]


@pytest.mark.parametrize("path", ["lib/log4j-core-2.14.1.jar", "lib/renamed.jar", "lib/log4j-core.jar"])
def test_a_jar_is_what_its_maven_files_say_whatever_it_is_called(path: str) -> None:
    assert told(LOG4J, path) == ([LOG4J_TOLD], [])


def test_a_shaded_jar_is_what_it_is_and_what_is_shaded_into_it() -> None:
    files = {**LOG4J, **properties("com.example", "tool", "1.0")}

    assert told(files, "tool-1.0-all.jar") == ([LOG4J_TOLD, ("com.example:tool", "1.0")], [])


def test_a_jar_with_a_single_package_shaded_into_it_is_not_that_package() -> None:
    files = properties("com.google.guava", "guava", "30.0-jre")

    assert told(files, "some-library-16.2.jar") == (
        [("com.google.guava:guava", "30.0-jre"), ("some-library", "16.2")],
        ["some-library"],
    )


def test_a_shaded_jar_that_is_none_of_its_packages_is_listed_by_its_name() -> None:
    files = {**LOG4J, **properties("a.b", "c", "1.0"), **manifest(Implementation_Version="7.5")}

    assert told(files, "server.jar") == ([LOG4J_TOLD, ("a.b:c", "1.0"), ("server", "7.5")], [])


@pytest.mark.parametrize(
    ("body", "name", "version"),
    [
        ("<groupId>a.b</groupId><artifactId>c</artifactId><version>1.0</version>", "a.b:c", "1.0"),
        (
            "<parent><groupId>a.b</groupId><artifactId>p</artifactId><version>2.0</version></parent>"
            "<artifactId>c</artifactId>",
            "a.b:c",
            "2.0",
        ),
        ("<groupId>a.b</groupId><artifactId>c</artifactId><version>${revision}</version>", "a.b:c", "3.0"),
        (
            "<groupId>a.b</groupId><artifactId>c</artifactId><version>1.0</version><dependencies><dependency>"
            "<groupId>d</groupId><artifactId>e</artifactId><version>9</version></dependency></dependencies>",
            "a.b:c",
            "1.0",
        ),
    ],
)
def test_a_pom_stands_in_for_properties(body: str, name: str, version: str) -> None:
    assert told({"META-INF/maven/a.b/c/pom.xml": pom(body)}, "c-3.0.jar") == ([(name, version)], [])


def test_a_pom_with_a_document_type_is_not_expanded() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><project><artifactId>&b;</artifactId></project>'

    assert told({"META-INF/maven/a.b/c/pom.xml": bomb}, "c-3.0.jar") == (
        [("c", "3.0")],
        ["c"],
    )


@pytest.mark.parametrize(
    ("fields", "path", "name", "version", "sure"),
    [
        (
            {"Implementation_Version": "5.3.9"},
            "spring-core-5.3.9.jar",
            "org.springframework:spring-core",
            "5.3.9",
            1,
        ),
        ({}, "spring-security-core-5.6.0.jar", "org.springframework.security:spring-security-core", "5.6.0", 1),
        ({}, "spring-boot-2.6.1.jar", "org.springframework.boot:spring-boot", "2.6.1", 1),
        ({}, "catalina.jar", "org.apache.tomcat:tomcat-catalina", "", 1),
        ({}, "dom4j-1.6.1.jar", "dom4j:dom4j", "1.6.1", 1),
        ({}, "groovy-json-4.0.1.jar", "org.apache.groovy:groovy-json", "4.0.1", 1),
        ({}, "kafka_2.13-3.4.0.jar", "org.apache.kafka:kafka_2.13", "3.4.0", 1),
        ({"Bundle_SymbolicName": "a.b.c-d;singleton:=true"}, "c-d-1.0.jar", "a.b:c-d", "1.0", 1),
        (
            {"Group_Id": "org.x", "Short_Name": "y", "Plugin_Version": "1.2 (private)"},
            "z.hpi",
            "org.x:y",
            "1.2",
            1,
        ),
        ({"Implementation_Vendor_Id": "org.x"}, "y-1.0.jar", "org.x:y", "1.0", 0),
        ({"Bundle_SymbolicName": "org.x.y", "Bundle_Version": "1.2.0"}, "y.jar", "org.x:y", "1.2.0", 0),
        ({"Automatic_Module_Name": "org.x.y"}, "y_1.2.3.jar", "org.x:y", "1.2.3", 0),
        ({"Implementation_Vendor": "The X Team"}, "y-1.0-jre.jar", "y", "1.0-jre", 0),
        ({"Bundle_Name": "%name"}, "my-http2-server.jar", "my-http2-server", "", 0),
    ],
)
def test_a_jar_without_maven_files_is_what_manifest_and_name_say(
    fields: dict[str, str], path: str, name: str, version: str, sure: int
) -> None:
    assert told(manifest(**fields), path) == ([(name, version)], [] if sure else [name])


@pytest.mark.parametrize(
    ("files", "path"),
    [
        (manifest(Specification_Title="Java Platform API Specification"), "usr/lib/jvm/lib/jrt-fs.jar"),
        (manifest(Main_Class="a.A"), "opt/x.war"),
        ({"BOOT-INF/lib/log4j.jar": jar(LOG4J)}, "app.jar"),
    ],
)
def test_what_holds_others_or_is_java_itself_is_no_package_that_somebody_could_miss(
    files: Files, path: str
) -> None:
    assert told(files, path)[1] == []


def test_a_jar_without_classes_is_no_package_that_somebody_could_miss() -> None:
    assert guessed(read(jar({"readme.txt": "x"}, class_=False), "x-sources.jar")) == []


def test_a_manifest_goes_on_where_a_line_ended() -> None:
    text = "Bundle-SymbolicName: a.b.long-na\r\n me\r\nBundle-Version: 1.0\r\n"

    assert told({"META-INF/MANIFEST.MF": text}, "long-name.jar")[0] == [("a.b:long-name", "1.0")]


def test_an_agents_hooks_are_not_what_they_are_named_after() -> None:
    assert read(jar(manifest(Weave_Classes="x")), "spring-core-5.3.jar").packages == ()


@pytest.mark.parametrize("packed", [True, False])
def test_archives_in_archives_are_read_and_say_where_they_lie(packed: bool) -> None:
    war = jar({"WEB-INF/lib/log4j-core-2.14.1.jar": jar(LOG4J), **properties("a", "web", "1")}, packed=packed)
    ear = jar({"web.war": war, **manifest()}, packed=packed)

    assert packages(read(ear, "srv/app.ear")) == [
        ("app", "", ""),
        ("a:web", "1", "web.war"),
        (*LOG4J_TOLD, "web.war:WEB-INF/lib/log4j-core-2.14.1.jar"),
    ]


def test_a_script_before_an_archive_is_stepped_over() -> None:
    assert packages(read(b"#!/bin/sh\nexec java -jar $0\n" + jar(LOG4J))) == [(*LOG4J_TOLD, "")]


def test_an_archive_of_another_kind_is_told_where_its_name_says_that_it_is_java() -> None:
    assert codes(read(b"Rar!", "x.jar")) == ["PACKAGE_RECORD_BROKEN"]
    assert codes(read(b"Rar!", "x.rar")) == []
    assert read(b"", "x.jar") == Evidence(path="x.jar", cataloger="java-archive")


def test_archives_too_deep_are_told() -> None:
    content = jar(LOG4J)
    for _ in range(8):
        content = jar({"x.jar": content})
    evidence = read(content)

    assert codes(evidence) == ["PACKAGE_RECORD_BROKEN"]
    assert "archives deep" in evidence.warnings[0].message


def zeros(size: int) -> bytes:
    return jar({"x.jar": bytes(size)})


def many_files() -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for number in range(70_000):
            archive.writestr(zipfile.ZipInfo(f"{number:05}"), b"")
    return jar({f"{number}.jar": content.getvalue() for number in range(10)})


def overlapping() -> bytes:
    """Entries that all are the same 100 MB."""
    plain = bytearray(zeros(100 << 20))
    at = plain.index(b"PK\1\2", 0)
    listed = bytes(plain[plain.rindex(b"PK\1\2") : plain.rindex(b"PK\5\6")])
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 50, 50, len(listed) * 50, at, 0)
    return bytes(plain[:at]) + listed * 50 + end


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda: zeros(200 << 20), "unpacks to more than"),
        (overlapping, "unpacks to more than"),
        (many_files, "more files than are looked at"),
    ],
    ids=["one large", "overlapping", "many files"],
)
def test_bombs_are_bounded_and_told(content: object, why: str) -> None:
    assert callable(content)
    bomb = content()
    began = time.process_time()
    evidence = read(bomb, "app/bomb.jar")

    assert time.process_time() - began < 20
    assert any(why in warning.message for warning in evidence.warnings)
    assert len(evidence.warnings) < 50


def test_a_record_that_unpacks_to_too_much_is_told_and_the_rest_is_read() -> None:
    evidence = read(jar({"META-INF/maven/a/b/pom.properties": bytes(2 << 20), **LOG4J}), "x.jar")

    assert packages(evidence)[0][0] == LOG4J_TOLD[0]
    assert "PACKAGE_RECORD_BROKEN" in codes(evidence)


def test_sizes_that_lie_do_not_matter() -> None:
    content = bytearray(jar(LOG4J))
    listed = content.rindex(b"PK\1\2")
    content[listed + 24 : listed + 28] = b"\xff\xff\xff\x7f"

    assert packages(read(bytes(content))) == [(*LOG4J_TOLD, "")]


@pytest.mark.parametrize(("at", "value", "why"), [(8, 1, "encrypted"), (10, 14, "packed by method 14")])
def test_entries_that_cannot_be_unpacked_are_told(at: int, value: int, why: str) -> None:
    content = bytearray(jar(LOG4J))
    content[content.rindex(b"PK\1\2") + at] = value
    evidence = read(bytes(content))

    assert why in evidence.warnings[0].message


def test_a_wide_archive_is_read() -> None:
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for number in range(66_000):
            archive.writestr(zipfile.ZipInfo(f"{number:05}"), b"")
        for name, text in LOG4J.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
                file.write(text.encode() if isinstance(text, str) else text)

    assert packages(read(content.getvalue())) == [(*LOG4J_TOLD, "")]


REAL = jar(
    {
        "WEB-INF/lib/log4j-core-2.14.1.jar": jar(LOG4J),
        "WEB-INF/classes/A.class": CLASS,
        "META-INF/maven/a.b/c/pom.xml": pom("<artifactId>c</artifactId>"),
        **manifest(Implementation_Title="x", Bundle_SymbolicName="a.b.c"),
    }
)


@given(
    flips=st.lists(st.tuples(st.integers(0, len(REAL) - 1), st.integers(0, 255)), max_size=10),
    start=st.integers(0, len(REAL)) | st.just(0),
    end=st.integers(0, len(REAL)) | st.just(len(REAL)),
)
def test_an_archive_that_is_broken_anywhere_gives_evidence(
    flips: list[tuple[int, int]], start: int, end: int
) -> None:
    content = bytearray(REAL)
    for at, byte in flips:
        content[at] = byte

    assert isinstance(read(bytes(content[start:end])), Evidence)


@pytest.mark.parametrize("name", ["a" + "_1" * 500, "a" + "-a_1" * 250, "a" + ".1" * 500, "a" + "_1" * 500 + "-b"])
def test_names_that_are_nearly_some_are_judged_in_no_time(name: str) -> None:
    begun = time.process_time()
    for _ in range(100):
        of_manifest(f"{name} .jar", {})
        of_manifest(f"{name}.jar", {})
    assert time.process_time() - begun < 0.1


@given(
    st.binary(max_size=300),
    st.sampled_from(["META-INF/MANIFEST.MF", "META-INF/maven/a/b/pom.xml", "pom.properties"]),
)
def test_any_record_gives_evidence(content: bytes, name: str) -> None:
    assert isinstance(read(jar({name: content})), Evidence)


@given(st.text(max_size=80))
def test_any_name_gives_evidence(name: str) -> None:
    assert isinstance(read(jar(), f"{name}.jar"), Evidence)


@pytest.mark.parametrize(
    ("path", "wanted"), [("x.jar", True), ("a/X.WAR", True), ("x.jar/y", False), ("jar", False)]
)
def test_wants_java_archives(path: str, wanted: bool) -> None:
    assert JavaArchiveCataloger().wants(path) is wanted
