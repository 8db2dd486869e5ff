"""The base system: what every image has, or nearly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.fixer.systems.dpkg.reviews.review import Review

SYSTEM: Final[Mapping[str, Review]] = {
    "16958da0e2641b55deaa391c38c3accc92daf840659a6871d98843e6ee7d9274": Review(
        "adduser.preinst", "moves /etc/adduser.conf of versions before 3.125 only", since="3.125"
    ),
    "20d1481be698bdd6137b17a0fef0c928f6130db534fd70995fce9bfc3b1e36ac": Review(
        "adduser.postrm", "acts on purge only"
    ),
    "da4232fd72e2c58b58e6d63a99b6137f1312ec32c7ca837d446517f267c9b68f": Review(
        "apt.postinst",
        "makes the user _apt where it is missing, which apt's first installation did",
        since="2.4.5",
        needs=("user _apt",),
    ),
    "87482b14f922925fb7c3ac88f09838e379a5ee0ef35a749250a62785ea432f1e": Review("apt.postrm", "acts on purge only"),
    "47e140ac1801b91a2b8ff40f0d55583ec8c5e5ebcf2bc92d9a3bb6d68d72ee48": Review(
        "base-files.postinst", "it brings /etc/profile and others up to date with its defaults", matters=True
    ),
    "85529f1f4dcc523ba455b908028550db69a4a7c22eae5d7a6a8e51779db39f96": Review(
        "base-passwd.preinst", "acts on the first installation only"
    ),
    "b4455969ff91548473284f82c79a48872cb94ae60a3c441b01e4ca934ddac46e": Review(
        "base-passwd.postinst", "it brings /etc/passwd and /etc/group up to date with its list", matters=True
    ),
    "e8f8f8f56a34973ffcc5a93e21f2464bae5594b587dc831dbe680c43b9092d9b": Review(
        "bash.postinst",
        "registers an alternative anew that its prerm has just taken out",
        needs=(
            "link /etc/alternatives/builtins.7.gz /usr/share/man/man7/bash-builtins.7.gz",
            "file /usr/share/man/man7/bash-builtins.7.gz",
        ),
        unless=("name /usr/bin/update-menus",),
    ),
    "65067b46933408bc985bd2b95f1f11d8f361b4ba187c924d062908f1dc15ed1c": Review(
        "bash.prerm",
        "takes out an alternative that its postinst registers anew",
        needs=(
            "link /etc/alternatives/builtins.7.gz /usr/share/man/man7/bash-builtins.7.gz",
            "file /usr/share/man/man7/bash-builtins.7.gz",
        ),
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
    "973c7657378d5f56ea7282b94e2796f9b08deca24a5984d33ad8e508c84d4a8a": Review(
        "cpio.postinst", "registers an alternative that is registered", since="2.13"
    ),
    "d5c53dfc20200f29af3c94d4642f84d032ddb9d40b4436f50603a1711763ee77": Review(
        "cpio.prerm", "acts on removal only"
    ),
    "ddf8734915a89df00019efd2adef9ba7197bf50d595cb03c4abd75a7aadf4e38": Review(
        "dash.postinst",
        "claims /bin/sh, which it did at installation",
        since="0.5.12",
        needs=("diverted /bin/sh", "diverted /usr/share/man/man1/sh.1.gz"),
    ),
    "13a2d4d4afc6c5d4f4366304137e4fd582ffcca2631ba1035121428c7720273c": Review(
        "dash.prerm", "acts on removal only"
    ),
    "475328cc242e9c481ea7eb3aa2e0a8e24cfc80e84abf62f5171ba305ba5a021e": Review(
        "dash.postrm", "acts on a downgrade only", since="0.5.12"
    ),
    "89366598778524e66ca0136e7f435775deb0a6315b9319d538b16d49e599c670": Review(
        "dbus.postinst",
        "adds an override that is there since the installation; tells a server, which is not running in an image",
        since="1.14",
    ),
    "d8604a1690c7d0013cc3a705938b5d001c06168592c46512ff9e47b2fe2c8ae6": Review(
        "dbus.prerm", "acts on removal only"
    ),
    "86ee9d31498482d05b3f74cde93885402bdb818529731f6b14b1338c4157a98c": Review(
        "dbus.postrm", "acts on purge only"
    ),
    "f8aa7e8f9d767db9ca3c1daadba2ed1fff146834470d37a970de7619e317167b": Review(
        "dbus-daemon.postinst",
        "makes a machine's identity where it is missing",
        needs=("file /var/lib/dbus/machine-id", "file /etc/machine-id"),
    ),
    "c874bbb06ce675213182a14bb2cb8700cc3ae83421c9bf4176392499246f0be8": Review(
        "dbus-daemon.postrm", "acts on purge only"
    ),
    "6952788a5f85f1056f3f1c63846784b07f3052f36c52615f5e1ff13074cdaf43": Review(
        "dbus-system-bus-common.postinst",
        "makes a user where it is missing",
        needs=("user messagebus", "group messagebus"),
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
    "2ec0a35d2ae63794e457e1c006a579a3d6ff7222ee440868482501f96b597ee9": Review(
        "debianutils.prerm", "acts on removal only"
    ),
    "1d53f11600ac46fdaf74770f497684db532718eab7f2ec902f4eb5e202ed9785": Review(
        "debianutils.postrm", "acts on purge only"
    ),
    "48b05d52923a9b88ac6f4811931b1e11f8543cc208b89d4cc5c71c3e77a42a10": Review(
        "dmsetup.postinst", "makes the initial RAM disk of a kernel, which no image boots"
    ),
    "9f03c0e2516615b67d255e986bf362873bae9cd7bb689848375cbca5a73ab592": Review(
        "dpkg.postinst", "moves files that an old mistake of dpkg misplaced", since="1.21"
    ),
    "f6e9952ee29b6519d44136c698a7bfdf10b61a2e03cbd41e4f0cfb27a415ca37": Review(
        "dpkg.postrm", "acts on purge only"
    ),
    "5cfdc7d3abf8b262c1cdcffeb990722320cda54abbffb65514f5df11e170956f": Review(
        "e2fsprogs.preinst", "takes away a link that versions of old had", since="1.46"
    ),
    "6eae73cdb38976590d4c20de8f56179767abf4b99cc738bb0bbe2e07cb145333": Review(
        "e2fsprogs.postinst", "makes the initial RAM disk of a kernel, which no image boots"
    ),
    "e1131031c2950a62ae0d00b820c390068a5352d8f0124f3277f7b4708d4c8cd0": Review(
        "init-system-helpers.postinst", "ends a diversion of /etc/os-release", unless=("diverted /etc/os-release",)
    ),
    "4d0ba43acf7d72540443b5f3636eeffdf02461fdef3b10f59e34735807278755": Review(
        "iproute2.postinst",
        "gives /bin/ip the capabilities that the administrator chose",
        keeps=("bin/ip", "usr/bin/ip"),
    ),
    "84ceb4338775fd1137c65bf7710888d987c8cb568b490cff3f381594894b0923": Review(
        "libc-bin.postinst", "makes the cache of libraries anew, whose names stay the same", since="2.36"
    ),
    "3714ac9d64af44ea26cedfd363864d2ad31a99ac9f3245f1f914413219b2ff27": Review(
        "libc6.preinst",
        "makes a file that its postinst removes; looks at the kernel and at services",
        since="2.36",
    ),
    "66b404c25ae08f8a39fbbf3aa0d813ea01a57ae63ec721961787cea884ec1add": Review(
        "libc6.postinst",
        "removes a file that its preinst has just made; services are not running in an image",
        since="2.36",
    ),
    "ee738f2e99ee6dd788f816d404804f6c29ca350125032b5cd8759a2d98a66409": Review(
        "libc6.postrm", "acts on removal only"
    ),
    "690cb29b372c901bc4cb9c3b94b99f8a7184b859bf5cd28a2f462e85815d79a3": Review(
        "libgcrypt20.postinst", "clears up after systems without merged /usr; files that no package has"
    ),
    "97e0a6725d94dc194605af6a03d90cabb2e89ec5cdc8ca928c9971d34d5be5ab": Review(
        "libpam-modules.preinst", "asks about screen savers for versions before 1.4.0-5", since="1.4.0-5"
    ),
    "8c2a01ac54591374ddbd638a90f0e2dd2850bdf8d6b70d2c2e4a358bd7b4c769": Review(
        "libpam-modules.postinst", "makes files where versions before 0.99.9 were installed", since="0.99.9.0-1"
    ),
    "59033041283cf9477b838c13b1488ba42c132c09dfa68d5ccd803cab63f0dc89": Review(
        "libpam-runtime.postinst", "it writes /etc/pam.d anew from the profiles", matters=True
    ),
    "723638440e751a93504920dea7a1806e7413ab5a00c9b6bc8920021783e79428": Review(
        "libpam-runtime.postrm", "acts on purge only"
    ),
    "228b2723d2c6bd314d71adfa7652b4c67cd71ce92de0aa31d75c6980b23dad94": Review(
        "libpam-systemd.postinst", "it writes /etc/pam.d anew from the profiles", matters=True
    ),
    "da0319c91e73c491021a57a13a98efd7d6607d63d2bece7b1002ae05cd6b507e": Review(
        "libpam-systemd.prerm", "acts on removal only"
    ),
    "eb98a74b97d9d176d5ff66d63bb8fb3f618a20857660b3b317ccb3061117b184": Review(
        "libpam0g.postinst", "restarts services for versions before 1.4.0-2", since="1.4.0-2"
    ),
    "1a200a21507c80cee8a1c96312f7744402f5f03ca19344b5e3ed977b35da4bfa": Review(
        "locales.postinst", "it generates the locales anew", matters=True
    ),
    "49224d12393daca25b1363a77268514fae6986bc2897218d4aafbe3aea5cff0c": Review(
        "login.postinst",
        "makes /etc/subuid and /etc/subgid where they are missing",
        needs=("file /etc/subuid", "file /etc/subgid"),
    ),
    "bf977e12764aac3bcb8c238c3c59b2060d2ea120fc70a76c40a0ddca580f93b9": Review(
        "logrotate.postrm", "acts on purge only"
    ),
    "6c455756fd15e8c3102bfab37d596a402c83489f01255ff6af1c06b6b776d7f7": Review(
        "man-db.postinst", "it makes the index of manual pages anew", matters=True
    ),
    "f90d5fc70ec039df606038d0bc7dfdc343b8d6b0d4f936fdb88407d450c8fcac": Review(
        "netbase.postinst", "makes files at the first installation only"
    ),
    "0309aea4bb47db3246f8f31df3aeca76328caac9b4af8200036777f222657609": Review(
        "netbase.postrm", "acts on purge only"
    ),
    "ceeea4fa24b97730a8185db46360dfaba14ef779e79cbafc25dbb44489c3aca0": Review(
        "passwd.postinst", "makes the group shadow where it is missing", needs=("group shadow",)
    ),
    "bf7a56d9bd736c00422b660835f77db918b631cdef37a8c45a55453d745620b8": Review(
        "procps.postinst",
        "takes away what versions of old left; registers alternatives that are registered",
        since="2:4",
        unless=("name /etc/psdevtab", "name /etc/psdatabase", "name /etc/rcS.d/S30procps.sh"),
    ),
    "bf99b347a2755de1d42c3884b74d4c2b3a11843428520bd91cf9e671cbc0e7fe": Review(
        "procps.postrm", "acts after failures only"
    ),
    "ace8fd5f5a44af3de37bdde126e25a2bffc4542b6d9019b91e22fa0e01061b1d": Review(
        "readline-common.postinst", "makes a file at the first installation only"
    ),
    "73a39a0abda87508dca207341b86decd2a7e80d3414658f43fa08808dbcc2b1c": Review(
        "readline-common.postrm", "acts on purge only"
    ),
    "d831a6b320f0ddea917590843c1957c756f0e254582c05f068c9cba5188edb27": Review(
        "shared-mime-info.postinst", "it makes the database of media types anew", matters=True
    ),
    "da77f52c2ea3a6323d9bbddbde84134da2c16eef2e3e08c6314a16386cb7e590": Review(
        "systemd.postinst",
        "it makes the catalog of messages anew, and a machine's identity where it is missing",
        matters=True,
    ),
    "86fce60d7fb2f52f5c84b3da8ffec5967f14da05579c05bb16f936384de3480d": Review(
        "tar.postinst", "registers an alternative that is registered"
    ),
    "5afc66fc58c61eaf0bfb769df3f33bf85064d9d4d81a45ffc2715ac191a097b9": Review(
        "tar.prerm", "acts on removal only"
    ),
    "e54a6569acbe5d0ed1f13e103363771e2ff398bf71f93e48da637d7d27b98f1c": Review(
        "tzdata.postinst",
        "writes the time zone that is set, by the name that it has today",
        since="2022",
        needs=("zone agreed", "file /etc/timezone"),
    ),
    "52ce97805f997c78a71b98bfe3740481245e52f184b2157f7f00f24427908d2d": Review(
        "tzdata.postrm", "acts on purge only"
    ),
    "d63dabd2e2e589b66bce3ac1fa0141fdedc5aa3ed6f9b65ed34bd1724e6c4ae0": Review(
        "udev.postinst", "it makes the database of hardware anew", matters=True
    ),
    "9cbc9a41e52e36ce2126a6fbb76c69f1bb41867f870de3f1d8eff5d855624d56": Review(
        "udev.prerm", "acts on removal only"
    ),
    "914fa693d97869bded0ddda93959f652ce6984666597959983b9fa2e1259f199": Review(
        "udev.postrm", "acts on purge only"
    ),
    "4bdb41601e874cee193a2ce9ee760cd1628024c17f4b0f95b5d860fb3e251a88": Review(
        "usr-is-merged.preinst", "refuses systems without merged /usr", since="36"
    ),
    "3c098f8333b0c57a4c2e1d41fafeae699308e50043f2ecc182a5c438a74b7990": Review(
        "usr-is-merged.postinst", "acts for versions before 36 only", since="36"
    ),
    "f28355497ba5345a66072369e7b73de4b1d86414f24939dcb07f236b424fa67b": Review(
        "util-linux.postinst", "registers an alternative that is registered"
    ),
    "32ae2d915683056455d9ed5d51f5d045c322ae862e49a808dc01ea6e4edb4461": Review(
        "util-linux.prerm", "acts on removal only"
    ),
    "e8cb5a58594291c33eb8d2d0d34a808e6ce29f5159084094929f9de90e8d9dd8": Review(
        "util-linux.postrm", "acts on purge only"
    ),
}
