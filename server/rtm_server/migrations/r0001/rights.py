"""Revision 0001, part 4: row-level security, the application's role and what it may do, the two narrow lookups."""

# `rtm_app` is a group role nobody can sign in with. Every connection of the application becomes it (SET ROLE),
# whatever it signed in as, so that a superuser's DSN does not silently switch row-level security off.
SQL = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'rtm_app') THEN
        CREATE ROLE rtm_app NOLOGIN NOSUPERUSER NOBYPASSRLS;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- two databases of one server migrate at once
END $$;
GRANT USAGE ON SCHEMA public TO rtm_app;

DO $$
DECLARE
    t text;
    mine text := 'tenant_id = nullif(current_setting(''app.tenant'', true), '''')::uuid';
BEGIN
    FOR t IN SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY of_tenant ON %I USING (%s) WITH CHECK (%s)', t, mine, mine);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO rtm_app', t);
    END LOOP;
END $$;
GRANT SELECT ON analysis_current, time_entry_current TO rtm_app;

-- What the application may delete: sign-ins, derived rows, and the links it rewrites.
GRANT DELETE ON directory, session, daily, recording_stream TO rtm_app;

-- Append only: no right, and a trigger for whoever has the right.
REVOKE UPDATE ON audit, time_entry, chunk, analysis, correction, claim_line_event, quarantine, pain_report, message
    FROM rtm_app;
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'table % is append only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege'; END $$;
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['audit', 'time_entry', 'analysis', 'correction', 'claim_line_event'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I'
                       ' FOR EACH ROW EXECUTE FUNCTION refuse_change()', t);
        EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_change()', t);
    END LOOP;
END $$;

-- The two lookups that come before a tenant is known. They run as the owner, who sees all of `directory` (ids and
-- keyed hashes, no patient data) through a policy of its own; the application does not.
CREATE POLICY of_owner ON directory FOR SELECT TO CURRENT_USER USING (true);
CREATE FUNCTION directory_lookup(a_kind text, a_hash bytea) RETURNS TABLE (tenant_id uuid, subject_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
$$ SELECT d.tenant_id, d.subject_id FROM public.directory d WHERE d.kind = a_kind AND d.key_hash = a_hash $$;
CREATE FUNCTION tenant_ids() RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
$$ SELECT d.tenant_id FROM public.directory d WHERE d.kind = 'tenant' ORDER BY 1 $$;
REVOKE ALL ON FUNCTION directory_lookup(text, bytea), tenant_ids() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION directory_lookup(text, bytea), tenant_ids() TO rtm_app;

-- Every process looks at the schema's version before it starts.
GRANT SELECT ON alembic_version TO rtm_app;
"""
