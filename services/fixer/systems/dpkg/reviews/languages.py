"""Languages: Python, Perl, Java, Ruby, Node, PHP, compilers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.fixer.systems.dpkg.reviews.review import Review

LANGUAGES: Final[Mapping[str, Review]] = {
    "a6279f301bde198a9fac4177850e80c5fdd9a638107119496409097d56df10be": Review(
        "automake.preinst", "takes out alternatives of versions before 1.16", since="1:1.16"
    ),
    "3ff671904ac90fcedd1a3bf4ed60b5f6f93de9b2735433379eaf6bffa18f8b2a": Review(
        "automake.postinst", "registers an alternative that is registered", since="1:1.16"
    ),
    "d9db5b2b141cc01744ea7c61043dd1cb502d9fb00fd567a6ada07fdaa05aca2e": Review(
        "automake.prerm", "acts on removal only"
    ),
    "04433646163dd44e6b3d67d10b0290715c8a5bd437cbcc23c8e03ead73f37da5": Review(
        "ca-certificates-java.preinst", "acts on the first installation only"
    ),
    "c691675d2f67a50b9797e82dec86fa91391cfb25c5a9ec679be1d332e525cedf": Review(
        "ca-certificates-java.postinst",
        "makes Java's certificates of files that wait for it",
        since="20210218",
        unless=(
            "name /var/lib/ca-certificates-java/fresh",
            "name /var/lib/ca-certificates-java/pending",
            "name /var/lib/ca-certificates-java/convert_pkcs12_keystore_to_jks",
        ),
    ),
    "d217b66b2b63bc547e4cf1a847d7550fb3674f544497b6cd998a79c9867538df": Review(
        "ca-certificates-java.postrm", "acts on purge only"
    ),
    "c947c3fc1f389ecea515109846647392b7290aa82a53ba230ea2bdb258a2d91f": Review(
        "cpp.postinst", "registers an alternative that is registered", since="4:10"
    ),
    "8663b77c7bd0b688b7e6b6eb4609e050a909b1ee2245d916369f6ff3367e6d1a": Review(
        "cpp.prerm", "acts on removal only"
    ),
    "47148a22d44104df2cde2c6db09bc5f6a78c469fb2c1e17ec333960bc797152b": Review(
        "fontconfig.postinst", "it makes the cache of fonts anew", matters=True
    ),
    "d42975dc7cf4a47aeb7bcf39eee03d98ab091f3ce4b59a42bd90bf3e8721eda9": Review(
        "fontconfig-config.postinst",
        "makes links of the configuration at the first installation, and a directory",
        since="2.13",
        needs=("file /usr/local/share/fonts",),
        unless=("name /etc/fonts.conf.d",),
    ),
    "6408d01518cd9b3af4946b662657e0e7fc9d0312ba53cf84bfd057c19befba6d": Review(
        "fontconfig-config.postrm", "acts on purge only"
    ),
    "18a7fd02747a69f01a2a9ecd316b615a3aedadc81f0972a4cb90506c769908ff": Review(
        "g++.postinst", "registers an alternative that is registered", since="4:10"
    ),
    "676c39fe15da051484729e5dcc50106682e2180b9efc6f4dac125b47baab938d": Review(
        "g++.prerm", "acts on removal only"
    ),
    "a9ab551e11acf135650038201d85232121bfb50e4086927bdc66f19da05b15d4": Review(
        "gcc.postinst",
        "registers alternatives that are registered",
        since="4:10",
        unless=("name /etc/alternatives/f77",),
    ),
    "b6be84d75b5bde529526b7ca3f59cb854267b95d50de3da2f5d1790170f1f4f6": Review(
        "gcc.prerm", "acts on removal only"
    ),
    "f01646b5a1ce3165b58b847a9e92729d6472106dc10eb35274fe60099239e526": Review(
        "java-common.postinst",
        "makes files where they are missing",
        needs=("file /etc/.java/.systemPrefs/.system.lock", "file /etc/.java/.systemPrefs/.systemRootModFile"),
    ),
    "ad00bae5473a6fcaf2e059a0d7c9ffd2192c2badf242d955c4c5684e6d56faa1": Review(
        "java-common.postrm", "acts on purge only"
    ),
    "7491a0317e8ce69c43f019ded945764f7a9ddd8faf8c2452d35956193a2ae8de": Review(
        "libpython3.11-minimal.postinst", "writes a file of comments where none is"
    ),
    "9e6e8d958cae3b9dfc6131ff6407867eab0f6714114d1a3272391d32bcdd1af5": Review(
        "libpython3.11-minimal.prerm", "takes away what was compiled of the old version's files, as the fixer does"
    ),
    "2c1a780a7f536ef3884c8308114f7dc237442987ed1a16abcba717f9a48d97c1": Review(
        "libpython3.11-minimal.postrm", "acts on purge only"
    ),
    "0ea88765d96dbcbfee96e0ff67ceca2bed08e2e89885016799e8ce0480a6874c": Review(
        "libpython3.11-stdlib.prerm", "takes away what was compiled of the old version's files, as the fixer does"
    ),
    "e2f98f8e9d2378edca94dfa385098c298d6b485b36df4ad3f1fa8e411a3cf967": Review(
        "libstdc++6.prerm",
        "removes compiled copies of a debugger's scripts, which are made anew when they are older",
    ),
    "9e73bc7e384f081fe4e9e6ebaf7139516c6913c0729fe67c9616e875ef963504": Review(
        "nodejs.postinst", "registers an alternative that is registered", since="12"
    ),
    "b625ecd593756550f05f87e3408d897dc59ca91254f46014c33dffcb69b63e4c": Review(
        "nodejs.prerm", "acts on removal only"
    ),
    "f69fc3422abc3ed1bf5729a4b37a5bde90bb3e5eccab84c93576bbd4850ff529": Review(
        "openjdk-17-jre-headless.postinst",
        "registers alternatives that are registered; Java's certificates are made where they are missing",
        since="17",
        needs=(
            "link /etc/alternatives/java /usr/lib/jvm/java-17-openjdk-amd64/bin/java",
            "link /etc/alternatives/jpackage /usr/lib/jvm/java-17-openjdk-amd64/bin/jpackage",
            "link /etc/alternatives/keytool /usr/lib/jvm/java-17-openjdk-amd64/bin/keytool",
            "link /etc/alternatives/rmiregistry /usr/lib/jvm/java-17-openjdk-amd64/bin/rmiregistry",
            "file /etc/.java/.systemPrefs/.system.lock",
            "file /etc/.java/.systemPrefs/.systemRootModFile",
            "file /etc/ssl/certs/java/cacerts",
        ),
        unless=(
            "name /usr/sbin/update-binfmts",
            "name /var/lib/ca-certificates-java/fresh",
            "name /var/lib/ca-certificates-java/pending",
        ),
    ),
    "3ce3513b49f3d72fe81680808a564d6494a741ba1690e7c0be0080f19f301526": Review(
        "openjdk-17-jre-headless.prerm", "acts on removal only"
    ),
    "0d70df3f2c6396bea20386881b3b2b5cc85935c8ace4cf69fa00fcb398c2f9fd": Review(
        "openjdk-17-jre-headless.postrm", "acts on purge only"
    ),
    "e34b38460945afd9efb8cbca1468af90d255feef5b4233b66fd5b4803903fb58": Review(
        "perl.postinst",
        "takes out an alternative that versions of old had",
        since="5.36.0",
        unless=("name /var/lib/dpkg/alternatives/rename",),
    ),
    "a31cca564e895dcbc6cfaa69cbf7e1863ffe70f0577a0718a021c8c52d0c076f": Review(
        "python3.11.postinst", "compiles the new version's files, which Python does whenever it starts"
    ),
    "c113f10bb8563c54fe012b489e5e92f32d71a822077cf48791bc18ef9f92024c": Review(
        "python3.11.prerm", "takes away what was compiled of the old version's files, as the fixer does"
    ),
    "faa5d5829e28baa30c6bb7d8003bfc29c3d53f03bafa90bd466ac4619416060a": Review(
        "python3.11-minimal.preinst", "acts on the first installation only"
    ),
    "96863344ef0449c3a46df4080f540d8a9d5b5e0097d93961a3a3fe0843b6344c": Review(
        "python3.11-minimal.postinst", "compiles the new version's files, which Python does whenever it starts"
    ),
    "77996500e315ddf0a7ac45c4ef8fc6d306446751e4e6587a129abc967a8045c6": Review(
        "python3.11-minimal.prerm", "acts on removal only"
    ),
    "f86bfbcefc555790d58800130a01cc560b21b74e86fd835be3794c859944ee25": Review(
        "python3.11-minimal.postrm", "acts on removal only"
    ),
    "26945f84098b880a924ffcc11d42fadb61d5c12c5cbe967d04b0d2f18e4189cb": Review(
        "python3.11-venv.postinst", "compiles the new version's files, which Python does whenever it starts"
    ),
    "cc9b3cede12474388562023a8ebab73f1c456a3965c429955d0176602901b454": Review(
        "python3.11-venv.prerm", "acts on removal only"
    ),
    "1652dae6d82bf9b57bc4ec5521d6f9c8930ecd7d4025155f167f4f07a327f915": Review(
        "python3.11-venv.postrm", "acts on purge only"
    ),
}
