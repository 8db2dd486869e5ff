"""Maintainer scripts that somebody has read, by the hash of what their maintainer wrote (`scripts.residual`).

Debian 12's, of base systems and of a web server's image, read on 2026-11-26. A script that changes by a word is
new, and refused until it was read. To add one: read it, ask what it does when a package of the same release is
upgraded in an image where nothing runs, and write that down as the reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True)
class Review:
    """What reading a script has shown."""

    script: str
    """Package and name, for whoever looks for it."""
    reason: str
    """What it does on an upgrade, or when it does something."""
    matters: bool = False
    """Whether leaving it out would leave the image other than dpkg does."""
    since: str = ""
    """It is without effect only where at least this version is installed."""
    keeps: tuple[str, ...] = ()
    """Files whose owner, mode and attributes it sets: the new ones get those that the image has."""


REVIEWED: Final[Mapping[str, Review]] = {
    "20d1481be698bdd6137b17a0fef0c928f6130db534fd70995fce9bfc3b1e36ac": Review(
        "adduser.postrm", "acts on purge only"
    ),
    "16958da0e2641b55deaa391c38c3accc92daf840659a6871d98843e6ee7d9274": Review(
        "adduser.preinst", "moves /etc/adduser.conf of versions before 3.125 only", since="3.125"
    ),
    "da4232fd72e2c58b58e6d63a99b6137f1312ec32c7ca837d446517f267c9b68f": Review(
        "apt.postinst",
        "makes the user _apt where it is missing, which apt's first installation did",
        since="2.4.5",
    ),
    "87482b14f922925fb7c3ac88f09838e379a5ee0ef35a749250a62785ea432f1e": Review("apt.postrm", "acts on purge only"),
    "47e140ac1801b91a2b8ff40f0d55583ec8c5e5ebcf2bc92d9a3bb6d68d72ee48": Review(
        "base-files.postinst", "it brings /etc/profile and others up to date with its defaults", matters=True
    ),
    "b4455969ff91548473284f82c79a48872cb94ae60a3c441b01e4ca934ddac46e": Review(
        "base-passwd.postinst", "it brings /etc/passwd and /etc/group up to date with its list", matters=True
    ),
    "85529f1f4dcc523ba455b908028550db69a4a7c22eae5d7a6a8e51779db39f96": Review(
        "base-passwd.preinst", "acts on the first installation only"
    ),
    "e8f8f8f56a34973ffcc5a93e21f2464bae5594b587dc831dbe680c43b9092d9b": Review(
        "bash.postinst", "registers an alternative anew that its prerm has just taken out"
    ),
    "65067b46933408bc985bd2b95f1f11d8f361b4ba187c924d062908f1dc15ed1c": Review(
        "bash.prerm", "takes out an alternative that its postinst registers anew"
    ),
    "7d79fa8433c93c7ec1e753f4c4c4820b8c40ed3674829b3bb66a96dbbd701145": Review(
        "ca-certificates.postinst", "it makes the bundle of /etc/ssl/certs anew", matters=True
    ),
    "4185b2170bf5fbd414be6a0fbbe010bc19e922fc778eb2a1f538a16f0abeaa9d": Review(
        "ca-certificates.postrm", "acts on removal and purge only"
    ),
    "69839b0c650d4960edaa730357abf62424994e508ec0a3bc78045b2d38c21ebb": Review(
        "coreutils.postinst", "links /usr/bin/touch where it is missing; the package has it"
    ),
    "7b3f31753d0671de6e89440e3a370a61c3681ebdd672c54e11ed0bd7d8edb580": Review(
        "coreutils.postrm", "acts on removal only"
    ),
    "475328cc242e9c481ea7eb3aa2e0a8e24cfc80e84abf62f5171ba305ba5a021e": Review(
        "dash.postrm", "acts on a downgrade only", since="0.5.12"
    ),
    "13a2d4d4afc6c5d4f4366304137e4fd582ffcca2631ba1035121428c7720273c": Review(
        "dash.prerm", "acts on removal only"
    ),
    "9805cb9330d876f4b71ca52f862ac7ab33999f11da296103b262a30c081b0c80": Review(
        "debconf.postinst", "only loads debconf"
    ),
    "57a48ea4bcb61004e916815438782cca1d7498938a628d582f9797e716c4d022": Review(
        "debian-archive-keyring.postinst", "takes keys out of what versions before 2012.1 left", since="2012.1"
    ),
    "6ae687dda2edb280ef3d55e51ef236dfbe57ee63eac9f198dd751116aefa5eb5": Review(
        "debian-archive-keyring.postrm", "acts on purge only"
    ),
    "5f89612ea6fc3982b9b80addc2e1b8d34efd6a11a8d9d54fef8d72b5c1c22c98": Review(
        "debianutils.postinst", "registers an alternative and shells that are registered", since="5"
    ),
    "1d53f11600ac46fdaf74770f497684db532718eab7f2ec902f4eb5e202ed9785": Review(
        "debianutils.postrm", "acts on purge only"
    ),
    "2ec0a35d2ae63794e457e1c006a579a3d6ff7222ee440868482501f96b597ee9": Review(
        "debianutils.prerm", "acts on removal only"
    ),
    "9f03c0e2516615b67d255e986bf362873bae9cd7bb689848375cbca5a73ab592": Review(
        "dpkg.postinst", "moves files that an old mistake of dpkg misplaced", since="1.21"
    ),
    "f6e9952ee29b6519d44136c698a7bfdf10b61a2e03cbd41e4f0cfb27a415ca37": Review(
        "dpkg.postrm", "acts on purge only"
    ),
    "6eae73cdb38976590d4c20de8f56179767abf4b99cc738bb0bbe2e07cb145333": Review(
        "e2fsprogs.postinst", "makes the initial RAM disk of a kernel, which no image boots"
    ),
    "5cfdc7d3abf8b262c1cdcffeb990722320cda54abbffb65514f5df11e170956f": Review(
        "e2fsprogs.preinst", "takes away a link that versions of old had", since="1.46"
    ),
    "4d0ba43acf7d72540443b5f3636eeffdf02461fdef3b10f59e34735807278755": Review(
        "iproute2.postinst",
        "gives /bin/ip the capabilities that the administrator chose",
        keeps=("bin/ip", "usr/bin/ip"),
    ),
    "84ceb4338775fd1137c65bf7710888d987c8cb568b490cff3f381594894b0923": Review(
        "libc-bin.postinst", "makes the cache of libraries anew, whose names stay the same", since="2.36"
    ),
    "66b404c25ae08f8a39fbbf3aa0d813ea01a57ae63ec721961787cea884ec1add": Review(
        "libc6.postinst",
        "removes a file that its preinst has just made; services are not running in an image",
        since="2.36",
    ),
    "ee738f2e99ee6dd788f816d404804f6c29ca350125032b5cd8759a2d98a66409": Review(
        "libc6.postrm", "acts on removal only"
    ),
    "3714ac9d64af44ea26cedfd363864d2ad31a99ac9f3245f1f914413219b2ff27": Review(
        "libc6.preinst",
        "makes a file that its postinst removes; looks at the kernel and at services",
        since="2.36",
    ),
    "690cb29b372c901bc4cb9c3b94b99f8a7184b859bf5cd28a2f462e85815d79a3": Review(
        "libgcrypt20.postinst", "clears up after systems without merged /usr; files that no package has"
    ),
    "f036dcb8bc354f74be1cc5f45c98d78493d26c136bcfda06b234d55774a6fded": Review(
        "libgssapi-krb5-2.postinst", "acts for versions before 1.12.1 only", since="1.12.1+dfsg-2"
    ),
    "415172e198c1779d7330184f65664d6b2ec2d2fba362e90f0bd700bf5ed327c0": Review(
        "libgssapi-krb5-2.postrm", "acts on purge only"
    ),
    "8c2a01ac54591374ddbd638a90f0e2dd2850bdf8d6b70d2c2e4a358bd7b4c769": Review(
        "libpam-modules.postinst", "makes files where versions before 0.99.9 were installed", since="0.99.9.0-1"
    ),
    "97e0a6725d94dc194605af6a03d90cabb2e89ec5cdc8ca928c9971d34d5be5ab": Review(
        "libpam-modules.preinst", "asks about screen savers for versions before 1.4.0-5", since="1.4.0-5"
    ),
    "59033041283cf9477b838c13b1488ba42c132c09dfa68d5ccd803cab63f0dc89": Review(
        "libpam-runtime.postinst", "it writes /etc/pam.d anew from the profiles", matters=True
    ),
    "723638440e751a93504920dea7a1806e7413ab5a00c9b6bc8920021783e79428": Review(
        "libpam-runtime.postrm", "acts on purge only"
    ),
    "eb98a74b97d9d176d5ff66d63bb8fb3f618a20857660b3b317ccb3061117b184": Review(
        "libpam0g.postinst", "restarts services for versions before 1.4.0-2", since="1.4.0-2"
    ),
    "e2f98f8e9d2378edca94dfa385098c298d6b485b36df4ad3f1fa8e411a3cf967": Review(
        "libstdc++6.prerm",
        "removes compiled copies of a debugger's scripts, which are made anew when they are older",
    ),
    "49224d12393daca25b1363a77268514fae6986bc2897218d4aafbe3aea5cff0c": Review(
        "login.postinst", "makes /etc/subuid and /etc/subgid where they are missing"
    ),
    "ae320130d511e35b3aa28e0c19c24aa4f1986deef1220f0fbccf8595fa02c198": Review(
        "nginx-common.postinst",
        "sets owner and mode of the log directory, makes a first page where there is none: images may differ",
        since="1.18",
    ),
    "65910cf19d663da5226ad36d002ab4531212cc8ad3dd2c7168705041dfa6f118": Review(
        "nginx-common.postrm", "acts on purge only"
    ),
    "d7e9bea7936afdfef61254d8512ab461918764adfd0e220cd304b13306e9520e": Review(
        "nginx-common.preinst", "removes files that versions of old misplaced", since="1.18"
    ),
    "47d0b1cedfadceed3ceb7b3264bcd8bdb2c170bf511cba627805c356f169bc64": Review(
        "nginx.postinst", "restarts the server, which is not running in an image"
    ),
    "9d4fefa73db4028a20dd1c64f45852054758bc94fd1d7d3b674ad2eb65cadef9": Review(
        "nginx.prerm", "stops the server on removal only"
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
    "ceeea4fa24b97730a8185db46360dfaba14ef779e79cbafc25dbb44489c3aca0": Review(
        "passwd.postinst", "makes the group shadow where it is missing"
    ),
    "db692ccf71653815f2534a129c0a21f68274cd8cb747bcdcf8b6ea902a1288b6": Review(
        "sudo.postinst",
        "removes files that versions of old left, and sets the mode of /etc/sudoers as it was set at installation",
        since="1.8",
    ),
    "6867a5312fef2373d5e912597f480fd7b20ae0a26b93450f088ec0b9476737e4": Review(
        "sudo.postrm", "acts on purge and after failures only"
    ),
    "2b39b9cdf6638292570d9828f558294f73e89852804391b90f83da4612a7361e": Review(
        "sudo.preinst", "acts for versions before 1.7.4p4-5 only", since="1.8"
    ),
    "acced20f7934f06072a342dbdd424e5f5951a504fd5be779b39497587d4c013b": Review(
        "sudo.prerm", "acts on removal only"
    ),
    "86fce60d7fb2f52f5c84b3da8ffec5967f14da05579c05bb16f936384de3480d": Review(
        "tar.postinst", "registers an alternative that is registered"
    ),
    "5afc66fc58c61eaf0bfb769df3f33bf85064d9d4d81a45ffc2715ac191a097b9": Review(
        "tar.prerm", "acts on removal only"
    ),
    "e54a6569acbe5d0ed1f13e103363771e2ff398bf71f93e48da637d7d27b98f1c": Review(
        "tzdata.postinst", "sets the time zone that is set", since="2022"
    ),
    "52ce97805f997c78a71b98bfe3740481245e52f184b2157f7f00f24427908d2d": Review(
        "tzdata.postrm", "acts on purge only"
    ),
    "3c098f8333b0c57a4c2e1d41fafeae699308e50043f2ecc182a5c438a74b7990": Review(
        "usr-is-merged.postinst", "acts for versions before 36 only", since="36"
    ),
    "4bdb41601e874cee193a2ce9ee760cd1628024c17f4b0f95b5d860fb3e251a88": Review(
        "usr-is-merged.preinst", "refuses systems without merged /usr", since="36"
    ),
    "f28355497ba5345a66072369e7b73de4b1d86414f24939dcb07f236b424fa67b": Review(
        "util-linux.postinst", "registers an alternative that is registered"
    ),
    "e8cb5a58594291c33eb8d2d0d34a808e6ce29f5159084094929f9de90e8d9dd8": Review(
        "util-linux.postrm", "acts on purge only"
    ),
    "32ae2d915683056455d9ed5d51f5d045c322ae862e49a808dc01ea6e4edb4461": Review(
        "util-linux.prerm", "acts on removal only"
    ),
}
