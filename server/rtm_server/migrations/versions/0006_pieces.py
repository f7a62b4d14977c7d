"""Short pieces of recordings by their content, so that a part of an earlier session sent again is found."""

from __future__ import annotations

from rtm_server.migrations.script import run

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SQL = """
-- Keyed hashes of 64 samples each (rtm_server.pieces). No foreign keys: some hundred rows a recording, written once.
CREATE TABLE piece (
    tenant_id    uuid NOT NULL,
    hash         bigint NOT NULL,                        -- keyed for each clinic: tells nothing by itself
    recording_id uuid NOT NULL,
    at           timestamptz NOT NULL,                   -- of its first sample, the first time it stands there
    PRIMARY KEY (tenant_id, hash, recording_id)
);
CREATE INDEX piece_recording ON piece (tenant_id, recording_id);

-- Recordings of before this revision are taken in by the sweep, one job each.
ALTER TABLE recording ADD COLUMN pieces_kept boolean NOT NULL DEFAULT false;
CREATE INDEX recording_without_pieces ON recording (tenant_id) WHERE state = 'analysed' AND NOT pieces_kept;

ALTER TABLE piece ENABLE ROW LEVEL SECURITY;
ALTER TABLE piece FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON piece
    USING (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
GRANT SELECT, INSERT, DELETE ON piece TO rtm_app;
"""


def upgrade() -> None:
    """Add a table, and a column with a default: the release before does not know them and goes on."""
    run(SQL)


def downgrade() -> None:
    """They can be made again from the samples."""
    run("DROP TABLE piece; ALTER TABLE recording DROP COLUMN pieces_kept;")
