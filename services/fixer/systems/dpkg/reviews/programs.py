"""Programs and libraries that images add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.fixer.systems.dpkg.reviews.review import Review

PROGRAMS: Final[Mapping[str, Review]] = {
    "c3ef246bbc8e052ab402bc6190a6b8dd89c8ad87ef539e141521626b814c9c67": Review(
        "bsdextrautils.preinst",
        "takes out an alternative that versions of old had",
        unless=("name /var/lib/dpkg/alternatives/write",),
    ),
    "0ee7ab820f66e86edcb31a1d529425746ce211c6a6ddb5d81462267ea1f3991a": Review(
        "bsdmainutils.preinst", "acts for versions before 12.1.7 only", since="12.1.8"
    ),
    "288ade627722b0c4f0849967e7e5866f271976551c736eee1d9fab2eeae85595": Review(
        "bsdmainutils.postinst", "acts for versions before 12.1.6 only", since="12.1.8"
    ),
    "0c03ca9572f93a678add795097817a2c8a82ae701adb1f5b58cb140d8e7e91a2": Review(
        "bsdmainutils.postrm", "acts after failures only"
    ),
    "3e40a2e89530a7c71d02454ac4ef2d2023ef92c96f5b07aaae20148da4d57c45": Review(
        "gawk.postinst", "registers an alternative that is registered", since="1:5", unless=("name /usr/man",)
    ),
    "1a8a6befa4a260378e911cf1787f4f4ad8fc140b0fe7f5fa952518e6dc2592d4": Review(
        "gawk.prerm", "acts on removal only"
    ),
    "64c3b7bbe5668724c208728fb3d3e174ba2048199d6bde1d9f4b2ba1b23a1809": Review(
        "ghostscript.postinst",
        "joins lists of fonts, as packages and people have written them, once more (update-gsfontmap)",
        since="9.50",
        needs=("file /var/lib/ghostscript/fonts/cidfmap", "file /var/lib/ghostscript/fonts/Fontmap"),
    ),
    "f65a77532c0b9fb0935f8aba49ebaea0dae2b6f4826e2dd459b737dfec526881": Review(
        "ghostscript.prerm", "acts on removal only"
    ),
    "06637c861c1bd57e8052ee0056e8a4c602a3996c4b3ddbab32180b869678d158": Review(
        "git.preinst", "acts for versions before 1:1.8.4 only", since="1:1.8.4"
    ),
    "d5cd9cc5c9171656aeba4c61924d9e72bac2fae213cc240415132099bfe0811f": Review(
        "imagemagick-6.q16.postinst", "registers alternatives that are registered", since="8:6.9.2.10+dfsg-3"
    ),
    "c8b61ca6e151c11330ef6a7d45a2dc7091f4de371805375a28365344e3d0dc93": Review(
        "imagemagick-6.q16.prerm", "acts on removal only"
    ),
    "e9ff2d3a53ec214a458c86199ee5c67198142ecf19bba825d79e0af2264bfb7d": Review(
        "iputils-ping.postinst",
        "sets the mode of its program where no program can set capabilities",
        keeps=("bin/ping", "usr/bin/ping"),
        needs=("owned root:root 4755 /bin/ping",),
        unless=("name /sbin/setcap", "diverted /bin/ping"),
    ),
    "54528d77cf87abf4a2c1b0a38e5514f3b84bb15899e2d283ea4d555b244888dd": Review(
        "less.preinst", "takes out an alternative of versions before 551-1", since="551-1"
    ),
    "4456ac1de4b8a172322c0a74c4e0aed8c97d35d46d0241f33c5c3d2a1030796d": Review(
        "less.postinst", "registers an alternative that is registered", since="551-1"
    ),
    "3128343a1ed361c725a682615dd9480028ebe9d290955df293d8345257bdb1fd": Review(
        "less.prerm", "acts on removal only"
    ),
    "2825d0cb7ca0fb2501cdf9d7f8268c5edde6de8bdb30a05586252d036b9c0cd6": Review(
        "libgdk-pixbuf-2.0-0.postinst", "it makes the list of the formats that its modules read anew", matters=True
    ),
    "822b6273f9f56621c95b9f7d3780619e8477b3ea4f31c22fc798d07f31122b9a": Review(
        "libglib2.0-0.postinst",
        "makes caches of modules and schemas, where there are any",
        needs=("file /usr/lib/x86_64-linux-gnu/gio/modules",),
        unless=(
            "name /usr/share/glib-2.0/schemas/gschemas.compiled",
            "name /usr/lib/x86_64-linux-gnu/gio/modules/giomodule.cache",
            "name /usr/lib/gio/modules",
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
    "c81cf8c8184e873e099e02b837c39440c462d3e2786972dc5674d40b90a9c04f": Review(
        "librsvg2-common.postinst", "it has the list of formats of images made anew", matters=True
    ),
    "a2a9a79a9f76eceb7322fea54a84c9ec871141d1d9599247675f3d9c1f3dd1dd": Review(
        "libsensors5.preinst", "acts for versions before 1:3.1.1-2 only", since="1:3.1.1-2"
    ),
    "4bd7a827ac90f03effaaaaa8d06bc86abc6446590de23918585d1c86b305d783": Review(
        "libwrap0.postinst",
        "makes files where they are missing",
        needs=("file /etc/hosts.allow", "file /etc/hosts.deny"),
    ),
    "522dba4bafa5640a6d163737f9d28536ae214cb37ef8c041394da4e35b670fb9": Review(
        "libwrap0.postrm", "acts on purge only"
    ),
    "845a6761317428121ca26ac283dee7bcebc555db8d4b3c5e3002242d1d4dbcbf": Review(
        "mercurial.postinst", "it brings its configuration up to date by ucf", matters=True
    ),
    "60b30028140cf95f6990669fdd90d91659fa6232d152a733fb928ba275173abf": Review(
        "mercurial.postrm", "acts on purge only"
    ),
    "9960c531390d0992dcad31546d817d9c66b21cf9253525613604a8cfe102d372": Review(
        "mercurial-common.postinst", "acts for versions before 4.7.2-1 only", since="4.7.2-1"
    ),
    "fdd2714ad6fdc50787c892a48150f9ada11ff2b8d27c6541db89797779cc3b01": Review(
        "mutt.preinst", "acts for versions before 1.6.1-2 only", since="1.6.1-2"
    ),
    "ae070f933e1dad3970089bb4b5f876bd15173030361ffc7a5aefa1a9872e71f8": Review(
        "nano.postinst", "registers alternatives that are registered", since="2"
    ),
    "326880b603326745dfa7b391222f9fd201fe710e579e8f5ddcb230add3713bc8": Review(
        "nano.prerm", "acts on removal only"
    ),
    "58f6ebbc657a7bd5950ac88a2e2f37dab2701d4e2bea562e360d4e411ee7b187": Review(
        "ntfs-3g.postinst",
        "sets the mode of its program",
        keeps=("bin/ntfs-3g", "usr/bin/ntfs-3g"),
        needs=("owned root:root 4755 /bin/ntfs-3g",),
    ),
    "6eda1e6d5e99a69ed013cb2c155af304077f4436534ac1ce1574ec6e8efaede3": Review("ntfs-3g.postrm", "does nothing"),
    "ea432af409de4842547ae4d8de59d0c565b7796df24e09c4192040af4b7cf924": Review(
        "openssh-client.postinst",
        "sets group and mode of ssh-agent",
        since="1:9.1p1-1",
        keeps=("usr/bin/ssh-agent",),
        needs=("owned root:_ssh 2755 /usr/bin/ssh-agent",),
    ),
    "b79309e1270a5713acb077d6a91454dd91625b16fed3b0a0fabfcb366f6aed19": Review(
        "openssh-client.postrm", "acts on purge only"
    ),
    "9fb8c4464c9734444f0ab475bc64ee3d401f60a93e70d3cb9646e67efcdd68bc": Review(
        "openssl.postinst", "links /usr/lib/ssl where it is missing; the package has it"
    ),
    "2d27d76073837abfbfbe038732e44f51ddf6c2061cffc2f94087672da505211d": Review(
        "pinentry-curses.postinst", "registers an alternative that is registered", since="1.1"
    ),
    "f73c0421980ead4766007771c8ea8c27ce8f391ad0fa4846b7aa3d6625ae6610": Review(
        "pinentry-curses.prerm", "acts on removal only"
    ),
    "2b39b9cdf6638292570d9828f558294f73e89852804391b90f83da4612a7361e": Review(
        "sudo.preinst", "acts for versions before 1.7.4p4-5 only", since="1.8"
    ),
    "db692ccf71653815f2534a129c0a21f68274cd8cb747bcdcf8b6ea902a1288b6": Review(
        "sudo.postinst",
        "removes files that versions of old left, and sets owner and mode of /etc/sudoers",
        since="1.8",
        needs=("owned root:root 440 /etc/sudoers",),
        unless=("name /etc/alternatives/sudo", "name /etc/sudoers.dist", "name /etc/sudoers.pre-conffile"),
    ),
    "acced20f7934f06072a342dbdd424e5f5951a504fd5be779b39497587d4c013b": Review(
        "sudo.prerm", "acts on removal only"
    ),
    "6867a5312fef2373d5e912597f480fd7b20ae0a26b93450f088ec0b9476737e4": Review(
        "sudo.postrm", "acts on purge and after failures only"
    ),
    "c05b2b59ab515b1c6a4dca341ade88bdb7d4b1a7f27980d54600cb29d19746b1": Review(
        "tcpdump.postinst",
        "makes a user where it is missing",
        since="4.99.1-3",
        needs=("user tcpdump", "group tcpdump"),
    ),
    "fc9e14e9f17469600acc639c1c40986debfa0723cd0ac9c4c911d7821c95040b": Review(
        "tcpdump.postrm", "acts on purge only"
    ),
    "9e769324dc494b0432c2f176bae5b8b635b5b5323708d78c524c5e62501bcdeb": Review(
        "telnet.preinst", "takes out an alternative that versions of old had", since="0.17+2.4"
    ),
    "7ee802d2f000c021b57b4c43b302bc68c6bd80d1062a985c2241d082340d6c1a": Review(
        "unzip.postinst",
        "makes the list of programs for media types anew, where a program for that is",
        unless=("name /usr/sbin/update-mime",),
    ),
    "d01187dff15890045bfea523a7c95c3c2e8407531187f7c9db9085f1d1bc258a": Review(
        "unzip.postrm",
        "makes the list of programs for media types anew, where a program for that is",
        unless=("name /usr/sbin/update-mime",),
    ),
    "cf618f5e95a97efb275cfcf873feb09362e74766d1cc9cc1ffe31da7355cbac1": Review(
        "vim-runtime.preinst", "acts for versions before 9.0 only", since="2:9.0.1"
    ),
    "96c9410775433e6e45390813b946e7526460a4b20d963910852f204a3e0b4e8f": Review(
        "vim-runtime.postinst",
        "makes tags of documentation that others bring",
        since="2:9.0",
        unless=("name /usr/share/vim/addons/doc",),
    ),
    "301adfb671b29dec85470e62cd90a4989f90206d7806681a068b14ac6ba84779": Review(
        "vim-runtime.postrm",
        "takes away tags of documentation that others bring",
        since="2:9.0.1",
        unless=("name /usr/share/vim/addons/doc",),
    ),
    "f81ad3944b31e7d4affe3e6f94ebe5a4a81388d65c81cc12aa18e81b5e781262": Review(
        "xz-utils.postinst", "registers an alternative that is registered", since="5.2"
    ),
    "2454ad665c6d5ba96cbdc170128f7c2ed676acb818ebaf7690ea150881274777": Review(
        "xz-utils.prerm", "acts on removal only", since="5.1.1alpha+20120614-1"
    ),
}
