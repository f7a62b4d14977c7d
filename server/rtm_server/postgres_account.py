"""Whom the embedded PostgreSQL runs as, and where: it refuses to run as root, so root hands it to somebody else.

No OS user is created and no mode is changed outside the server's own folder. Where that somebody cannot reach the
folder asked for (below /root, say), the server lives under /var/lib/homestretch instead, programs copied along.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rtm_server.errors import DatabaseError
from rtm_server.postgres_binaries import Binaries

_ACCOUNTS = ("postgres", "nobody")  # the first that exists; initdb needs a name, so a bare number will not do
_ROOT_HOME = Path("/var/lib/homestretch")


@dataclass(frozen=True, slots=True)
class Account:
    """The server's own folder, and the user it belongs to (None = ourselves)."""

    home: Path
    user: pwd.struct_passwd | None

    def own(self, path: Path) -> None:
        """Hand a file or folder of ours to the server's user."""
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def make_folder(self, path: Path) -> None:
        """A private folder of the server's user."""
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
        self.own(path)

    def write_private(self, path: Path, text: str) -> None:
        """A 0600 file of the server's user."""
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        self.own(path)

    def popen(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a long-running program in a process group of its own: a Ctrl-C at the terminal is for us to handle."""
        return subprocess.Popen(  # noqa: S603 - programs of PostgreSQL, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.home,
            env=_environment(),
            process_group=0,
            umask=0o077,
            user=None if self.user is None else self.user.pw_uid,
            group=None if self.user is None else self.user.pw_gid,
            extra_groups=None if self.user is None else [],
        )

    def popen_guard(self, script: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A shell script whose standard input ends when we do, however we do."""
        return subprocess.Popen(  # noqa: S603 - a constant script, arguments as arguments
            ["/bin/sh", "-c", script, "guard", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(),
            process_group=0,
            user=None if self.user is None else self.user.pw_uid,
            group=None if self.user is None else self.user.pw_gid,
            extra_groups=None if self.user is None else [],
        )

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a short program to its end."""
        return subprocess.run(  # noqa: S603 - programs of PostgreSQL, no shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            env=_environment(),
            umask=0o077,
            user=None if self.user is None else self.user.pw_uid,
            group=None if self.user is None else self.user.pw_gid,
            extra_groups=None if self.user is None else [],
        )

    def within_reach(self, binaries: Binaries) -> Binaries:
        """The same programs where the server's user can run them: copied into our folder if need be."""
        if self.user is None or _reachable(binaries.folder, self.user):
            return binaries
        # A wheel's programs find their libraries by a path relative to themselves, `../../../{package}.libs`.
        package = binaries.folder.parents[1]
        libraries = package.with_name(f"{package.name}.libs")
        source = binaries.folder.parent
        place = self.home / f"pg{binaries.major}" / package.name / source.name
        if not place.exists():
            fresh = self.home / f"pg{binaries.major}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(source, fresh / package.name / source.name, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
            for folder in (fresh, fresh / package.name, fresh / package.name / source.name):
                folder.chmod(0o755)
            fresh.rename(self.home / f"pg{binaries.major}")
        return Binaries(place / binaries.folder.name, binaries.major)


def settle(asked: Path) -> Account:
    """Decide user and folder, and make the folder. As an ordinary user: ourselves, exactly where asked."""
    asked = asked.absolute()
    if os.geteuid() != 0:
        return _made(Account(asked, None))
    user = _unprivileged()
    if _reachable(_existing(asked.parent), user):
        return _made(Account(asked, user))
    name = "pg-" + hashlib.sha256(os.fsencode(asked)).hexdigest()[:12]
    if not _ROOT_HOME.is_dir():
        _ROOT_HOME.mkdir(mode=0o755, parents=True)
    if not _reachable(_ROOT_HOME, user):
        raise DatabaseError(
            f"{user.pw_name} can reach neither {asked} nor {_ROOT_HOME}: choose another RTM_DATA_DIR"
        )
    return _made(Account(_ROOT_HOME / name, user))


def _made(account: Account) -> Account:
    try:
        account.home.parent.mkdir(parents=True, exist_ok=True)
        account.make_folder(account.home)
    except OSError as error:
        raise DatabaseError(f"the folder {account.home} cannot be used: {error.strerror}") from error
    return account


def _unprivileged() -> pwd.struct_passwd:
    for name in _ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise DatabaseError(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(_ACCOUNTS)} here"
    )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _reachable(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether `user` may pass through every folder down to `path` (symbolic links followed)."""
    real = path.resolve()
    return all(_may_enter(folder, user) for folder in (real, *real.parents) if folder.is_dir())


def _may_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    info = folder.stat()
    if info.st_uid == user.pw_uid:
        return bool(info.st_mode & stat.S_IXUSR)
    if info.st_gid == user.pw_gid:
        return bool(info.st_mode & stat.S_IXGRP)
    return bool(info.st_mode & stat.S_IXOTH)


def _environment() -> dict[str, str]:
    """Nothing of ours: no PG* variables, no secrets; a fixed language for messages we read."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
