"""Debian 13, where its text is not that of Debian 12: point releases and security updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.fixer.systems.dpkg.reviews.review import Review

TRIXIE: Final[Mapping[str, Review]] = {
    "d7635d92bba7bbfe1809f5fb4bc7f4fdceca9609f7151a61e74b86f6448f9fda": Review(
        "base-files.postinst", "it brings /etc/profile and others up to date with its defaults", matters=True
    ),
    "c77979144301956f60535ef99667abedcac228312a537487e6d374e242cd63b1": Review(
        "base-files.postrm", "acts on removal only"
    ),
    "67cbc2ba6c81c7b6380e03b0b4be7183f239ff7e5e93ee8dbf2eaba5cabbc462": Review(
        "base-passwd.postinst", "it brings /etc/passwd and /etc/group up to date with its list", matters=True
    ),
    "6a12cd544f73fcc707afdd0e8307b69902654177323a81ed83159501096bf40b": Review(
        "dash.preinst", "acts for versions before 0.5.12-9 only", since="0.5.12-9"
    ),
    "94e7e0286ab53335678cf80dd9ae0be040d7b674e08167de1516d52f32109f63": Review(
        "dash.postinst",
        "ends diversions of /bin/sh that versions of old made",
        since="0.5.12-9",
        unless=("diverted /bin/sh", "diverted /usr/share/man/man1/sh.1.gz"),
    ),
    "eb7839b8e7712a3bbe4cd5663ca4567948b7931615e68f869daf9656325a8282": Review(
        "dpkg.postinst",
        "writes the name of the architecture, and makes a link where it is missing",
        since="1.22",
        needs=("file /var/lib/dpkg/arch-native", "file /sbin/start-stop-daemon"),
    ),
    "99e95fde4c331e0352b99139cf48aa7d9647935d1f8524cb66752126c11e5e56": Review(
        "dpkg.postrm", "acts on removal and purge only; tells systemd, which is not running in an image"
    ),
    "75734f7366ade767a02f2dfd074cad2fa43ad3ba1828a43a4caf229f94676bf0": Review(
        "gzip.preinst",
        "diverts what zutils diverts",
        unless=(
            "diverted /bin/zcat zutils",
            "diverted /bin/zcmp zutils",
            "diverted /bin/zdiff zutils",
            "diverted /bin/zegrep zutils",
            "diverted /bin/zfgrep zutils",
            "diverted /bin/zgrep zutils",
        ),
    ),
    "3b33e43d03a51fd4027f6d086b79434dd2995dcf5ad631406f5cdd021bb72274": Review(
        "gzip.postinst",
        "ends a diversion that zutils left",
        unless=(
            "diverted /usr/bin/zcat zutils",
            "diverted /usr/bin/zcmp zutils",
            "diverted /usr/bin/zdiff zutils",
            "diverted /usr/bin/zegrep zutils",
            "diverted /usr/bin/zfgrep zutils",
            "diverted /usr/bin/zgrep zutils",
        ),
    ),
    "eb29ae210f1021c2f0b41a37ae3ae9711e92669e9dd470b3b3b6a9b26e791767": Review(
        "libc6.preinst",
        "looks at the kernel and at services; keeps a diversion that is there",
        since="2.41",
        needs=("file /lib64", "diverted /lib64/ld-linux-x86-64.so.2"),
    ),
    "84790c05bb5101f99a58b586ab665a2874d4d4b83b668d267e717774853e0ba3": Review(
        "libc6.postinst",
        "restarts services, which are not running in an image, and tells who wants to know",
        since="2.41",
        unless=("name /var/lib/dpkg/triggers/libc-upgrade",),
    ),
    "3960602bda67c7021b8046fd6d28229c50dd9fb7b05692515d58738652005d5c": Review(
        "libc6.postrm", "acts on removal only"
    ),
    "7f5f78d2094de5d0574193c3a17eaa31d0dd5b53257b07c72ee348a273f6f540": Review(
        "libpam-modules.postinst", "makes files at the first installation only", since="0.99.9.0-1"
    ),
    "a84d8da66e9ef06387152cfd0053baa4c378315a69c0ea3e2f7ff69d0a81ac37": Review(
        "libselinux1.postinst", "acts for versions before 3.8-2 only", since="3.8-2"
    ),
    "ec4a504a18af71d9b6647a996a7fe1a8bb5331463d603a8a279b64c1d63c64f2": Review(
        "login.defs.postinst", "acts on the first installation only"
    ),
    "edcc868afa4d837f04a9e420e941cca50439c406cc5b2680d4a0c65bb908e2ab": Review(
        "tzdata.postinst",
        "writes the time zone that is set, by the name that it has today",
        since="2024b",
        needs=("zone agreed",),
    ),
    "e31a761ad7aca9502cbbabefd55ee4568da523f433fe787cac2bdbbd7463cb85": Review(
        "util-linux.postinst", "registers an alternative that is registered", since="2.40"
    ),
}
