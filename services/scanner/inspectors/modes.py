"""Modes: files that run with another's rights, and files that everybody may change (inode(7))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from services.scanner.inspectors.interface import Seen

UNUSUAL_BITS: Final = 0o6002
"""Without any of these there is nothing to look at."""
_SET_ID: Final = 0o6000
_EXECUTABLE: Final = 0o111
_OTHERS_WRITE: Final = 0o002
_USUAL: Final = re.compile(
    r"(?:usr/)?s?bin/(?:su|sudo|sudoedit|passwd|mount|umount|chsh|chfn|chage|newgrp|sg|gpasswd|expiry|unix_chkpwd"
    r"|unix2_chkpwd|pam_timestamp_check|pam_extrausers_chkpwd|pkexec|fusermount3?|ping6?|arping|clockdiff|pppd|doas|bbsuid"
    r"|wall|write(?:\.ul)?|bsd-write|ssh-agent|crontab|at|dotlockfile|mlocate|plocate|locate|newuidmap|newgidmap"
    r"|mount\.(?:nfs|cifs|ntfs-3g|davfs)|umount\.(?:nfs|udisks2)|ntfs-3g|utempter|usernetctl|userhelper|postdrop|postqueue|postlog"
    r"|exim4?|sendmail(?:\.sendmail)?|procmail|lockfile|mail-(?:lock|touchlock|unlock)|traceroute6?(?:\.iputils)?|mtr-packet"
    r"|grub2-set-bootflag|mount\.ecryptfs_private|Xorg|chromium-sandbox|staprun|screen|netreport|lockdev|bwrap)"
    r"|(?:usr/)?lib(?:exec|64)?/(?:[^/]+/)*(?:ssh-keysign|dbus-daemon-launch-helper|polkit-agent-helper-1|utempter"
    r"|pt_chown|Xorg\.wrap|camel-lock-helper-1\.2|cockpit-session|snap-confine|chrome-sandbox|eject|abrt-action-install-debuginfo-to-abrt-cache"
    r"|qemu-bridge-helper|spice-client-glib-usb-acl-helper|sssd/[a-z_]+|krb5_child|ldap_child|p11_child|proxy_child|selinux_child)"
)
"""Programs that distributions install with these bits."""


def inspect_mode(path: str, mode: int) -> Iterator[Seen]:
    """Yields what is unusual about the mode of a regular file."""
    if mode & _SET_ID and mode & _EXECUTABLE and not _USUAL.fullmatch(path):
        yield Seen("setuid-program", f"mode {mode:04o}")
    if mode & _OTHERS_WRITE:
        yield Seen("world-writable-file", f"mode {mode:04o}")
