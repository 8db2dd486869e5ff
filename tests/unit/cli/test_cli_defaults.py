"""What nobody wrote is taken as it is meant."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from services.cli.failure import Exit
from services.cli.main import app

_NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    "command",
    [
        ["key", "create", "ci", "--role", "viewer"],
        ["key", "rotate", "ci"],
        ["gate", "prod", "team/app:1.0"],
        ["status", "prod", "team/app:1.0"],
        ["task", "create", "prod", "team/app:1.0"],
        ["rule", "run", "crscnr-1"],
    ],
    ids=" ".join,
)
def test_a_command_without_its_times_gets_as_far_as_the_server(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--server", _NOBODY], env={"DRYDOCK_TOKEN": "ddk_none"})
    assert result.exit_code == Exit.UNREACHABLE, result.output
