"""What gateways say of their homes: the last heartbeat, and each warning from its first to its last."""

from __future__ import annotations

from rtm_server.migrations.script import run

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SQL = """
-- The last heartbeat of a gateway. Offline: its goodbye, or its broker's word that the connection was lost.
CREATE TABLE gateway_status (
    tenant_id     uuid NOT NULL,
    gateway_id    uuid NOT NULL,
    heard_at      timestamptz NOT NULL,                  -- by the server's clock, the gateway's own word
    online        boolean NOT NULL,
    waiting_items integer NOT NULL,                      -- in its outbox
    refused_items integer NOT NULL,
    lag_s         real NOT NULL,                         -- age of the oldest item that waits
    full_share    real NOT NULL,                         -- of the outbox's limit, 0 to 1
    sensors       jsonb NOT NULL,                        -- [{"sensor", "placement", "connected", "battery"}]
    PRIMARY KEY (tenant_id, gateway_id),
    FOREIGN KEY (tenant_id, gateway_id) REFERENCES gateway
);

-- A warning stands from the heartbeat that first tells it until one that does not.
CREATE TABLE home_warning (
    tenant_id  uuid NOT NULL,
    warning_id uuid NOT NULL,
    gateway_id uuid NOT NULL,
    sensor_id  uuid,                                     -- NULL: of several sensors, or of none
    kind       text NOT NULL,                            -- battery, refused, worn, ...
    what       text NOT NULL CHECK (length(what) <= 200),
    began_at   timestamptz NOT NULL,
    heard_at   timestamptz NOT NULL,                     -- last
    ended_at   timestamptz,
    PRIMARY KEY (tenant_id, warning_id),
    FOREIGN KEY (tenant_id, gateway_id) REFERENCES gateway
);
CREATE UNIQUE INDEX home_warning_open ON home_warning (tenant_id, gateway_id, kind, sensor_id) NULLS NOT DISTINCT
    WHERE ended_at IS NULL;
CREATE INDEX home_warning_gateway ON home_warning (tenant_id, gateway_id, began_at);

DO $$
DECLARE
    t text;
    mine text := 'tenant_id = nullif(current_setting(''app.tenant'', true), '''')::uuid';
BEGIN
    FOREACH t IN ARRAY ARRAY['gateway_status', 'home_warning'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY of_tenant ON %I USING (%s) WITH CHECK (%s)', t, mine, mine);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO rtm_app', t);
    END LOOP;
END $$;
"""


def upgrade() -> None:
    """Add two tables: the release before does not know them and goes on."""
    run(SQL)


def downgrade() -> None:
    """Nothing else stands on them."""
    run("DROP TABLE home_warning; DROP TABLE gateway_status;")
