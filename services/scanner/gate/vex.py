"""OpenVEX 0.2.0: which vulnerabilities somebody vouches an image is not affected by. Pure, and bounded.

https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md, "Statement Fields", "Status Labels", "Inheritance",
read 2026-11-26. Among statements on one vulnerability in one package the youngest counts, of whatever document.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from services.kernel.errors import ServiceError, invalid
from services.kernel.model.finding import VULNERABILITIES, Finding
from services.scanner.gate.purls import PackageKey, Purl, parse_purl

MOST_DOCUMENTS = 16
MOST_BYTES = 3 << 20
MOST_STATEMENTS = 20_000
MOST_COMPONENTS = 50_000
"""Products and subcomponents of all documents together."""
_CONTEXT = "https://openvex.dev/ns/v0.2.0"

Word = Annotated[str, msgspec.Meta(max_length=2048)]


class Status(enum.Enum):
    """How a product stands to a vulnerability."""

    NOT_AFFECTED = "not_affected"
    AFFECTED = "affected"
    FIXED = "fixed"
    UNDER_INVESTIGATION = "under_investigation"

    @property
    def excuses(self) -> bool:
        """Whether the vulnerability does not count."""
        return self in (Status.NOT_AFFECTED, Status.FIXED)


class Justification(enum.Enum):
    """Why a product is not affected."""

    COMPONENT_NOT_PRESENT = "component_not_present"
    VULNERABLE_CODE_NOT_PRESENT = "vulnerable_code_not_present"
    VULNERABLE_CODE_NOT_IN_EXECUTE_PATH = "vulnerable_code_not_in_execute_path"
    VULNERABLE_CODE_CANNOT_BE_CONTROLLED = "vulnerable_code_cannot_be_controlled_by_adversary"
    INLINE_MITIGATIONS_ALREADY_EXIST = "inline_mitigations_already_exist"


class _Vulnerability(msgspec.Struct, frozen=True):
    name: Word
    aliases: tuple[Word, ...] = ()


class _Subcomponent(msgspec.Struct, frozen=True):
    id: Word = msgspec.field(default="", name="@id")
    identifiers: dict[str, str] = {}


class _Product(msgspec.Struct, frozen=True):
    id: Word = msgspec.field(default="", name="@id")
    identifiers: dict[str, str] = {}
    hashes: dict[str, str] = {}
    subcomponents: tuple[_Subcomponent, ...] = ()


class _Statement(msgspec.Struct, frozen=True):
    vulnerability: _Vulnerability
    status: Status
    timestamp: datetime | None = None
    products: tuple[_Product, ...] = ()
    justification: Justification | None = None
    impact_statement: str = ""


class _Document(msgspec.Struct, frozen=True):
    context: Word = msgspec.field(name="@context")
    id: Word = msgspec.field(name="@id")
    author: Word
    timestamp: datetime
    version: int
    statements: tuple[_Statement, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VexImage:
    """The image that statements may be about."""

    digests: frozenset[str]
    """Its own, and those of its platforms."""
    repository: str
    """Path in the registry, as in `team/app`; empty where it has none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What one statement says of one package, or of every package of the image."""

    number: int
    """Of the statement, over all documents."""
    status: Status
    moment: datetime
    package: Purl | None
    """None: whatever package of the image has it."""
    words: str


class Statements:
    """The statements of documents, as far as they are about one image."""

    def __init__(self, documents: Sequence[bytes], image: VexImage) -> None:
        """Reads them.

        Raises:
            ServiceError: INVALID_VEX, VEX_TOO_LARGE.
        """
        self._image = image
        self._claims: dict[str, dict[PackageKey | None, list[_Claim]]] = defaultdict(lambda: defaultdict(list))
        self._used: set[int] = set()
        self.total = 0
        """Statements in all documents."""
        for document in read_documents(documents):
            for statement in document.statements:
                self._take(document, statement)

    @property
    def unused(self) -> int:
        """How many statements have fitted no finding that was asked about."""
        return self.total - len(self._used)

    def excuse(self, finding: Finding) -> str:
        """Returns why a finding does not count, in words; empty when it does."""
        if finding.kind not in VULNERABILITIES:
            return ""
        purl = parse_purl(finding.package.purl) if finding.package else None
        claims = [claim for each in {finding.id, *finding.aliases} for claim in self._about(each.upper(), purl)]
        if not claims:
            return ""
        self._used.update(claim.number for claim in claims)
        # Of the same moment, the one that excuses nothing.
        youngest = max(claims, key=lambda claim: (claim.moment, not claim.status.excuses))
        return youngest.words if youngest.status.excuses else ""

    def _about(self, name: str, purl: Purl | None) -> Iterator[_Claim]:
        claims = self._claims.get(name)
        if claims is None:
            return
        yield from claims.get(None, ())
        if purl is not None:
            for claim in claims.get(purl.key, ()):
                if claim.package is not None and claim.package.covers(purl):
                    yield claim

    def _take(self, document: _Document, statement: _Statement) -> None:
        number, self.total = self.total, self.total + 1
        moment = statement.timestamp or document.timestamp
        why = statement.justification.value if statement.justification else statement.impact_statement
        words = f"{document.author} says {statement.status.value}{f': {why}' if why else ''} ({document.id})"
        names = {statement.vulnerability.name.upper(), *(each.upper() for each in statement.vulnerability.aliases)}
        for product in statement.products:
            for package in self._packages(product):
                claim = _Claim(
                    number=number, status=statement.status, moment=_aware(moment), package=package, words=words
                )
                for name in names:
                    self._claims[name][package.key if package else None].append(claim)

    def _packages(self, product: _Product) -> Iterator[Purl | None]:
        """Yields the packages of the image that a product stands for: None for all of them."""
        purls = [purl for purl in map(parse_purl, (product.id, product.identifiers.get("purl", ""))) if purl]
        if self._is_image(product, purls):
            if not product.subcomponents:
                yield None
            for part in product.subcomponents:
                named = map(parse_purl, dict.fromkeys((part.id, part.identifiers.get("purl", ""))))
                yield from (purl for purl in named if purl is not None)
        elif not product.subcomponents:  # of what is in another product, nothing follows for this image
            yield from dict.fromkeys(purls)

    def _is_image(self, product: _Product, purls: Sequence[Purl]) -> bool:
        if f"sha256:{product.hashes.get('sha-256', '').lower()}" in self._image.digests:
            return True
        return any(purl.key.type == "oci" and self._names_image(purl) for purl in purls)

    def _names_image(self, purl: Purl) -> bool:
        if purl.version:
            return purl.version in self._image.digests
        path = purl.repository_url.partition("/")[2]
        name = self._image.repository.rpartition("/")[2]
        return bool(name) and purl.key.name == name.lower() and path in ("", self._image.repository)


def read_documents(documents: Sequence[bytes]) -> tuple[_Document, ...]:
    """Reads OpenVEX documents.

    Raises:
        ServiceError: INVALID_VEX, VEX_TOO_LARGE.
    """
    if len(documents) > MOST_DOCUMENTS or sum(map(len, documents)) > MOST_BYTES:
        raise _too_large(f"{MOST_DOCUMENTS} documents of {MOST_BYTES >> 20} MiB together")
    read = tuple(_read(content, number) for number, content in enumerate(documents, start=1))
    statements = [statement for document in read for statement in document.statements]
    if len(statements) > MOST_STATEMENTS:
        raise _too_large(f"{MOST_STATEMENTS} statements")
    products = [product for statement in statements for product in statement.products]
    if len(products) + sum(len(product.subcomponents) for product in products) > MOST_COMPONENTS:
        raise _too_large(f"{MOST_COMPONENTS} products and subcomponents")
    return read


def _read(content: bytes, number: int) -> _Document:
    try:
        document = msgspec.json.decode(content, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _broken(number, str(error)[:200]) from error
    if document.context != _CONTEXT:
        raise _broken(number, f"its @context is {document.context[:80]!r}, not {_CONTEXT}")
    for place, statement in enumerate(document.statements, start=1):
        vouched = statement.justification is not None or statement.impact_statement
        if statement.status is Status.NOT_AFFECTED and not vouched:
            raise _broken(number, f"statement {place} says not_affected without justification or impact_statement")
    return document


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _broken(number: int, why: str) -> ServiceError:
    return invalid(
        "INVALID_VEX",
        f"VEX document {number} is no OpenVEX 0.2.0: {why}.",
        field="vex",
        hint="`vexctl` writes such documents; others are to be brought into this form.",
    )


def _too_large(limit: str) -> ServiceError:
    return invalid(
        "VEX_TOO_LARGE", f"At most {limit} are taken.", field="vex", hint="Leave out what is not needed."
    )
