"""Capabilities of files: a text for rpm, bytes for the file system (cap_from_text(3), capabilities(7))."""

from __future__ import annotations

import re
import struct
from typing import Final

from services.rpmdb.faults import Damaged

XATTR: Final = "security.capability"

_NAMES: Final = """
    chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
    net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct
    sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap
    mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
""".split()  # noqa: SIM905  # forty lines otherwise
"""By their numbers."""
_NUMBERS: Final = {f"cap_{name}": number for number, name in enumerate(_NAMES)}
_CLAUSE = re.compile(r"(?P<names>[a-z0-9_,]*)(?P<operations>(?:[=+-][eip]*)+)")
_OPERATION = re.compile(r"([=+-])([eip]*)")
_VERSION_2: Final = 0x0200_0000
_EFFECTIVE: Final = 1


def to_xattr(text: str) -> bytes:
    """Returns the bytes of `security.capability` that a text such as `cap_net_raw=ep` means; none of an empty one.

    Raises:
        Damaged: it is no such text.
    """
    sets = {"e": 0, "i": 0, "p": 0}
    for clause in text.split():
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise Damaged(f"gives a file capabilities that nobody knows: {text[:60]!r}")
        mask = _mask(match["names"], text)
        for operation, letters in _OPERATION.findall(match["operations"]):
            for letter, before in sets.items():
                after = before & ~mask if operation == "=" else before
                if letter in letters:
                    after = after & ~mask if operation == "-" else after | mask
                sets[letter] = after
    if not any(sets.values()):
        return b""
    low, high = 0xFFFF_FFFF, 32
    return struct.pack(
        "<IIIII",
        _VERSION_2 | (_EFFECTIVE if sets["e"] else 0),
        sets["p"] & low,
        sets["i"] & low,
        sets["p"] >> high,
        sets["i"] >> high,
    )


def _mask(names: str, text: str) -> int:
    if names in ("", "all"):
        return (1 << len(_NAMES)) - 1
    mask = 0
    for name in names.split(","):
        if name not in _NUMBERS:
            raise Damaged(f"gives a file capabilities that nobody knows: {text[:60]!r}")
        mask |= 1 << _NUMBERS[name]
    return mask
