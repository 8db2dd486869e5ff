"""What rules saw in layers, seen from the image; hostile content ends in time; no secret is told."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.report import Layer
from services.lab.image import build_image
from services.lab.layer import BuiltLayer, LayerBuilder
from services.layers.limits import LayerLimits
from services.scanner.inspectors.accounts import inspect_passwd, inspect_shadow
from services.scanner.inspectors.config import inspect_config
from services.scanner.inspectors.content import ContentInspector
from services.scanner.inspectors.globs import Globs
from services.scanner.inspectors.inspection import Inspection
from services.scanner.inspectors.interface import Seen
from services.scanner.inspectors.limits import InspectionLimits
from services.scanner.inspectors.masking import mask
from services.scanner.inspectors.rulefiles import RuleFile
from services.scanner.inspectors.sshd import inspect_sshd
from services.scanner.layers.analyse import analyse_layer
from services.scanner.layers.analysis import decode_analysis
from services.scanner.pipeline.coalesce import coalesce
from services.scanner.pipeline.content import content_findings
from tests.builders.malware import EICAR, zipped

KEY = "AKIA" + "4HZQTWNYBLK73RDV"
NOBODY = {"config": {"User": "app"}}


def analysed(folder: Path, built: BuiltLayer, number: int = 0) -> bytes:
    file = folder / f"layer-{number}"
    file.write_bytes(built.content)
    return analyse_layer(
        str(file), media_type=built.media_type_for(docker=False), limits=LayerLimits(), inspection=Inspection()
    )


def findings_of(folder: Path, *layers: LayerBuilder, config: dict[str, object] | None = None) -> list[Finding]:
    built = [layer.build() for layer in layers]
    image = build_image(built, config=config or NOBODY)
    analyses = [
        (
            Layer(digest=each.digest, diff_id=each.diff_id, size=len(each.content)),
            decode_analysis(analysed(folder, each, number)),
        )
        for number, each in enumerate(built)
    ]
    content = image.blobs[msgspec.json.decode(image.manifest)["config"]["digest"]]
    return list(content_findings(coalesce(analyses).seen, content, [each.digest for each in built]))


def test_a_secret_is_told_with_its_place(tmp_path: Path) -> None:
    layer = LayerBuilder().file("app/settings.py", f"x = 1\nkey = '{KEY}'\n")
    (found,) = findings_of(tmp_path, layer)
    assert (found.kind, found.id, found.path, found.line) == (
        FindingKind.BASELINE_RISK,
        "aws-access-key-id",
        "/app/settings.py",
        2,
    )
    assert (found.match, found.package, found.deleted) == ("AKIA********", None, False)
    assert found.layer.startswith("sha256:")


@pytest.mark.parametrize(
    "upper",
    [
        LayerBuilder().whiteout("app/key"),
        LayerBuilder().whiteout("app"),
        LayerBuilder().opaque("app"),
        LayerBuilder().file("app/key", "nothing"),
        LayerBuilder().symlink("app/key", "/dev/null"),
    ],
    ids=["whiteout", "folder", "opaque", "replaced", "link"],
)
def test_what_a_later_layer_takes_away_is_told_as_deleted(tmp_path: Path, upper: LayerBuilder) -> None:
    lower = LayerBuilder().file("app/key", KEY).file("app/eicar", EICAR).file("app/old", "x", mode=0o4755)
    found = {each.id: each for each in findings_of(tmp_path, lower, upper)}
    assert found["aws-access-key-id"].deleted
    assert ("setuid-program" in found) is not found["eicar-test-file"].deleted


def test_a_setting_of_a_lower_layer_is_gone_with_its_file(tmp_path: Path) -> None:
    lower = LayerBuilder().file("etc/ssh/sshd_config", "PermitRootLogin yes").file("opt/x", "x", mode=0o4755)
    upper = LayerBuilder().file("etc/ssh/sshd_config", "PermitRootLogin no").file("opt/x", "x", mode=0o755)
    assert [each.id for each in findings_of(tmp_path, lower)] == ["sshd-root-login", "setuid-program"]
    assert findings_of(tmp_path, lower_again(), upper) == []


def lower_again() -> LayerBuilder:
    return LayerBuilder().file("etc/ssh/sshd_config", "PermitRootLogin yes").file("opt/x", "x", mode=0o4755)


def test_the_same_file_in_two_layers_is_one_finding_of_the_first(tmp_path: Path) -> None:
    lower, upper = LayerBuilder().file("app/key", KEY), LayerBuilder().file("app/key", KEY, mode=0o600)
    (found,) = findings_of(tmp_path, lower, upper)
    assert not found.deleted
    assert found.layer == LayerBuilder().file("app/key", KEY).build().digest


def test_a_file_that_goes_on_under_another_name_is_not_deleted(tmp_path: Path) -> None:
    lower = LayerBuilder().file("app/key", KEY)
    upper = LayerBuilder().hard_link("srv/key", "app/key").whiteout("app/key")
    (found,) = findings_of(tmp_path, lower, upper)
    assert (found.path, found.deleted) == ("/srv/key", False)


def test_a_thousand_secrets_behind_very_many_lines_are_read_in_no_time() -> None:
    inspector = ContentInspector(Inspection())
    inspector.file("app/warm", b"x", 0o644)
    keys = b"".join(
        b"\n" * 40 + b"AKIA4HZQTWNYBLK7" + bytes((65 + a, 65 + b, 82, 86)) for a in range(25) for b in range(25)
    )
    begun = time.process_time()

    found = inspector.file("app/x", b"\n" * (8 << 20) + keys, 0o644)

    assert time.process_time() - begun < 1
    assert [each.line for each in found] == [(8 << 20) + 41]


def a_tar_of_devices() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        head = tarfile.TarInfo("x")
        head.size, head.type = 2 << 20, tarfile.GNUTYPE_SPARSE
        archive.addfile(head, io.BytesIO(bytes(2 << 20)))
    return file.getvalue()


@pytest.mark.parametrize(
    "bomb", [gzip.compress(bytes(2 << 20)), a_tar_of_devices()], ids=["large", "not looked at"]
)
def test_what_was_unpacked_in_vain_counts_for_the_layer(bomb: bytes) -> None:
    limits = InspectionLimits(window_bytes=1 << 20, unpacked_bytes=8 << 20, layer_unpacked_bytes=4 << 20)
    inspector = ContentInspector(Inspection(limits=limits))
    for number in range(6):
        inspector.file(f"app/{number}.gz", bomb, 0o644)

    assert "left for it" in inspector.skipped()[-1].message


def test_the_configuration_tells_of_users_ports_and_the_environment(tmp_path: Path) -> None:
    config: dict[str, object] = {
        "config": {"User": "", "Env": ["A=1", f"AWS_ACCESS_KEY_ID={KEY}"], "ExposedPorts": {"22/tcp": {}}},
        "history": [
            {"created_by": f"ENV AWS_ACCESS_KEY_ID={KEY}", "empty_layer": True},
            {"created_by": "RUN apk add --allow-untrusted x"},
        ],
    }
    found = {each.id: each for each in findings_of(tmp_path, LayerBuilder().file("x", "y"), config=config)}
    assert set(found) == {
        "root-user",
        "ssh-port-exposed",
        "aws-access-key-id",
        "environment-secret",
        "unverified-download",
    }
    assert found["aws-access-key-id"].path == "config:/config/Env/1"
    assert (found["unverified-download"].path, found["root-user"].layer) == ("config:/history/1/created_by", "")
    assert found["unverified-download"].layer.startswith("sha256:")


def test_without_an_inspection_nobody_looks(tmp_path: Path) -> None:
    file = tmp_path / "layer"
    built = LayerBuilder().file("app/key", KEY, mode=0o4777).build()
    file.write_bytes(built.content)
    media_type = built.media_type_for(docker=False)
    analysis = decode_analysis(analyse_layer(str(file), media_type=media_type, limits=LayerLimits()))
    assert (analysis.evidence, analysis.remembered) == ((), ())


def test_an_analysis_holds_no_secret(tmp_path: Path) -> None:
    layer = (
        LayerBuilder()
        .file("app/.env", "DB_PASSWORD=q7Rw-TzK2m-Lx9\n")
        .file("etc/shadow", "a:$1$abcdefgh$q7RwTzK2mPx:1::::::")
    )
    encoded = analysed(tmp_path, layer.file("app/a.zip", zipped(k=KEY.encode())).build())
    assert len(decode_analysis(encoded).evidence) == 3
    for secret in (b"q7Rw-", b"abcdefgh", KEY[:6].encode()):
        assert secret not in encoded


def test_a_hundred_thousand_small_files_end_in_time(tmp_path: Path) -> None:
    layer = LayerBuilder()
    for number in range(100_000):
        layer.file(f"d/{number}", "x")
    assert decode_analysis(analysed(tmp_path, layer.build())).evidence == ()


@pytest.mark.parametrize(
    "line", [b"A" * (8 << 20), b"password=" * (1 << 20), b"://a:" * (1 << 20), b"eval(" * (1 << 20)]
)
def test_huge_lines_end_in_time(line: bytes) -> None:
    inspector = ContentInspector(Inspection())
    inspector.file("app/.env", line, 0o644)
    inspector.file("root/.bash_history", line, 0o644)


def test_a_member_with_a_name_that_leads_out_is_only_a_name() -> None:
    (found,) = ContentInspector(Inspection()).file("a.zip", zipped(**{"../../etc/x": EICAR}), 0o644)
    assert found.path == "a.zip!/../../etc/x"


@given(st.binary(max_size=400) | st.text(alphabet="ro:x0$*!\n", max_size=200).map(str.encode))
def test_account_files_never_raise(content: bytes) -> None:
    for seen in (*inspect_shadow(content), *inspect_passwd(content), *inspect_sshd(content)):
        assert isinstance(seen, Seen)
        assert seen.line >= 1


@given(st.binary(max_size=300), st.sampled_from(["etc/shadow", "app/.env", "x.zip", "root/.netrc", "etc/sudoers"]))
def test_the_inspector_never_raises(content: bytes, path: str) -> None:
    ContentInspector(Inspection()).file(path, content, 0o644)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["config", "history", "Env", "User", "created_by"]), inner)
        ),
    )
)
def test_configurations_never_raise(value: object) -> None:
    inspect_config(msgspec.json.encode(value), ["sha256:1"])


@given(st.text(min_size=1, max_size=60))
def test_a_mask_tells_a_quarter_at_most(secret: str) -> None:
    shown = mask(secret).removesuffix("********")
    assert len(shown) <= min(4, len(secret) / 4)
    assert secret.startswith(shown)


def test_globs() -> None:
    globs = Globs([("**/.env", 1), ("etc/apt/**/*.conf", 2), ("root/*/x", 3)])
    assert [globs.of(path) for path in (".env", "a/b/.env", "etc/apt/a/b.conf", "etc/apt/b.conf", "root/a/x")] == [
        [1],
        [1],
        [2],
        [2],
        [3],
    ]
    assert [globs.of(path) for path in ("a.env", "etc/apt/x", "root/a/b/x")] == [[], [], []]
    with pytest.raises(ValueError, match="neither"):
        Globs([("**/*.key", 1)])


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("etc/passwd", "u:x:1:1::/:/bin/sh\n"),
        ("etc/shadow", "u:*:19000::::::\n"),
        ("etc/ssh/sshd_config", "# nothing\n"),
    ],
)
@pytest.mark.parametrize(("lines", "told"), [(10_000, 0), (10_001, 1)])
def test_a_file_that_is_looked_at_in_part_is_told(path: str, line: str, lines: int, told: int) -> None:
    inspector = ContentInspector(Inspection())

    assert inspector.file(path, (line * lines).encode(), 0o644) == []

    warnings = inspector.skipped()
    assert [(each.code, each.path) for each in warnings] == [("CONTENT_NOT_READ", f"/{path}")] * told
    assert all("its first 10000 lines" in each.message for each in warnings)


@pytest.mark.parametrize(("path", "told"), [("app/.env", True), ("app/data", False)])
def test_a_file_too_large_for_the_rules_about_its_name_is_told(path: str, told: bool) -> None:
    inspector = ContentInspector(Inspection(limits=InspectionLimits(window_bytes=1 << 10)))
    content = b"A=b\n" * 1_000

    assert list(inspector.passing(path, iter([memoryview(content)]), len(content)).finish()) == []

    assert [each.path for each in inspector.skipped()] == [f"/{path}"] * told


def test_a_sparse_file_that_rules_about_its_name_do_not_see_is_told() -> None:
    inspector = ContentInspector(Inspection())

    assert list(inspector.passing("app/.env", iter([memoryview(b"A=b")]), 3, sparse=True).finish()) == []

    [warning] = inspector.skipped()
    assert "sparse" in warning.message


@pytest.mark.parametrize("sparse", [False, True])
def test_the_hash_of_a_sparse_file_is_not_taken_for_that_of_its_content(sparse: bool) -> None:
    bad = b"bad"
    lists = (RuleFile("bad.sha256", f"{hashlib.sha256(bad).hexdigest()} Bad"),)
    inspector = ContentInspector(Inspection(hashes=lists))

    found = list(inspector.passing("x", iter([memoryview(bad)]), 3, sparse=sparse).finish())

    assert [each.rule.id for each in found] == ([] if sparse else ["Bad"])
    assert [each.path for each in inspector.skipped()] == (["/x"] if sparse else [])


@pytest.mark.parametrize(
    ("path", "line"), [("app/x", "key = AK%sIA4HZQTWNYBLK7%s\n"), ("app/.env", "DB_PASS%sWORD=Zk7q%sxT\n")]
)
def test_a_file_with_more_matches_than_are_looked_at_is_told(path: str, line: str) -> None:
    inspector = ContentInspector(Inspection())
    words = ("".join("ABCDEFGHIJ"[int(digit)] for digit in f"{number:04d}") for number in range(1_500))

    inspector.file(path, "".join(line % ("", word) for word in words).encode(), 0o644)

    assert f"/{path}" in [each.path for each in inspector.skipped()]
