"""One image by every name that it can have, its archives written by skopeo: one inventory."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.model.reference import parse_reference
from services.kernel.model.report import Report
from services.kernel.workers.template import spawn_template
from services.lab.image import build_image, write_layout
from services.lab.layer import Compression, LayerBuilder
from services.lab.push import push_image
from services.lab.tokens import Access, serve_tokens
from services.scanner.wiring.one_shot import one_shot
from tests.registries import PASSWORD, USERNAME, lab_registry

SKOPEO = shutil.which("skopeo")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(SKOPEO is None, reason="there is no skopeo on this machine")]

STATUS = Path(__file__).parent.parent / "fixtures" / "packages" / "debian-12.status"
RELEASE = 'VERSION_ID="12"\nID=debian\n'
BASE = LayerBuilder().file("etc/os-release", RELEASE).file("var/lib/dpkg/status", STATUS.read_bytes())
LAYERS = (
    BASE.build(Compression.GZIP),
    LayerBuilder().file("opt/tool", "content").build(Compression.GZIP_MEMBERS),
    LayerBuilder().whiteout("opt/tool").build(Compression.GZIP),
)
IMAGE = build_image(LAYERS)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    write_layout(tmp_path / "layout", {"1.0": IMAGE})
    yield tmp_path


def copied(folder: Path, source: str, target: str) -> str:
    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "-q", source, target], cwd=folder, check=True, timeout=60
    )
    return target.replace(":", f":{folder}/", 1)


async def report_of(reference: str, folder: Path) -> Report:
    return await one_shot(parse_reference(reference), template=spawn_template(()), data=folder / "data")


async def test_every_name_of_an_image_leads_to_the_same_inventory(folder: Path) -> None:
    by_folder = await report_of(f"oci:{folder}/layout:1.0", folder)
    names = [
        copied(folder, "oci:layout:1.0", "oci-archive:layout.tar:1.0"),
        copied(folder, "oci:layout:1.0", "docker-archive:docker.tar:team/app:1.0"),
    ]
    names.append(copied(folder, "docker-archive:docker.tar", "oci-archive:again.tar"))
    reports = [await report_of(name, folder) for name in names]
    async with (
        serve_tokens(users={USERNAME: PASSWORD}) as tokens,
        lab_registry(tokens=tokens) as registry,
    ):
        access = Access(type="repository", name="team/app", actions=("pull", "push"))
        token = tokens.authority.sign(USERNAME, (access,))
        await push_image(registry.access, "team/app", "1.0", IMAGE, token=token)
        reference = parse_reference(f"{registry.access.address}/team/app:1.0")
        reports.append(
            await one_shot(reference, template=spawn_template(()), access=registry.access, data=folder / "data")
        )

    assert by_folder.inventory.packages
    for report in reports:
        assert [(package.purl, package.path) for package in report.inventory.packages] == [
            (package.purl, package.path) for package in by_folder.inventory.packages
        ]
        assert report.summary == by_folder.summary
    assert reports[0].image.digest == reports[3].image.digest == by_folder.image.digest == IMAGE.digest
