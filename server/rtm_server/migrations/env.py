"""Alembic environment: one advisory lock, one transaction a revision, bounded waiting for table locks.

Called only through `rtm_server.migrate`, which hands over an open connection.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
