"""What a sensor is worn for, and which of the open sets is a calibration."""

from __future__ import annotations

from rtm_server.migrations.script import run

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SQL = """
-- Of recordings that the sensor opens by itself, where nobody presses Start; NULL: free exercise.
ALTER TABLE assignment ADD COLUMN exercise text;
ALTER TABLE open_set ADD COLUMN calibration boolean NOT NULL DEFAULT false,
    ADD COLUMN stopped_at timestamptz;                   -- by the page; kept until the next one, to tell how it went
GRANT UPDATE (stopped_at) ON open_set TO rtm_app;
"""


def upgrade() -> None:
    """Add columns: the release before reads and writes as it did."""
    run(SQL)


def downgrade() -> None:
    """Nothing else stands on them."""
    run(
        "ALTER TABLE assignment DROP COLUMN exercise;"
        " ALTER TABLE open_set DROP COLUMN calibration, DROP COLUMN stopped_at;"
    )
