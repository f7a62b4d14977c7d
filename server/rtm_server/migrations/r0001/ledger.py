"""Revision 0001, part 3: time entries, visits, claim lines, claims, control numbers, audit."""

SQL = """
-- Append only: a correction is a new entry that supersedes the old one; `voided` takes it back.
CREATE TABLE time_entry (
    tenant_id  uuid NOT NULL,
    entry_id   uuid NOT NULL,
    episode_id uuid NOT NULL,
    author_id  uuid NOT NULL,
    role       text NOT NULL CHECK (role IN
        ('therapist', 'assistant', 'physician', 'other_qualified', 'clinical_staff', 'unlicensed')),
    started_at timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL,
    activity   text NOT NULL,                            -- data_review, programme_change, call, ...
    contact    text CHECK (contact IN ('phone', 'video', 'in_person', 'message', 'voicemail')),
    note_enc   bytea,                                    -- patient's key
    idle       boolean NOT NULL DEFAULT false,
    billed_elsewhere boolean NOT NULL DEFAULT false,
    entered_at timestamptz NOT NULL DEFAULT now(),
    supersedes uuid,
    voided     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, entry_id),
    UNIQUE (tenant_id, supersedes),
    CHECK (ended_at > started_at),
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode,
    FOREIGN KEY (tenant_id, author_id) REFERENCES app_user (tenant_id, user_id),
    FOREIGN KEY (tenant_id, supersedes) REFERENCES time_entry
);
CREATE INDEX time_entry_episode ON time_entry (tenant_id, episode_id, started_at);

-- What stands: neither superseded nor voided.
CREATE VIEW time_entry_current WITH (security_invoker = true) AS
SELECT * FROM time_entry e WHERE NOT voided AND NOT EXISTS (
    SELECT 1 FROM time_entry s WHERE s.tenant_id = e.tenant_id AND s.supersedes = e.entry_id);

CREATE TABLE visit (
    tenant_id  uuid NOT NULL,
    visit_id   uuid NOT NULL,
    episode_id uuid NOT NULL,
    visited_on date NOT NULL,
    services   jsonb NOT NULL DEFAULT '[]',              -- [{"code", "minutes", "assistant_minutes"}]
    entered_by uuid NOT NULL,
    entered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, visit_id),
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode
);

CREATE TABLE therapy_spend (
    tenant_id  uuid NOT NULL,
    spend_id   uuid NOT NULL,
    episode_id uuid NOT NULL,
    spent_on   date NOT NULL,
    amount     numeric(12, 2) NOT NULL,
    PRIMARY KEY (tenant_id, spend_id),
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode
);

CREATE TABLE other_service (
    tenant_id  uuid NOT NULL,
    service_id uuid NOT NULL,
    episode_id uuid NOT NULL,
    detail     jsonb NOT NULL,                           -- an item of `other_services` of a billing case
    PRIMARY KEY (tenant_id, service_id),
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode
);

CREATE TABLE claim (
    tenant_id  uuid NOT NULL REFERENCES tenant,
    claim_id   uuid NOT NULL,
    episode_id uuid NOT NULL,
    number     text NOT NULL,                            -- CLM01, at most 20 characters
    month      date NOT NULL,                            -- first day
    format     text NOT NULL CHECK (format IN ('837p', 'csv')),
    document   bytea NOT NULL,                           -- the frozen interchange, tenant's key
    sha256     bytea NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, claim_id),
    UNIQUE (tenant_id, number),
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode
);

-- A line a person has decided on. Undecided lines are not stored: they are evaluated when looked at.
CREATE TABLE claim_line (
    tenant_id    uuid NOT NULL,
    line_id      uuid NOT NULL,
    episode_id   uuid NOT NULL,
    code         text NOT NULL,
    units        integer NOT NULL CHECK (units > 0),
    modifiers    text[] NOT NULL DEFAULT '{}',
    service_date date NOT NULL,
    period_from  date NOT NULL,
    period_to    date NOT NULL,
    decision     text NOT NULL CHECK (decision IN ('bill', 'hold', 'replace')),
    reasons      text[] NOT NULL DEFAULT '{}',
    evidence     jsonb NOT NULL,
    rules_version text NOT NULL,
    state        text NOT NULL DEFAULT 'approved' CHECK (state IN
        ('approved', 'exported', 'accepted', 'rejected', 'paid', 'withdrawn')),
    claim_id     uuid,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, line_id),
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode,
    FOREIGN KEY (tenant_id, claim_id) REFERENCES claim
);
-- Two clerks approve the same line: one wins.
CREATE UNIQUE INDEX claim_line_once ON claim_line (tenant_id, episode_id, code, period_from, period_to)
    WHERE state NOT IN ('rejected', 'withdrawn');

CREATE TABLE claim_line_event (
    tenant_id uuid NOT NULL,
    line_id   uuid NOT NULL,
    event_no  integer NOT NULL,
    state     text NOT NULL,
    actor_id  uuid NOT NULL,
    reason    text NOT NULL DEFAULT '',
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, line_id, event_no),
    FOREIGN KEY (tenant_id, line_id) REFERENCES claim_line
);

CREATE TABLE control_number (
    tenant_id uuid NOT NULL REFERENCES tenant,
    kind      text NOT NULL,                             -- interchange, group, claim
    last      bigint NOT NULL CHECK (last >= 0),
    PRIMARY KEY (tenant_id, kind)
);

-- hash = sha256(prev || canonical JSON of the row), see rtm_server.audit.
CREATE TABLE audit (
    tenant_id  uuid NOT NULL REFERENCES tenant,
    entry_no   bigint NOT NULL,
    at         timestamptz NOT NULL,
    actor_id   uuid,                                     -- NULL = the platform itself
    action     text NOT NULL,
    subject_id uuid,
    detail     jsonb NOT NULL DEFAULT '{}',              -- ids, codes and counts; never names
    prev       bytea NOT NULL,
    hash       bytea NOT NULL,
    PRIMARY KEY (tenant_id, entry_no)
);
"""
