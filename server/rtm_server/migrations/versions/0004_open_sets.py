"""Sets that a page asked a gateway to record, so that a restart of the pages forgets none; clock times of visits."""

from __future__ import annotations

from rtm_server.migrations.script import run

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SQL = """
-- One row from Start to Stop. What has arrived as a recording stands there; a set nobody stopped ends with its span.
CREATE TABLE open_set (
    tenant_id    uuid NOT NULL,
    recording_id uuid NOT NULL,                          -- as sent to the gateway; the recording may never arrive
    patient_id   uuid NOT NULL,
    gateway_id   uuid NOT NULL,
    exercise     text,
    opened_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, recording_id),
    FOREIGN KEY (tenant_id, patient_id) REFERENCES patient,
    FOREIGN KEY (tenant_id, gateway_id) REFERENCES gateway
);
CREATE INDEX open_set_patient ON open_set (tenant_id, patient_id, opened_at);

-- With clock times a visit is taken out of the monitoring time.
ALTER TABLE visit ADD COLUMN started_at timestamptz, ADD COLUMN ended_at timestamptz;
ALTER TABLE visit ADD CONSTRAINT visit_times CHECK (
    (started_at IS NULL) = (ended_at IS NULL) AND (started_at IS NULL OR ended_at > started_at));

ALTER TABLE open_set ENABLE ROW LEVEL SECURITY;
ALTER TABLE open_set FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON open_set
    USING (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
GRANT SELECT, INSERT, DELETE ON open_set TO rtm_app;
"""


def upgrade() -> None:
    """Add a table and two columns that may be empty: the release before reads and writes as it did."""
    run(SQL)


def downgrade() -> None:
    """Clock times of visits are evidence: they are not thrown away."""
    raise NotImplementedError("visits cannot be undone; restore a backup instead")
