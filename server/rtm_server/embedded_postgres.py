"""PostgreSQL as a child of ours: a fresh machine's database, and the one tests run on. Not for production.

Why a supervisor of our own (docs/explanation/embedded-postgres.md): scram passwords instead of trust, no OS user
created, no mode changed outside our own folder, no start time-out while it recovers, a killed postmaster is reaped
and noticed, and a server that would not keep what it acknowledges (fsync off) is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psycopg
from psycopg import sql

from rtm_server import postgres_binaries, process
from rtm_server.errors import DatabaseError
from rtm_server.postgres_account import Account, settle

DATABASE = "rtm"
SUPERUSER, OWNER, APP = "rtm_super", "rtm_owner", "rtm_app_login"
_SOCKET_PATH_MAX = (
    107  # sun_path is 108 bytes on Linux with its NUL; macOS has 104, checked by PostgreSQL itself
)
_PORT = 5432  # of the socket's name; nothing listens on TCP unless asked
_POLL_S = 0.05
_MUST_BE_ON = ("fsync", "full_page_writes", "synchronous_commit")
# $1: pid of the postmaster, $2: its folder. The folder is compared because the number may be somebody else's by then.
_GUARD = 'cat >/dev/null; [ "$(readlink "/proc/$1/cwd")" = "$2" ] && kill -INT "$1"'
# A server's log must not hold what was in a statement: rows are patients.
_QUIET = {
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class EmbeddedPostgres:
    """A PostgreSQL server in `data_dir`, owned by one process at a time.

    `start()` returns the application's DSN; `owner_dsn` is for migrations. Usable as a context manager.
    """

    def __init__(self, data_dir: Path, *, pgbin: Path | None = None, tcp_port: int | None = None) -> None:
        """data_dir: made if missing. pgbin: folder of the programs. tcp_port: also listen on loopback (scram)."""
        self._asked_dir = data_dir
        self._pgbin = pgbin
        self._tcp_port = tcp_port
        self._lock: IO[str] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._account: Account | None = None
        self._binaries: postgres_binaries.Binaries | None = None
        self._socket_dir: Path | None = None
        self._passwords: dict[str, str] = {}

    @property
    def home(self) -> Path:
        """The folder that holds everything of this server; other than asked for only as root, see `settle`."""
        return self._settled().home

    @property
    def pgdata(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.home / "pgdata"

    @property
    def pid(self) -> int | None:
        """Of the postmaster; None when it does not run."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def version(self) -> int:
        """Major version of the programs in use."""
        if self._binaries is None:
            raise DatabaseError("the embedded PostgreSQL has not been started")
        return self._binaries.major

    @property
    def dsn(self) -> str:
        """The application's sign-in."""
        return self._dsn(APP)

    @property
    def owner_dsn(self) -> str:
        """The sign-in that owns the tables: migrations only."""
        return self._dsn(OWNER)

    @property
    def superuser_dsn(self) -> str:
        """The cluster's superuser: tests and maintenance."""
        return self._dsn(SUPERUSER)

    def start(self) -> str:
        """Start (after a crash: recover, however long it takes) and return the application's DSN."""
        if self.pid is not None:
            return self.dsn
        if self._lock is None:
            self._take_lock()
        try:
            self._prepare()
            self._launch()
            self._guard = self._watch()
            self._wait_until_ready()
            self._ensure_roles()
            self._refuse_unsafe()
        except BaseException:
            self.stop()
            raise
        return self.dsn

    def stop(self) -> None:
        """Shut down cleanly and wait for it; does nothing when nothing runs."""
        if self._child is not None:
            if self._child.poll() is None:
                self._child.send_signal(signal.SIGINT)  # "fast": roll back, checkpoint, leave
                try:
                    self._child.wait(60)
                except subprocess.TimeoutExpired:
                    self._child.send_signal(signal.SIGQUIT)  # "immediate": recovers at the next start
                    self._child.wait()
            self._child = None
        self._dismiss_guard()
        if self._socket_dir is not None and self._socket_dir.parent != self.home:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        self._socket_dir = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def destroy(self) -> None:
        """Stop and delete everything of this server: for throw-away data."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _settled(self) -> Account:
        if self._account is None:
            self._account = settle(self._asked_dir)
        return self._account

    def _take_lock(self) -> None:
        """One supervisor a folder; a second one says who the first is."""
        path = self.home / "supervisor.lock"
        handle = path.open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise DatabaseError(
                f"process {holder} already runs the embedded PostgreSQL in {self.home}"
            ) from None
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        self._lock = handle

    def _prepare(self) -> None:
        account = self._settled()
        self._stop_orphan()
        version_file = self.pgdata / "PG_VERSION"
        major = int(version_file.read_text()) if version_file.exists() else None
        binaries = postgres_binaries.find(pgbin=self._pgbin, major=major)
        self._binaries = account.within_reach(binaries)
        self._passwords = _passwords(self.home / "passwords.json")
        if major is None:
            self._initdb()
        self._socket_dir = self._make_socket_dir()

    def _stop_orphan(self) -> None:
        """A postmaster whose supervisor was killed: stop it cleanly; wait for backends that outlive a killed one."""
        pid_file = self.pgdata / "postmaster.pid"
        orphans = process.in_folder(self.pgdata)
        if not orphans:
            # Nobody works in the folder, so a pid that lives again belongs to a stranger: the file is stale.
            if process.knows_folders():
                self._forget_dead(pid_file)
            return
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError, ProcessLookupError):
            postmaster = int(pid_file.read_text().splitlines()[0])
            if postmaster in orphans:
                os.kill(postmaster, signal.SIGINT)
        while process.in_folder(self.pgdata):
            time.sleep(_POLL_S)
        self._forget_dead(pid_file)

    def _forget_dead(self, pid_file: Path) -> None:
        """Remove what a dead postmaster left: while it is a zombie, or its number is somebody else's, PostgreSQL
        itself would take these files for those of a live one and refuse to start."""
        pid_file.unlink(missing_ok=True)
        for left in (self.home / "socket").glob(".s.PGSQL.*"):
            left.unlink()

    def _initdb(self) -> None:
        """Make the cluster beside its place and rename it there, so that a killed initdb leaves nothing half-made."""
        binaries = self._need_binaries()
        fresh = self.home / "pgdata.new"
        shutil.rmtree(fresh, ignore_errors=True)
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            if binaries.major >= 17
            else ["--locale=C"]
        )
        password_file = self.home / "superuser.tmp"
        self._settled().write_private(password_file, self._passwords[SUPERUSER] + "\n")
        try:
            done = self._settled().run(
                [
                    binaries.program("initdb"),
                    f"--pgdata={fresh}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password_file}",
                    "--auth-local=scram-sha-256",
                    "--auth-host=scram-sha-256",
                    "--data-checksums",
                    "--encoding=UTF8",
                    *locale,
                ]
            )
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise DatabaseError(f"the embedded PostgreSQL could not be created: {_last_line(done.stderr)}")
        fresh.rename(self.pgdata)

    def _make_socket_dir(self) -> Path:
        """A 0700 folder whose socket path the kernel accepts: in our home, or under /tmp when that is too long."""
        account = self._settled()
        inside = self.home / "socket"
        if len(os.fsencode(inside / f".s.PGSQL.{_PORT}")) < _SOCKET_PATH_MAX:
            account.make_folder(inside)
            return inside
        outside = Path(tempfile.mkdtemp(prefix="rtm-pg-"))
        account.own(outside)
        return outside

    def _launch(self) -> None:
        options = {
            **_QUIET,
            "listen_addresses": "127.0.0.1" if self._tcp_port is not None else "",
            "port": str(self._tcp_port or _PORT),
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
            "max_connections": "80",
        }
        arguments = [item for name, value in options.items() for item in ("-c", f"{name}={value}")]
        with (self.home / "server.log").open("ab") as log:
            self._child = self._settled().popen(
                [self._need_binaries().program("postgres"), "-D", str(self.pgdata), *arguments], log
            )

    def _watch(self) -> subprocess.Popen[bytes] | None:
        """A shell that waits for the end of a pipe we hold: killed with -9, we cannot stop our child, but it can."""
        self._dismiss_guard()
        if self._child is None or not process.knows_folders():
            return None
        return self._settled().popen_guard(_GUARD, str(self._child.pid), str(self.pgdata.resolve()))

    def _dismiss_guard(self) -> None:
        """End the guard; its server is gone already, or is another's from now on."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            if self._guard.stdin is not None:
                self._guard.stdin.close()
            self._guard = None

    def _wait_until_ready(self) -> None:
        """No time-out: a long recovery is not a failure. Only the end of the process is."""
        binaries = self._need_binaries()
        while True:
            if self._child is None or self._child.poll() is not None:
                raise DatabaseError(
                    f"the embedded PostgreSQL stopped while starting: {self._last_log_line()}"
                )
            ready = subprocess.run(  # noqa: S603 - a program of PostgreSQL, no shell
                [
                    binaries.program("pg_isready"),
                    "-q",
                    "-h",
                    str(self._socket_dir),
                    "-p",
                    str(self._tcp_port or _PORT),
                ],
                check=False,
            )
            if ready.returncode == 0:
                return
            time.sleep(_POLL_S)

    def _ensure_roles(self) -> None:
        """Owner, application and database; repeated at every start, so that a killed first start heals."""
        with psycopg.connect(self._dsn(SUPERUSER, database="postgres"), autocommit=True) as connection:
            for role, options in ((OWNER, "CREATEROLE"), (APP, "NOCREATEROLE")):
                exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
                connection.execute(
                    sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS {} PASSWORD {}").format(
                        sql.SQL("ALTER" if exists else "CREATE"),
                        sql.Identifier(role),
                        sql.SQL(options),
                        sql.Literal(self._passwords[role]),
                    )
                )
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'rtm_app'").fetchone() is None:
                connection.execute("CREATE ROLE rtm_app NOLOGIN NOSUPERUSER NOBYPASSRLS")
            connection.execute(
                sql.SQL("GRANT rtm_app TO {}, {}").format(sql.Identifier(APP), sql.Identifier(OWNER))
            )
            if (
                connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
                is None
            ):
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(
                        sql.Identifier(DATABASE), sql.Identifier(OWNER)
                    )
                )
        with psycopg.connect(self._dsn(SUPERUSER), autocommit=True) as connection:
            connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))

    def _refuse_unsafe(self) -> None:
        with psycopg.connect(self._dsn(SUPERUSER)) as connection:
            refuse_unsafe(connection)

    def _dsn(self, user: str, database: str = DATABASE) -> str:
        if self._socket_dir is None or not self._passwords:
            raise DatabaseError("the embedded PostgreSQL has not been started")
        return psycopg.conninfo.make_conninfo(
            host=str(self._socket_dir),
            port=str(self._tcp_port or _PORT),
            dbname=database,
            user=user,
            password=self._passwords[user],
        )

    def _need_binaries(self) -> postgres_binaries.Binaries:
        if self._binaries is None:
            raise DatabaseError("the embedded PostgreSQL has not been started")
        return self._binaries

    def _last_log_line(self) -> str:
        try:
            return _last_line((self.home / "server.log").read_text(errors="replace"))
        except OSError:
            return "it left no log"


def refuse_unsafe(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Raise unless the server keeps what it acknowledges."""
    for name in _MUST_BE_ON:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
        if row is None or row[0] == "off":
            raise DatabaseError(f"PostgreSQL runs with {name} off and would lose acknowledged data: refused")


def _passwords(path: Path) -> dict[str, str]:
    """One random password a role, kept 0600 beside the data, readable by whoever supervises only."""
    if not path.exists():
        made = {role: secrets.token_urlsafe(32) for role in (SUPERUSER, OWNER, APP)}
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(made, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    loaded: dict[str, str] = json.loads(path.read_text())
    return loaded


def _last_line(text: str) -> str:
    """What PostgreSQL said was wrong, without its time stamp; else its last words."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines[-20:] if "FATAL:" in line or "PANIC:" in line or "error:" in line]
    return (fatal or lines or ["no reason given"])[-1].rpartition("UTC ")[2]
