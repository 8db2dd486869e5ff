"""Files of exemptions: read whole, or refused with what is wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.exemptions import read_exemptions
from services.kernel.errors import ServiceError

ONE = '[[exempt]]\nid = "CVE-1"\nreason = "ours alone"\n'


def test_a_file_says_which_finding_may_pass_and_why(tmp_path: Path) -> None:
    file = tmp_path / "exempt.toml"
    file.write_text(ONE)

    [read] = read_exemptions(file)

    assert (read.finding_id, read.reason, read.expires_at) == ("CVE-1", "ours alone", None)


@pytest.mark.parametrize(
    "text",
    [
        ONE.replace("exempt", "exempts"),
        f'title = "ours"\n{ONE}',
        ONE + "untill = 2027-01-31\n",
        '[[exempt]]\nid = "CVE-1"\n',
        "exempt = 1",
        "x = [",
    ],
)
def test_a_word_that_says_nothing_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "exempt.toml"
    file.write_text(text)

    with pytest.raises(ServiceError) as caught:
        read_exemptions(file)

    assert caught.value.reason == "INVALID_EXEMPTION"
