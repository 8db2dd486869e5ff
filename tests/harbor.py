"""Harbor's job service as a scanner meets it: the recorded requests, and how their answers are taken.

Answers are taken as strictly as goharbor/harbor does in `src/pkg/scan/rest/v1/{client,models}.go`; every body is
held against the published schema (`fixtures/harbor/ORIGIN.md`, `fixtures/schemas/ORIGIN.md`).
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import aiohttp
import jsonschema

_FIXTURES = Path(__file__).parent / "fixtures"
RECORDED: dict[str, Any] = json.loads((_FIXTURES / "harbor" / "conversation.json").read_text())
_LONGEST_REFRESH = 127
_GIVE_UP_SECONDS = 60


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def message(self) -> str:
        """What Harbor reads of an answer that is not what it expected."""
        conforms("ErrorResponse", self.body)
        return str(self.body["error"]["message"])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What Harbor wants scanned, and how its robot may pull it."""

    registry: str
    repository: str
    digest: str
    authorization: str = ""
    tag: str = "1.0"
    manifest: str = "application/vnd.oci.image.manifest.v1+json"


@dataclasses.dataclass(slots=True)
class JobService:
    """Talks to a scanner as it is registered: base URL, and headers that its form of authentication adds."""

    url: str
    authentication: dict[str, str]
    polls: int = 0

    async def metadata(self) -> Any:
        """`GetMetadata`, and what `Validate` refuses."""
        answer = await self.send(RECORDED["metadata"])
        assert answer.status == 200, answer.content
        said = conforms("ScannerAdapterMetadata", answer.body)
        assert all(said["scanner"][word] for word in ("name", "vendor", "version"))
        assert said["capabilities"]
        for capability in said["capabilities"]:
            assert "application/vnd.docker.distribution.manifest.v2+json" in capability["consumes_mime_types"]
            assert RECORDED[capability["type"]]["report"]["headers"]["Accept"] in capability["produces_mime_types"]
        return said

    async def submit(self, image: Image, kind: str = "vulnerability") -> Answer:
        """`SubmitScan`."""
        return await self.send(RECORDED[kind]["submit"], image)

    async def scan(self, image: Image, kind: str = "vulnerability") -> Answer:
        """A whole job: submits, and polls until there is an answer that is not "not yet"."""
        submitted = await self.submit(image, kind)
        assert submitted.status == 202, submitted.content
        scan_id = conforms("ScanResponse", submitted.body)["id"]
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            while (answer := await self.report(scan_id, kind)).status == 302:
                self.polls += 1
                # Go before 1.19 refuses a redirect without it.
                assert answer.headers["location"]
                refresh = int(answer.headers["refresh-after"])
                assert 0 < refresh <= _LONGEST_REFRESH
                await asyncio.sleep(min(refresh, 1) / 4)  # it would wait for the whole time
        return answer

    async def report(self, scan_id: str, kind: str = "vulnerability") -> Answer:
        """`GetScanReport`, once."""
        return await self.send(RECORDED[kind]["report"], ID=scan_id)

    async def send(self, recorded: dict[str, Any], image: Image | None = None, **words: str) -> Answer:
        """Sends a recorded request; redirects are not followed."""
        if image is not None:
            words |= {
                "REGISTRY": image.registry,
                "AUTHORIZATION": image.authorization,
                "REPOSITORY": image.repository,
                "TAG": image.tag,
                "DIGEST": image.digest,
                "MANIFEST": image.manifest,
            }
        filled = json.loads(Template(json.dumps(recorded)).substitute({k: _quoted(v) for k, v in words.items()}))
        body = json.dumps(filled["body"]).encode() if "body" in filled else None
        return await self.ask(filled["method"], filled["path"], body, filled["headers"])

    async def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        sent = RECORDED["always"] | headers | self.authentication
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}{path}", data=body, headers=sent, allow_redirects=False) as answer,
        ):
            names = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, names, await answer.read())


def basic(username: str, password: str) -> str:
    """The value of an Authorization header, as `makeBasicAuthorization` builds it."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def conforms(name: str, document: Any) -> Any:
    """Returns a document that keeps to the published schema of that name."""
    _validator(name).validate(document)
    return document


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((_FIXTURES / "schemas" / "harbor-scanner-adapter-1.2.json").read_text())
    return jsonschema.Draft202012Validator(
        {**schema, "$ref": f"#/$defs/{name}"}, format_checker=jsonschema.FormatChecker()
    )


def _quoted(text: str) -> str:
    return json.dumps(text)[1:-1]
