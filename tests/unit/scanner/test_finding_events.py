"""Findings as events: of OCSF 1.5.0, of CloudEvents 1.0, with ids that follow from what they name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from jsonschema import ValidationError

from services.kernel.bus.interface import FINDINGS, FINDINGS_STATE
from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.severity import Severity
from services.scanner.records import StoredReport
from services.scanner.reports import pack_report
from services.scanner.stream.events import line_of, messages_of
from services.scanner.stream.grouping import Differences, bounded
from services.scanner.stream.happenings import Happening, as_open, deleted, found, not_found
from services.scanner.stream.identity import uid_of
from services.scanner.stream.records import Group, Known, OpenFinding, Result, StreamedImage
from tests.builders.reports import LODASH, LOG4J, OPENSSL, vulnerability
from tests.builders.scanner import report
from tests.builders.stream import a_risk, a_sample
from tests.ocsf import judge, published

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
IMAGE = StreamedImage(
    instance_id="cri-1", repo_id="crr-1", namespace="team", repository="app", digest="sha256:" + "d" * 64
)
RESULT = Result(
    scan_id=str(uuid.UUID(int=7)), platform="linux/amd64", engine="SECURITY_CENTER", ended_at=AT, judged_at=AT
)
MALICIOUS_PACKAGE = vulnerability(LODASH, "MAL-2024-1", kind=FindingKind.MALICIOUS_SAMPLE, aliases=())
FINDINGS_OF_ALL_KINDS = (
    vulnerability(OPENSSL, kind=FindingKind.SYSTEM_VULNERABILITY),
    vulnerability(LODASH, "GHSA-aaaa-bbbb-cccc", score=None, fixed="", aliases=()),
    vulnerability(LOG4J, severity=Severity.UNKNOWN, title=""),
    a_risk(),
    a_risk(path="config:/config/Env/2", match=""),
    a_sample(),
    MALICIOUS_PACKAGE,
)


def a_group(finding: Finding) -> Group:
    return Group(uid=uid_of(IMAGE, "linux/amd64", "SECURITY_CENTER", finding), fingerprint=b"", findings=[finding])


def an_open(finding: Finding) -> OpenFinding:
    group = a_group(finding)
    return OpenFinding(
        uid=group.uid,
        platform="linux/amd64",
        engine="SECURITY_CENTER",
        findings=group.findings,
        first_seen_at=AT - timedelta(days=2),
        seen_at=AT - timedelta(days=1),
    )


def every_happening(finding: Finding) -> Iterator[Happening]:
    yield found(IMAGE, RESULT, a_group(finding), None)
    yield found(IMAGE, RESULT, a_group(finding), Known(fingerprint=b"", first_seen_at=AT - timedelta(days=1)))
    yield not_found(IMAGE, RESULT, an_open(finding))
    yield deleted(IMAGE, an_open(finding), AT)
    yield as_open(IMAGE, an_open(finding))


@pytest.mark.parametrize(
    "finding", FINDINGS_OF_ALL_KINDS, ids=lambda finding: f"{finding.kind.value}-{finding.id}"
)
def test_every_event_is_one_of_ocsf_and_of_what_we_publish(finding: Finding) -> None:
    classes = {
        FindingKind.SYSTEM_VULNERABILITY: 2002,
        FindingKind.APPLICATION_VULNERABILITY: 2002,
        FindingKind.BASELINE_RISK: 2003,
        FindingKind.MALICIOUS_SAMPLE: 2004,
    }
    activities = []
    for happening in every_happening(finding):
        [message] = messages_of(happening, state=False)
        event = json.loads(message.value)
        judge(event)
        assert event["class_uid"] == classes[finding.kind]
        activities.append((event["activity_name"], event["status"], event.get("status_code")))
    assert activities == [
        ("Create", "New", None),
        ("Update", "New", None),
        ("Close", "Resolved", "NOT_FOUND"),
        ("Close", "Resolved", "IMAGE_DELETED"),
        ("Create", "New", None),
    ]


@pytest.mark.parametrize("missing", ["vulnerabilities", "finding_info", "metadata", "time"])
def test_the_judges_refuse_what_lacks_something(missing: str) -> None:
    [message] = messages_of(found(IMAGE, RESULT, a_group(FINDINGS_OF_ALL_KINDS[0]), None), state=False)
    event = json.loads(message.value)
    del event[missing]
    with pytest.raises(ValueError, match=missing):
        judge(event)
    with pytest.raises(ValidationError, match=missing):
        published().validate(event)


def test_an_event_says_what_there_is_to_know_of_a_vulnerability() -> None:
    [message] = messages_of(found(IMAGE, RESULT, a_group(FINDINGS_OF_ALL_KINDS[0]), None), state=False)
    event = json.loads(message.value)
    [said] = event["vulnerabilities"]
    assert said["cve"] == {
        "uid": "CVE-2024-1",
        "title": "It overflows",
        "cvss": [{"base_score": 7.5, "version": "unknown", "severity": "High"}],
    }
    assert said["affected_packages"] == [
        {
            "name": "libssl3",
            "version": "3.0.11-1",
            "type_id": 2,
            "type": "Operating System",
            "purl": OPENSSL.purl,
            "architecture": "amd64",
            "path": OPENSSL.path,
            "fixed_in_version": "9",
            "remediation": {"desc": "Update libssl3 to 9 or later."},
        }
    ]
    assert (event["severity_id"], event["time"]) == (4, int(AT.timestamp() * 1000))
    assert event["resources"][0]["uid"] == IMAGE.digest


def test_a_strangers_library_reads_the_cloudevent() -> None:
    [message] = messages_of(found(IMAGE, RESULT, a_group(a_risk()), None), state=False)
    raw = KafkaMessage(
        headers={name: value.encode() for name, value in message.headers.items()},
        key=message.key,
        value=message.value,
    )
    event = from_binary_event(raw)
    data = json.loads(message.value)
    assert event.get_data() == data
    assert (event.get_specversion(), event.get_type()) == ("1.0", "drydock.finding.created")
    assert event.get_source() == "urn:drydock:instance:cri-1"
    assert event.get_id() == data["metadata"]["uid"]
    assert event.get_subject() == data["finding_info"]["uid"]
    assert event.get_time() == AT
    assert event.get_datacontenttype() == "application/json"
    assert event.get_dataschema() == "https://schema.ocsf.io/1.5.0/classes/compliance_finding"
    assert event.get_extension("partitionkey") == IMAGE.digest
    assert (message.topic, message.key) == (FINDINGS, IMAGE.digest.encode())


def test_a_line_is_the_same_event_in_structured_mode() -> None:
    [message] = messages_of(found(IMAGE, RESULT, a_group(a_risk()), None), state=False)
    line = line_of(message.headers, message.value)
    assert b"\n" not in line
    event = JSONFormat().read(CloudEvent, line)
    assert event.get_data() == json.loads(message.value)
    assert event.get_id() == message.headers["ce_id"]


def test_the_compacted_topic_gets_the_event_by_uid_and_a_tombstone_at_the_end() -> None:
    event, kept = messages_of(found(IMAGE, RESULT, a_group(a_risk()), None), state=True)
    uid = json.loads(event.value)["finding_info"]["uid"]
    assert (kept.topic, kept.key, kept.value) == (FINDINGS_STATE, uid.encode(), event.value)
    _, tombstone = messages_of(not_found(IMAGE, RESULT, an_open(a_risk())), state=True)
    assert (tombstone.key, tombstone.value) == (kept.key, b"")


def test_a_uid_follows_from_nine_words_and_from_nothing_else() -> None:
    finding = FINDINGS_OF_ALL_KINDS[0]
    uid = uid_of(IMAGE, "linux/amd64", "SECURITY_CENTER", finding)
    # For good: consumers keep it. It is written down in docs/findings-stream.md, how it is made too.
    assert str(uid) == UID
    named = ["cri-1", "team/app", IMAGE.digest, "linux/amd64", "SECURITY_CENTER", finding.kind.value]
    text = json.dumps([*named, finding.id, OPENSSL.purl, finding.path], separators=(",", ":"), ensure_ascii=False)
    half = hashlib.sha256(text.encode()).hexdigest()[:32]
    assert uid.hex[:12] + uid.hex[13:16] + uid.hex[17:] == half[:12] + half[13:16] + half[17:]
    assert (uid.version, uid.variant) == (8, uuid.RFC_4122)
    changed = msgspec.structs.replace(finding, severity=Severity.LOW, title="Other", fixed_version="", aliases=())
    assert uid_of(IMAGE, "linux/amd64", "SECURITY_CENTER", changed) == uid
    assert uid_of(dataclasses.replace(IMAGE, repo_id="crr-9"), "linux/amd64", "SECURITY_CENTER", finding) == uid
    others = [
        uid_of(dataclasses.replace(IMAGE, instance_id="cri-2"), "linux/amd64", "SECURITY_CENTER", finding),
        uid_of(dataclasses.replace(IMAGE, repository="other"), "linux/amd64", "SECURITY_CENTER", finding),
        uid_of(dataclasses.replace(IMAGE, digest="sha256:0"), "linux/amd64", "SECURITY_CENTER", finding),
        uid_of(IMAGE, "linux/arm64", "SECURITY_CENTER", finding),
        uid_of(IMAGE, "linux/amd64", "TRIVY", finding),
        uid_of(
            IMAGE,
            "linux/amd64",
            "SECURITY_CENTER",
            msgspec.structs.replace(finding, kind=FindingKind.BASELINE_RISK),
        ),
        uid_of(IMAGE, "linux/amd64", "SECURITY_CENTER", msgspec.structs.replace(finding, id="CVE-2024-2")),
        uid_of(IMAGE, "linux/amd64", "SECURITY_CENTER", msgspec.structs.replace(finding, path="/other")),
        uid_of(IMAGE, "linux/amd64", "SECURITY_CENTER", msgspec.structs.replace(finding, package=LODASH)),
    ]
    assert len({uid, *others}) == 10


def test_each_happening_has_an_id_of_its_own_that_a_replay_repeats() -> None:
    ids = [happening.event_id for happening in every_happening(a_risk())]
    assert len(set(ids)) == 5
    assert ids == [happening.event_id for happening in every_happening(a_risk())]
    again = dataclasses.replace(RESULT, judged_at=AT + timedelta(seconds=1))
    assert found(IMAGE, again, a_group(a_risk()), None).event_id not in ids


def test_what_an_image_makes_endless_is_cut() -> None:
    long = "\x01" * 10_000  # six bytes each in JSON
    hostile = msgspec.structs.replace(
        vulnerability(
            msgspec.structs.replace(LODASH, name=long, version=long, purl=long, path=long, ecosystem=long),
            long,
            title=long,
            fixed=long,
            aliases=tuple(f"{number}{long}" for number in range(1000)),
        ),
        path=long,
        link=long,
        advice=long,
        match=long,
    )
    risks = [a_risk(path="/" + long, match=f"{number}{long}") for number in range(1000)]
    whole = msgspec.structs.replace(report(IMAGE.digest, "linux/amd64"), findings=(hostile, *risks))
    found_in = Differences().of(StoredReport(content=pack_report(whole)), IMAGE, RESULT, b"")
    assert len(found_in.changed) == 2
    for group in (bounded(group) for group, _ in found_in.changed):
        [message] = messages_of(found(IMAGE, RESULT, group, None), state=False)
        judge(json.loads(message.value))
        # A broker of default settings takes a megabyte.
        assert len(message.value) < 900_000


UID = "fd74de9c-dcad-8cd5-90a4-25da80b7e5f3"


def test_the_sentence_of_an_event_says_where_the_finding_is() -> None:
    sentences = [
        str(json.loads(message.value)["message"])
        for finding in (a_risk(), vulnerability(OPENSSL, "CVE-1"))
        for message in messages_of(found(IMAGE, RESULT, a_group(finding), None), state=False)
    ]
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "accounts.empty-password in /etc/passwd found",
        f"CVE-1 in {OPENSSL.name} {OPENSSL.version} found",
    ]
