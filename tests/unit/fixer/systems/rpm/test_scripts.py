"""Scripts: which ones do nothing that files do not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.fixer.systems.rpm import scripts
from services.fixer.systems.rpm.scripts import Accounts
from tests.builders.rpms import header_of, rpm

NOBODY = Accounts(frozenset({"daemon"}), frozenset({"daemon"}))
SYSTEMD_POST = """
if [ $1 -eq 1 ] && [ -x "/usr/lib/systemd/systemd-update-helper" ]; then
    # Initial installation
    /usr/lib/systemd/systemd-update-helper install-system-units a.service || :
fi
"""
SYSTEMD_POSTUN = """
if [ $1 -ge 1 ] && [ -x "/usr/lib/systemd/systemd-update-helper" ]; then
    # Package upgrade, not uninstall
    /usr/lib/systemd/systemd-update-helper mark-restart-system-units a.service || :
fi
"""


@pytest.mark.parametrize(
    ("which", "body"),
    [
        ("%post", "/sbin/ldconfig"),
        ("%post", "# nothing\n\nexit 0"),
        ("%post", SYSTEMD_POST),
        ("%postun", SYSTEMD_POSTUN),
        ("%preun", "if [ $1 -eq 0 ] ; then\n  if [ -f /x ]; then\n rm /x\n  fi\nfi\n:"),
        ("%preun", 'if [ "$1" = "0" ]\nthen\n  rm /x\nfi'),
        ("%post", "if test -d /run/systemd/system; then\n systemctl restart a\nfi"),
        ("%pre", "getent group daemon >/dev/null || groupadd -r daemon\nexit 0"),
        ("%pre", "getent passwd daemon >/dev/null 2>&1 || \\\n  useradd -r -g daemon daemon\n"),
    ],
)
def test_scripts_that_do_nothing_in_an_image_pass(tmp_path: Path, which: str, body: str) -> None:
    header = header_of(rpm("a", "1-1", scripts={which: body}), tmp_path)
    assert scripts.of_the_new(header, NOBODY) == scripts.of_the_old(header, NOBODY) == ""


@pytest.mark.parametrize(
    ("which", "body"),
    [
        ("%post", "/sbin/ldconfig; touch /x"),
        ("%post", "/sbin/ldconfig && touch /x"),
        ("%post", "/sbin/ldconfig || touch /x"),
        ("%post", "update-ca-trust"),
        ("%post", "if [ $1 -eq 0 ]; then\n touch /x\nfi"),
        ("%post", "if [ $1 -eq 1 ]; then\n :\nelse\n touch /x\nfi"),
        ("%post", "if [ $1 -eq 1 ] || true; then\n touch /x\nfi"),
        ("%post", "if [ $1 -eq 1 ] && [ -x /x ] || true; then\n touch /x\nfi"),
        ("%post", "if [ $1 -eq 1 ]; then :; fi; touch /x"),
        ("%post", "if [ $1 -eq 1 ]; then\n cat <<X\nfi\nX\nfi\ntouch /x"),
        ("%post", "if [ $1 -eq 1 ]; then\n :\n"),
        ("%post", "systemctl try-restart a;touch /x"),
        ("%post", ": $(touch /x)"),
        ("%postun", "if [ $1 -eq 1 ]; then\n touch /x\nfi"),
        ("%preun", "if [ $1 -ge 1 ]; then\n touch /x\nfi"),
        ("%pre", "getent group nobody-knows >/dev/null || groupadd -r nobody-knows"),
        ("%pre", "getent group daemon >/dev/null || groupadd daemon; touch /x"),
        ("%pretrans", "touch /x"),
        ("%posttrans", "touch /x"),
    ],
)
def test_all_else_matters(tmp_path: Path, which: str, body: str) -> None:
    header = header_of(rpm("a", "1-1", scripts={which: body}), tmp_path)
    assert which in (scripts.of_the_new(header, NOBODY), scripts.of_the_old(header, NOBODY))
