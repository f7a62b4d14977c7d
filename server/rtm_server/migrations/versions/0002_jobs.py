"""The job queue: procrastinate's own schema. Its tables hold ids only, no patient data, hence no tenant."""

from __future__ import annotations

from procrastinate.schema import SchemaManager

from rtm_server.migrations.script import run

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON procrastinate_workers, procrastinate_jobs, procrastinate_periodic_defers,
    procrastinate_events TO rtm_app;
DO $$
DECLARE s text;
BEGIN
    FOR s IN SELECT relname FROM pg_class WHERE relkind = 'S' AND relname LIKE 'procrastinate%'
             AND relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('GRANT USAGE ON SEQUENCE %I TO rtm_app', s);
    END LOOP;
END $$;
"""


def upgrade() -> None:
    """Apply the schema of the installed procrastinate; its later versions bring their own numbered scripts."""
    run(SchemaManager.get_schema())
    run(GRANTS)


def downgrade() -> None:
    """Jobs can be lost without harm: the worker's sweep finds what is not analysed."""
    raise NotImplementedError("the first revisions cannot be undone; drop the database instead")
