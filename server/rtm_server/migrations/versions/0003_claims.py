"""Claims: states of the whole lifecycle, line control numbers, frozen batches and documents, payers' answers."""

from __future__ import annotations

from rtm_server.migrations.script import run

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SQL = """
ALTER TABLE claim_line DROP CONSTRAINT claim_line_state_check;
ALTER TABLE claim_line ADD CONSTRAINT claim_line_state_check CHECK (state IN
    ('approved', 'exported', 'accepted', 'rejected', 'paid', 'denied', 'replaced', 'withdrawn'));
ALTER TABLE claim_line ADD COLUMN control text;          -- REF*6R: comes back on the remittance
CREATE UNIQUE INDEX claim_line_control ON claim_line (tenant_id, control);

-- NULL = the platform itself (an export from the command line, a payer's answer); a release has a person.
ALTER TABLE claim_line_event ALTER COLUMN actor_id DROP NOT NULL;
ALTER TABLE claim_line_event ADD CONSTRAINT released_by_a_person CHECK (state <> 'approved' OR actor_id IS NOT NULL);

-- What one export froze together.
CREATE TABLE claim_batch (
    tenant_id uuid NOT NULL REFERENCES tenant,
    batch_id  uuid NOT NULL,
    month     date NOT NULL,                             -- first day
    batch_no  integer NOT NULL CHECK (batch_no > 0),     -- 1, 2, ... within the month
    made_by   uuid,                                      -- NULL = the command line
    made_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, batch_id),
    UNIQUE (tenant_id, month, batch_no)
);

-- A file as it left, for ever the same bytes.
CREATE TABLE claim_document (
    tenant_id uuid NOT NULL,
    batch_id  uuid NOT NULL,
    format    text NOT NULL CHECK (format IN ('837p', 'csv', 'corrections')),
    file_name text NOT NULL,
    control   bigint,                                    -- ISA13 and GS06 of an 837p
    document  bytea NOT NULL,                            -- tenant's key
    sha256    bytea NOT NULL,                            -- of the plain file
    summary   jsonb NOT NULL,                            -- its part of manifest.json: counts, totals, who, when
    made_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, batch_id, format),
    UNIQUE (tenant_id, control),
    FOREIGN KEY (tenant_id, batch_id) REFERENCES claim_batch
);

ALTER TABLE claim ALTER COLUMN created_by DROP NOT NULL;
ALTER TABLE claim
    ADD COLUMN batch_id uuid,
    ADD COLUMN frequency text NOT NULL DEFAULT '1' CHECK (frequency IN ('1', '7', '8')),
    ADD COLUMN replaces uuid,
    ADD COLUMN payer_control text,                       -- the payer's own number of the claim
    ADD FOREIGN KEY (tenant_id, batch_id) REFERENCES claim_batch,
    ADD FOREIGN KEY (tenant_id, replaces) REFERENCES claim;

-- 999, 277CA and 835 as they came. The same file twice is one row and moves nothing the second time.
CREATE TABLE claim_response (
    tenant_id   uuid NOT NULL REFERENCES tenant,
    response_id uuid NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('TA1', '999', '277', '835')),
    sha256      bytea NOT NULL,
    document    bytea NOT NULL,                          -- tenant's key
    moved       integer NOT NULL,                        -- lines whose state it changed
    unmatched   integer NOT NULL,                        -- claims in it that are not ours
    received_by uuid,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, response_id),
    UNIQUE (tenant_id, sha256)
);

DO $$
DECLARE
    t text;
    mine text := 'tenant_id = nullif(current_setting(''app.tenant'', true), '''')::uuid';
BEGIN
    FOREACH t IN ARRAY ARRAY['claim_batch', 'claim_document', 'claim_response'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY of_tenant ON %I USING (%s) WITH CHECK (%s)', t, mine, mine);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO rtm_app', t);
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I'
                       ' FOR EACH ROW EXECUTE FUNCTION refuse_change()', t);
    END LOOP;
END $$;
"""


def upgrade() -> None:
    """Widen what is there; nothing that 0002 reads or writes changes its meaning."""
    run(SQL)


def downgrade() -> None:
    """Frozen documents are evidence: they are not thrown away."""
    raise NotImplementedError("claims cannot be undone; restore a backup instead")
