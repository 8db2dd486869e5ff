"""Content: what rules saw in an image becomes findings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from services.kernel.model.finding import Finding, FindingKey, FixState
from services.scanner.inspectors.config import inspect_config
from services.scanner.inspectors.interface import Sighting
from services.scanner.pipeline.coalesce import SeenInImage


def content_findings(seen: Iterable[SeenInImage], config: bytes, layers: Sequence[str]) -> Iterator[Finding]:
    """Yields a finding for each rule, place and match; one that is still in the image stands for its like below.

    Args:
        seen: what rules saw in files.
        config: the image's configuration as its registry has it.
        layers: digests of the image's layers.
    """
    found: dict[FindingKey, Finding] = {}
    for each in seen:
        finding = _finding(each.sighting, each.path, each.layer, deleted=each.deleted)
        known = found.get(finding.key)
        if known is None or (known.deleted and not finding.deleted):
            found[finding.key] = finding
    for sighting, layer in inspect_config(config, layers):
        finding = _finding(sighting, sighting.path, layer, deleted=False)
        found.setdefault(finding.key, finding)
    yield from found.values()


def _finding(sighting: Sighting, path: str, layer: str, *, deleted: bool) -> Finding:
    rule = sighting.rule
    return Finding(
        kind=rule.kind,
        id=rule.id,
        aliases=(),
        severity=rule.severity,
        score=None,
        title=rule.title,
        link=rule.link,
        package=None,
        fixed_version="",
        path=path,
        layer=layer,
        fix_state=FixState.AFFECTED,
        advice=rule.advice,
        match=sighting.match,
        line=sighting.line,
        sha256=sighting.sha256,
        md5=sighting.md5,
        deleted=deleted,
    )
