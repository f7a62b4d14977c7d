"""The house: every table of the platform, row-level security forced, the role of the application.

Rules held by tests: a table with `tenant_id` has it first in its key and row-level security enabled AND
forced; names and identifiers of people are ciphertext (`*_enc`); what must never change has no UPDATE or
DELETE grant. Runs on PostgreSQL 15 to 18, no extension needed. `docs/reference/database.md` describes each table.
"""

from __future__ import annotations

from alembic import context

from rtm_server.migrations.r0001 import clinical, ledger, rights, signal_data
from rtm_server.migrations.script import run

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A plain hypertable works with row-level security; columnstore and continuous aggregates refuse it
# (TimescaleDB 2.28 and 2.29), so nothing else of the extension is used. t_key is in microseconds: one day a chunk.
HYPERTABLE = """
CREATE EXTENSION IF NOT EXISTS timescaledb;
SELECT create_hypertable('chunk', by_range('t_key', 86400000000::bigint), create_default_indexes => false);
"""


def upgrade() -> None:
    """Create everything in one transaction."""
    for script in (clinical.SQL, signal_data.SQL, ledger.SQL):
        run(script)
    if context.config.attributes["timescale"]:
        run(HYPERTABLE)
    run(rights.SQL)


def downgrade() -> None:
    """There is nothing before this."""
    raise NotImplementedError("the first revision cannot be undone; drop the database instead")
