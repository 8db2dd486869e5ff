"""Judges of OCSF events: the models of py-ocsf-models, which are of OCSF 1.5.0, and the schema that we publish."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from py_ocsf_models import OCSF_VERSION
from py_ocsf_models.events.findings.compliance_finding import ComplianceFinding
from py_ocsf_models.events.findings.detection_finding import DetectionFinding
from py_ocsf_models.events.findings.finding import Finding
from py_ocsf_models.objects.resource_details import ResourceDetails
from py_ocsf_models.objects.vulnerability_details import VulnerabilityDetails

_SCHEMA = Path(__file__).parents[1] / "docs" / "finding-event.schema.json"


class VulnerabilityFinding(Finding):  # type: ignore[misc]  # the library has no types
    """Class 2002, of which the library has all parts and not the whole."""

    category_uid: int
    class_uid: int
    type_uid: int
    time: int
    resources: list[ResourceDetails]
    vulnerabilities: list[VulnerabilityDetails]


_CLASSES = {2002: VulnerabilityFinding, 2003: ComplianceFinding, 2004: DetectionFinding}


@cache
def published() -> Draft202012Validator:
    """The schema in `docs/`."""
    schema = json.loads(_SCHEMA.read_bytes())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def judge(event: Any) -> None:
    """Raises where an event is none of OCSF, or not what we publish."""
    _CLASSES[event["class_uid"]].model_validate(event)
    assert event["metadata"]["version"] == OCSF_VERSION == "1.5.0"
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    published().validate(event)
