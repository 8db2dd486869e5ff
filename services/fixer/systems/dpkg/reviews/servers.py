"""Servers: web, databases, mail, names, remote access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.fixer.systems.dpkg.reviews.review import Review

SERVERS: Final[Mapping[str, Review]] = {
    "bcb023653f1991eed2f1f5ec6e736a629f089c43cb42e676ae5efbcc2b9d4458": Review(
        "apache2.preinst", "repairs configuration files of versions before 2.4.23-3", since="2.4.23-3"
    ),
    "6fdb4d40b98ad58fc321429230250aec9ebe79f4f7499de2d1dd826fb05d52da": Review(
        "apache2.postinst",
        "sets up what the first installation did, and takes away a default page of versions of old",
        since="2.4.52",
        unless=("name /var/lib/apache2/deferred_actions",),
    ),
    "4f1da42223bcf3cd1bf6c56e335f480f29331ef375c1b8daf530134950c99388": Review(
        "apache2.prerm", "acts on removal only"
    ),
    "8b002afce795512c7638d6a91c16d9a8b8b5996ab498b05a609c8e6267ef5537": Review(
        "apache2.postrm", "acts on purge only"
    ),
    "1d1bb99e05f5c99b916bee8b53c4d3ae6f38469a571f8ba446ada9cb68472a20": Review(
        "haproxy.postinst",
        "makes a user where it is missing; tells a server, which is not running in an image",
        needs=("user haproxy", "group haproxy"),
    ),
    "3db6bb949a16c7d1986c42a996a04e053786e8fac338876ecf9a76c7a2af4c50": Review(
        "haproxy.postrm", "acts on purge only"
    ),
    "791dc3336ff70c5ad9bb40d9c077b335537d4b6392aa00863f0288cea39598fb": Review(
        "mariadb-common.preinst", "acts for versions before 10.0.20-3 only", since="1:10.3"
    ),
    "93eaa3b181f72e80b5a46983973309b8c2207b0bcd4ccca93c6841df9baaac7c": Review(
        "mariadb-common.postinst",
        "registers an alternative that is registered",
        since="1:10.11",
        needs=("link /etc/alternatives/my.cnf /etc/mysql/mariadb.cnf",),
    ),
    "2def5c5cddf80179a5725e8e96d4aef511965c7550609e0231d60f8b4854291c": Review(
        "mariadb-common.postrm", "acts on removal only"
    ),
    "ed05b8714a07b559569580291b03e897f1ea92d2e963ab4a3cce92b2c00b402b": Review(
        "mariadb-server.postinst", "it looks after the databases and their marks", matters=True
    ),
    "1d9f0ba62392732e004dd1cee396fd3291291cd443e9a27f36672f6092d4b1bc": Review(
        "memcached.postinst",
        "makes a user and a configuration file where they are missing",
        needs=("group memcache", "user memcache", "file /etc/memcached.conf"),
    ),
    "cb29a4a5b806060cea77722cc1355a388200de64e83006867dca2fa2ac2b1f53": Review(
        "memcached.postrm",
        "takes away the mark of a running server; else acts on purge only",
        unless=("name /var/run/memcached.pid",),
    ),
    "d0f90cc4daa294e9775347faf2670203524fad8a4025f0f55ab68b7f7d1055cf": Review(
        "mysql-common.preinst", "acts for versions before 5.6.25-3 only", since="5.8"
    ),
    "63a9c02d5fef38ce7041c1e358a4fa9fb89a9d02298b37d0c2b5530c7ae05dc8": Review(
        "mysql-common.postinst", "registers an alternative that is registered", since="5.8"
    ),
    "2b782d65f81fc5118fedfb886f7b62b1280d330e3a769022c63d4be327364652": Review(
        "mysql-common.prerm", "acts on removal only"
    ),
    "cd55338249205e11f448ca0fce1ede40eb584c9227b64f9ac9a0cb5777995309": Review(
        "mysql-common.postrm", "acts on purge only"
    ),
    "47d0b1cedfadceed3ceb7b3264bcd8bdb2c170bf511cba627805c356f169bc64": Review(
        "nginx.postinst", "restarts the server, which is not running in an image"
    ),
    "9d4fefa73db4028a20dd1c64f45852054758bc94fd1d7d3b674ad2eb65cadef9": Review(
        "nginx.prerm", "stops the server on removal only"
    ),
    "d7e9bea7936afdfef61254d8512ab461918764adfd0e220cd304b13306e9520e": Review(
        "nginx-common.preinst", "removes files that versions of old misplaced", since="1.18"
    ),
    "ae320130d511e35b3aa28e0c19c24aa4f1986deef1220f0fbccf8595fa02c198": Review(
        "nginx-common.postinst",
        "sets owner and mode of the log directory, makes a first page where there is none",
        since="1.18",
        needs=("owned root:adm 755 /var/log/nginx", "file /var/www/html/index.nginx-debian.html"),
    ),
    "65910cf19d663da5226ad36d002ab4531212cc8ad3dd2c7168705041dfa6f118": Review(
        "nginx-common.postrm", "acts on purge only"
    ),
    "4c1754303957a012c23928e9868217968735b8fd34fef011910ad7b87edf1f6d": Review(
        "openssh-server.postinst",
        "it brings sshd_config up to date by ucf, and makes keys where they are missing",
        matters=True,
    ),
    "5d6b0f030a51b83729ef0e63ec6935e8f768e8833d73f9a80ea9da1e11d7e1ed": Review(
        "openssh-server.postrm", "acts on purge only"
    ),
    "712829079cd5cb2b2c34730bef75ecc017c9ea2a0d02d628f8677d53bf40c744": Review(
        "postgresql-client-15.postinst",
        "registers the manual pages' alternatives that are registered (configure_client_version)",
        since="15",
    ),
    "89e9649c6bf0be71678b3f61a856d57fa131e0e89edd4ab4e45767b6f17ee090": Review(
        "postgresql-client-15.prerm", "acts on removal only"
    ),
    "2e562460cbae2cc7db4b1b4d0fb1556180dc839290d9b9780953858ca4c82000": Review(
        "postgresql-client-common.postrm", "acts on purge only"
    ),
    "a3dbeb4a593faa528fa9a7c50b848186082b90e845e3a1d8ced24fc1450c8bd1": Review(
        "redis-server.postinst",
        "sets owners that an override says; takes away empty directories of versions of old",
        since="5:6",
        unless=(
            "name /etc/redis/redis-server.post-up.d",
            "name /etc/redis/redis-server.post-down.d",
            "name /etc/redis/redis-server.pre-up.d",
            "name /etc/redis/redis-server.pre-down.d",
        ),
    ),
    "f8113cc3f6f4b31bb582b4287e87eea2f6690d90291c370d358efa8bc0b284d1": Review(
        "redis-server.postrm", "acts on purge only"
    ),
    "590b8e972195fb54d7e025ff4f81bd47733db16031733321913ca6c14a6bb089": Review(
        "redis-tools.postinst",
        "makes a user, and sets the owners and modes of directories",
        needs=(
            "user redis",
            "owned redis:adm 2750 /var/log/redis",
            "owned redis:redis 750 /var/lib/redis",
            "owned redis:redis 2770 /etc/redis",
        ),
    ),
    "6fcd32a13b173d39992a24560e1c654ebb86e78ac9856a99f391f00307670872": Review(
        "redis-tools.postrm", "acts on purge only"
    ),
    "4bc23226e4ed7611d80b634c9e37f2accfc3cdcb238f2ac66bea1abed9969246": Review(
        "rsyslog.preinst", "acts on the first installation only"
    ),
    "5f50493d00b3d1e173bc85bd2657b13f5288a6748f23c459368f7844d087094b": Review(
        "rsyslog.postinst",
        "sets the mode of a directory",
        since="8.2110.0-2",
        needs=("owned root:root 700 /var/spool/rsyslog",),
    ),
    "59286e5b4ac15ab6371d55bec41cc781182919d549687886fa3f93e724db3e12": Review(
        "rsyslog.prerm", "acts on removal only"
    ),
    "13db806fecab8184f7187cdef55a06c92f31605c97de92af742602c9cb7249dd": Review(
        "rsyslog.postrm", "acts on removal and purge only"
    ),
    "0dee39bb894011e18261c08ee51c2c2195fe49d904d3e60ce6646d9a4dee6de7": Review(
        "tomcat10.postinst",
        "it brings its configuration up to date by ucf, and sets owners and modes",
        matters=True,
    ),
    "68433fda4b673a000b7666bc7ee785427c70a8a9ec5836b0158c1e74ca9bf313": Review(
        "tomcat10.postrm", "acts on removal and purge only"
    ),
}
