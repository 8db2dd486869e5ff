"""Every baseline rule finds its positive samples and leaves its negative ones alone."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.inspectors.config import inspect_config
from services.scanner.inspectors.content import ContentInspector
from services.scanner.inspectors.inspection import Inspection
from services.scanner.inspectors.interface import Seen
from services.scanner.inspectors.rules import Place, Rule, baseline_rules
from services.scanner.inspectors.text import TextRules

RULES = baseline_rules()
SAMPLES = [
    pytest.param(rule, sample, found, id=f"{rule.id}-{'finds' if found else 'spares'}-{number}")
    for rule in RULES
    for found, samples in ((True, rule.samples.positive), (False, rule.samples.negative))
    for number, sample in enumerate(samples)
]


def told_by(rule: Rule, sample: str) -> dict[str, list[str]]:
    """What a sample makes all rules say, by rule."""
    said: dict[str, list[str]] = {}
    text = sample.replace("·", "")
    if rule.samples.path.startswith("config:") or rule.samples.place is not Place.FILE:
        for sighting, _ in inspect_config(config_of(rule, text), ["sha256:1"]):
            said.setdefault(sighting.rule.id, []).append(sighting.match)
        return said
    path = rule.samples.path or "app/settings"
    inspector = ContentInspector(Inspection())
    mode, content = (int(text, 8), b"\x7fELF") if text.isdecimal() and rule.check else (0o644, text.encode())
    for sighting in inspector.file(path, content, mode):
        said.setdefault(sighting.rule.id, []).append(sighting.match)
    return said


def config_of(rule: Rule, text: str) -> bytes:
    container: dict[str, object] = {"User": "app"}
    history: list[dict[str, object]] = []
    if rule.id == "root-user":
        container["User"] = text
    elif rule.id == "ssh-port-exposed":
        container["ExposedPorts"] = {text: {}}
    elif rule.samples.place is Place.ENV:
        container["Env"] = [text]
    else:
        history.append({"created_by": text})
    return msgspec.json.encode({"config": container, "history": history})


def test_every_rule_has_samples_of_both_kinds() -> None:
    assert len(RULES) > 60
    assert [rule.id for rule in RULES if not rule.samples.positive or not rule.samples.negative] == []


@pytest.mark.parametrize(("rule", "sample", "found"), SAMPLES)
def test_samples(rule: Rule, sample: str, found: bool) -> None:
    assert (rule.id in told_by(rule, sample)) is found


@pytest.mark.parametrize(("rule", "sample", "found"), [each for each in SAMPLES if each.values[2]])
def test_no_secret_of_a_sample_is_told(rule: Rule, sample: str, found: bool) -> None:
    for matches in told_by(rule, sample).values():
        for match in matches:
            head, stars, _ = match.partition("********")
            secret = sample.replace("·", "").partition(head)[2] if stars and head else ""
            assert secret[:8] == "" or secret[:8] not in match


def test_a_line_is_told() -> None:
    found = ContentInspector(Inspection()).file("etc/shadow", b"a:*:1::::::\n\nb::1::::::\n", 0o600)
    assert [(each.rule.id, each.line, each.match) for each in found] == [("account-empty-password", 3, "b")]


@pytest.mark.parametrize("path", ["usr/lib/python3/dist-packages/x/tests/a.py", "app/node_modules/x/README.md"])
def test_examples_that_packages_bring_are_spared(path: str) -> None:
    key = b"key = '" + b"AKIA" + b"4HZQTWNYBLK73RDV'"
    assert list(ContentInspector(Inspection()).file(path, key, 0o644)) == []
    assert [each.rule.id for each in ContentInspector(Inspection()).file("app/tests/a.py", key, 0o644)] == [
        "aws-access-key-id"
    ]


def test_one_secret_is_told_once_for_a_file() -> None:
    key = b"AKIA" + b"4HZQTWNYBLK73RDV\n"
    found = ContentInspector(Inspection()).file("app/x", key * 50, 0o644)
    assert [(each.rule.id, each.line) for each in found] == [("aws-access-key-id", 1)]


def test_findings_of_one_rule_are_bounded_and_the_rest_is_told() -> None:
    inspector = ContentInspector(Inspection())
    found = [each for number in range(150) for each in inspector.file(f"app/{number}", b"x", 0o777)]
    assert len(found) == 100
    assert [each.code for each in inspector.warnings()] == ["TOO_MANY_FINDINGS"]


@given(before=st.text("0123456789:AHx\n ", max_size=90), after=st.text("0Ab_-\n ", max_size=40))
def test_a_rule_with_a_core_finds_what_its_pattern_finds(before: str, after: str) -> None:
    for rule in (each for each in RULES if each.core):
        for sample in rule.samples.positive:
            content = f"{before}{sample.replace('·', '')}{after}".encode()
            inspector = ContentInspector(Inspection())
            found = [each.match for each in inspector.file("app/x", content, 0o644) if each.rule.id == rule.id]
            seen = [each for each in TextRules(RULES).search(rule.id, content) if isinstance(each, Seen)]
            assert found == list({each.match: None for each in seen})
