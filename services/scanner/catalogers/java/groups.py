"""Groups of well-known Java artifacts whose archives do not tell them: those that were built without Maven.

Taken from the artifacts' own coordinates; a name that several groups use is none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SPRING: Final = "org.springframework"
_SPRING_PARTS: Final = (
    "aop aspects beans context context-indexer context-support core core-test expression instrument jcl jdbc jms "
    "messaging orm oxm r2dbc test tx web webflux webmvc webmvc-portlet websocket"
)
_SPRING_PROJECTS: Final = (
    "amqp batch boot cloud data graphql hateoas integration kafka ldap plugin pulsar restdocs retry security "
    "session shell statemachine vault webflow ws"
)
_COMMONS: Final = (
    "beanutils chain cli codec collections configuration daemon dbcp dbutils digester discovery el fileupload "
    "httpclient io jexl jxpath lang logging math net pool validator vfs"
)
_GROOVY: Final = (
    "all ant cli-commons cli-picocli console contracts datetime dateutil docgenerator ginq groovydoc groovysh jmx "
    "json jsr223 macro nio servlet sql swing templates test test-junit5 testng toml typecheckers xml yaml"
)
_MICRONAUT: Final = (
    "aop buffer-netty context core core-processor core-reactive http http-client http-client-core http-netty "
    "http-server http-server-netty inject jackson-core jackson-databind json-core management messaging retry "
    "router runtime validation websocket"
)
_EXACT: Final[Mapping[str, str]] = {
    **{f"spring-{part}": _SPRING for part in _SPRING_PARTS.split()},
    **{f"spring-{project}": f"{_SPRING}.{project}" for project in _SPRING_PROJECTS.split()},
    **{f"commons-{part}": f"commons-{part}" for part in _COMMONS.split()},
    "spring-rabbit": f"{_SPRING}.amqp",
    "spring-binding": f"{_SPRING}.webflow",
    "spring-xml": f"{_SPRING}.ws",
    **{
        f"jackson-{part}": "org.codehaus.jackson"
        for part in ("core-asl", "core-lgpl", "jaxrs", "mapper-asl", "mapper-lgpl", "smile", "xc")
    },
    **{f"micronaut-{part}": "io.micronaut" for part in _MICRONAUT.split()},
    "RoaringBitmap": "org.roaringbitmap",
    "activation": "javax.activation",
    "antlr": "antlr",
    "asm": "org.ow2.asm",
    "caffeine": "com.github.ben-manes.caffeine",
    "checker-qual": "org.checkerframework",
    "elasticsearch": "org.elasticsearch",
    "ecj": "org.eclipse.jdt",
    "freemarker": "org.freemarker",
    "graphql-java": "com.graphql-java",
    "gson": "com.google.code.gson",
    "h2": "com.h2database",
    "ivy": "org.apache.ivy",
    "java-dataloader": "com.graphql-java",
    "javax.inject": "javax.inject",
    "jaxb-impl": "com.sun.xml.bind",
    "jna": "net.java.dev.jna",
    "jna-platform": "net.java.dev.jna",
    "jsp-api": "javax.servlet.jsp",
    "jython": "org.python",
    "jython-standalone": "org.python",
    "kafka-clients": "org.apache.kafka",
    "kafka-streams": "org.apache.kafka",
    "lz4-java": "org.lz4",
    "mysql-connector-j": "com.mysql",
    "mysql-connector-java": "mysql",
    "okhttp": "com.squareup.okhttp3",
    "okio": "com.squareup.okio",
    "okio-jvm": "com.squareup.okio",
    "oro": "oro",
    "perfmark-api": "io.perfmark",
    "postgresql": "org.postgresql",
    "reactor-core": "io.projectreactor",
    "servlet-api": "javax.servlet",
    "snakeyaml": "org.yaml",
    "velocity": "org.apache.velocity",
    "woodstox-core-asl": "org.codehaus.woodstox",
    "xalan": "xalan",
    "xercesImpl": "xerces",
    "xml-apis": "xml-apis",
    "xmlpull": "xmlpull",
    "xpp3": "xpp3",
    "xpp3_min": "xpp3",
}
_BEGINNINGS: Final = (
    (re.compile(r"spring-security-(?:oauth2?|jwt)"), f"{_SPRING}.security.oauth"),
    *((re.compile(rf"spring-{project}-.+"), f"{_SPRING}.{project}") for project in _SPRING_PROJECTS.split()),
    (
        re.compile(r"ant(?:-(?:apache-.+|commons-.+|j.+|launcher|netrexx|nodeps|swing|testutil|xz))?"),
        "org.apache.ant",
    ),
    (re.compile(r"bc(?:fips|jmail|mail|pg|pkix|prov|tls|util)(?:-ext)?-(?:jdk|fips|lts).+"), "org.bouncycastle"),
    (re.compile(r"elasticsearch-.+"), "org.elasticsearch"),
    (re.compile(r"grpc-.+"), "io.grpc"),
    (re.compile(r"kafka_2\.1\d"), "org.apache.kafka"),
    (re.compile(r"kotlin-(?:stdlib|reflect|script-runtime).*"), "org.jetbrains.kotlin"),
    (re.compile(r"kotlinx-.+"), "org.jetbrains.kotlinx"),
    (re.compile(r"ktor-.+"), "io.ktor"),
    (re.compile(r"lucene-.+"), "org.apache.lucene"),
    (re.compile(r"micrometer-.+"), "io.micrometer"),
    (re.compile(r"opentelemetry-.+"), "io.opentelemetry"),
    (re.compile(r"reactor-netty.*"), "io.projectreactor.netty"),
    (re.compile(r"scala-(?:compiler|library|reflect)"), "org.scala-lang"),
    (re.compile(r"scala-(?:collection-compat|java8-compat|parser-combinators|xml)_.+"), "org.scala-lang.modules"),
    (re.compile(r"solr-.+"), "org.apache.solr"),
    (re.compile(r"tomcat-embed-.+"), "org.apache.tomcat.embed"),
    (re.compile(r"tomcat-.+"), "org.apache.tomcat"),
)
_TOMCAT: Final = {
    "annotations-api": "tomcat-annotations-api",
    "catalina": "tomcat-catalina",
    "catalina-ant": "tomcat-catalina-ant",
    "catalina-ha": "tomcat-catalina-ha",
    "catalina-ssi": "tomcat-ssi",
    "catalina-storeconfig": "tomcat-storeconfig",
    "catalina-tribes": "tomcat-tribes",
    "jasper": "tomcat-jasper",
    "jasper-el": "tomcat-jasper-el",
}
"""What Tomcat's own distribution calls otherwise."""


_MOVED: Final = {
    "dom4j": ("dom4j", 2, "org.dom4j"),
    **dict.fromkeys(
        ("groovy", *(f"groovy-{part}" for part in _GROOVY.split())),
        ("org.codehaus.groovy", 4, "org.apache.groovy"),
    ),
    "hibernate-core": ("org.hibernate", 6, "org.hibernate.orm"),
}
"""What has another group since a major version."""


def group_of(artifact: str, version: str) -> tuple[str, str]:
    """Returns the group, and the artifact's name where it has another one there; both may be empty."""
    if artifact in _TOMCAT:
        return "org.apache.tomcat", _TOMCAT[artifact]
    moved = _MOVED.get(artifact)
    if moved is not None:
        before, since, after = moved
        return (after if _major(version) >= since else before), ""
    exact = _EXACT.get(artifact)
    if exact is not None:
        return exact, ""
    return next((group for pattern, group in _BEGINNINGS if pattern.fullmatch(artifact)), ""), ""


def _major(version: str) -> int:
    digits = version.partition(".")[0]
    return int(digits) if digits.isdecimal() and len(digits) < 9 else 0
