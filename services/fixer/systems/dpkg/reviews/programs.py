"""Programs and libraries that images add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.fixer.systems.dpkg.reviews.review import Review

PROGRAMS: Final[Mapping[str, Review]] = {
    "3e40a2e89530a7c71d02454ac4ef2d2023ef92c96f5b07aaae20148da4d57c45": Review(
        "gawk.postinst", "registers an alternative that is registered", since="1:5", unless=("file /usr/man",)
    ),
    "1a8a6befa4a260378e911cf1787f4f4ad8fc140b0fe7f5fa952518e6dc2592d4": Review(
        "gawk.prerm", "acts on removal only"
    ),
    "822b6273f9f56621c95b9f7d3780619e8477b3ea4f31c22fc798d07f31122b9a": Review(
        "libglib2.0-0.postinst",
        "makes caches of modules and schemas, where there are any",
        needs=("file /usr/lib/x86_64-linux-gnu/gio/modules",),
        unless=(
            "file /usr/share/glib-2.0/schemas/gschemas.compiled",
            "file /usr/lib/x86_64-linux-gnu/gio/modules/giomodule.cache",
            "file /usr/lib/gio/modules",
        ),
    ),
    "bc4ef97c1ce95d616439d069a628f331b63b0bffd98b0ae6cb8c41faa34d4e29": Review(
        "libglib2.0-0.postrm", "acts on purge only"
    ),
    "f036dcb8bc354f74be1cc5f45c98d78493d26c136bcfda06b234d55774a6fded": Review(
        "libgssapi-krb5-2.postinst", "acts for versions before 1.12.1 only", since="1.12.1+dfsg-2"
    ),
    "415172e198c1779d7330184f65664d6b2ec2d2fba362e90f0bd700bf5ed327c0": Review(
        "libgssapi-krb5-2.postrm", "acts on purge only"
    ),
    "4bd7a827ac90f03effaaaaa8d06bc86abc6446590de23918585d1c86b305d783": Review(
        "libwrap0.postinst",
        "makes files where they are missing",
        needs=("file /etc/hosts.allow", "file /etc/hosts.deny"),
    ),
    "522dba4bafa5640a6d163737f9d28536ae214cb37ef8c041394da4e35b670fb9": Review(
        "libwrap0.postrm", "acts on purge only"
    ),
    "ea432af409de4842547ae4d8de59d0c565b7796df24e09c4192040af4b7cf924": Review(
        "openssh-client.postinst",
        "sets group and mode of ssh-agent",
        since="1:9.1p1-1",
        keeps=("usr/bin/ssh-agent",),
    ),
    "b79309e1270a5713acb077d6a91454dd91625b16fed3b0a0fabfcb366f6aed19": Review(
        "openssh-client.postrm", "acts on purge only"
    ),
    "9fb8c4464c9734444f0ab475bc64ee3d401f60a93e70d3cb9646e67efcdd68bc": Review(
        "openssl.postinst", "links /usr/lib/ssl where it is missing; the package has it"
    ),
    "2b39b9cdf6638292570d9828f558294f73e89852804391b90f83da4612a7361e": Review(
        "sudo.preinst", "acts for versions before 1.7.4p4-5 only", since="1.8"
    ),
    "db692ccf71653815f2534a129c0a21f68274cd8cb747bcdcf8b6ea902a1288b6": Review(
        "sudo.postinst",
        "removes files that versions of old left, and sets the mode of /etc/sudoers as it was set at installation",
        since="1.8",
    ),
    "acced20f7934f06072a342dbdd424e5f5951a504fd5be779b39497587d4c013b": Review(
        "sudo.prerm", "acts on removal only"
    ),
    "6867a5312fef2373d5e912597f480fd7b20ae0a26b93450f088ec0b9476737e4": Review(
        "sudo.postrm", "acts on purge and after failures only"
    ),
}
