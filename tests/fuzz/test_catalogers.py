"""A damaged record gives evidence or warnings, never an exception, and what it gives can be kept and shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL

from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.catalogers.interface import Cataloger, Distribution, Evidence, Reads
from services.scanner.layers.analysis import LayerAnalysis, decode_analysis, encode_analysis
from services.scanner.pipeline.identity import purl_of
from tests.fuzz.damage import damaged
from tests.fuzz.samples import SAMPLES, Sample

READERS = [cataloger for cataloger in CATALOGERS if cataloger.reads is Reads.CONTENT]
CASES = [(cataloger, sample) for cataloger in READERS for sample in SAMPLES.get(cataloger.name, ())]


@pytest.mark.parametrize("cataloger", READERS, ids=lambda each: each.name)
def test_every_cataloger_has_a_sample_that_it_reads(cataloger: Cataloger) -> None:
    for path, content in SAMPLES[cataloger.name]:
        assert cataloger.wants(path)
        evidence = cataloger.read(path, content)
        assert evidence.packages or evidence.distribution or evidence.channels or evidence.owned
        assert evidence.warnings == ()


@pytest.mark.parametrize(
    ("cataloger", "sample"), CASES, ids=[f"{each.name}-{sample.path}" for each, sample in CASES]
)
@given(data=st.data())
def test_damage_gives_evidence(cataloger: Cataloger, sample: Sample, data: st.DataObject) -> None:
    evidence = cataloger.read(sample.path, data.draw(damaged(sample.content)))

    assert decode_analysis(encode_analysis(an_analysis(evidence))).evidence == (evidence,)
    for package in evidence.packages:
        assert PackageURL.from_string(purl_of(package, Distribution(id="debian", version_id="12")))
    for warning in evidence.warnings:
        assert warning.path.strip("/")
        assert warning.message.isprintable()


def an_analysis(evidence: Evidence) -> LayerAnalysis:
    return LayerAnalysis(
        diff_id="",
        uncompressed_size=0,
        entries=1,
        evidence=(evidence,),
        remembered=(),
        whiteouts=(),
        opaque=(),
        paths=b"",
        warnings=(),
    )
