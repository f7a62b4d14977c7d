"""Running plain SQL inside a revision."""

from __future__ import annotations

from alembic import op
from psycopg import Connection


def run(sql: str) -> None:
    """Execute a script of several statements, as written (no parameters, so `%` and `:` mean themselves)."""
    driver = op.get_bind().connection.driver_connection
    if not isinstance(driver, Connection):  # pragma: no cover - only psycopg is ever configured
        raise TypeError("migrations run on psycopg only")
    driver.execute(sql)
