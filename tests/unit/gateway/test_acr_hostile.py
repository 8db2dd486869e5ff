"""Every field of every action with what nobody should send: it is answered or refused, and never breaks us."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.door import SERVICE
from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.client import translated_errors
from tests.builders.edge import Edge, acr_edge
from tests.fakes.scanner import a_finding, a_task

TEXTS = ("\0", "a\0b", "é\u202e\ud7ff", "x" * 100_000, "'; DROP TABLE x; --", "[" * 50_000, "-1", "$.^(")
CONFIGS = (
    '{"Nodes":[{"NodeName":"a\\u0000b"}]}',
    '{"ChainConfigId":"\\ud800"}',
    '{"Nodes":' + "[" * 10_000,
    json.dumps({"Nodes": [{"NodeName": "x"}] * 1001}),
    json.dumps({"IsActive": 2}),
    json.dumps({"Nodes": [{"NodeConfig": {"Retry": 10**30}}]}),
)
KNOWN = {
    "tag": "1.0",
    "from_tag": "1.0",
    "to_tag": "2.0",
    "rule_name": "r",
    "scan_scope": "INSTANCE",
    "trigger_type": "AUTO",
    "repo_tag_filter_pattern": ".*",
    "namespace_name": "shop",
    "repo_namespace_name": "team",
    "repo_name": "app",
    "repo_type": "PUBLIC",
    "summary": "s",
    "name": "n",
    "chain_config": "{}",
}


@pytest.fixture
async def edge(database: str) -> AsyncIterator[Edge]:
    async with acr_edge(database) as edge:
        yield edge


def is_text(field: FieldDescriptor) -> bool:
    return field.cpp_type == FieldDescriptor.CPPTYPE_STRING


def hostile(field: FieldDescriptor) -> list[Any]:
    if field.message_type is not None or field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return []
    if not is_text(field):
        return [-1, 2**31 - 1, -(2**31)]
    texts = TEXTS + CONFIGS if field.name == "chain_config" else TEXTS
    return [[text] for text in texts] if field.is_repeated else list(texts)


@pytest.mark.parametrize("method", list(SERVICE.methods), ids=lambda method: method.name)
async def test_no_field_breaks_an_action(edge: Edge, method: Any) -> None:
    edge.scanner.task = a_task(instance_id=edge.instance.instance_id)
    edge.scanner.result = (a_finding(),)
    known = {**KNOWN, "instance_id": edge.instance.instance_id, "repo_id": edge.repository.repo_id}
    fields = {field.name: field for field in method.input_type.fields}
    base = {name: value for name, value in known.items() if name in fields and is_text(fields[name])}
    message = GetMessageClass(method.input_type)

    for name, field in fields.items():
        for value in hostile(field):
            try:
                with translated_errors():
                    await getattr(edge.acr, method.name)(message(**{**base, name: value}))
            except ServiceError as error:
                assert error.kind not in (Kind.INTERNAL, Kind.UNAVAILABLE), (name, str(value)[:20], error)
                assert len(error.message) < 1000, (name, str(value)[:20])


@pytest.mark.parametrize("text", TEXTS)
async def test_no_default_of_a_namespace_breaks_it(edge: Edge, text: str) -> None:
    request = pb.CreateNamespaceRequest(
        instance_id=edge.instance.instance_id,
        namespace_name="shop",
        default_repo_configuration=pb.RepoConfiguration(repo_type=text),
    )
    with pytest.raises(ServiceError) as caught, translated_errors():
        await edge.acr.CreateNamespace(request)

    assert caught.value.reason == "INVALID_REPO_TYPE"
