"""Revision 0001, part 1: clinic, people, episodes, prescriptions."""

SQL = """
CREATE TABLE tenant (
    tenant_id        uuid PRIMARY KEY,
    name             text NOT NULL,
    timezone         text NOT NULL,                      -- IANA; months are the clinic's
    data_key         bytea NOT NULL,                     -- AES-256 key wrapped by the master key
    payer_profile    text NOT NULL DEFAULT 'medicare',
    bill_settings    jsonb NOT NULL DEFAULT '{}',
    practice         jsonb NOT NULL DEFAULT '{}',        -- NPI, address of the clinic: public data
    simulated_counts boolean NOT NULL DEFAULT false,     -- true for the demo's tenant only
    created_at       timestamptz NOT NULL DEFAULT now()
);

-- From a keyed hash of a login, gateway id or session token to the tenant: ids only, no patient data.
CREATE TABLE directory (
    tenant_id  uuid NOT NULL REFERENCES tenant,
    kind       text NOT NULL CHECK (kind IN ('login', 'gateway', 'session', 'tenant')),
    key_hash   bytea NOT NULL CHECK (length(key_hash) = 32),
    subject_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, kind, key_hash),
    UNIQUE (kind, key_hash)
);

CREATE TABLE patient (
    tenant_id       uuid NOT NULL REFERENCES tenant,
    patient_id      uuid NOT NULL,
    data_key        bytea,                               -- wrapped by the tenant's key; NULL once erased
    identifiers_enc bytea,                               -- JSON: name, birth date, record number, payer id ...
    record_index    bytea,                               -- blind index (HMAC) of the record number
    erased_at       timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, patient_id)
);
CREATE UNIQUE INDEX patient_record ON patient (tenant_id, record_index);

CREATE TABLE app_user (
    tenant_id     uuid NOT NULL REFERENCES tenant,
    user_id       uuid NOT NULL,
    role          text NOT NULL CHECK (role IN ('therapist', 'patient', 'billing')),
    patient_id    uuid,
    login_index   bytea NOT NULL,                        -- blind index (HMAC) of the login
    password_hash text NOT NULL,                         -- argon2id
    name_enc      bytea NOT NULL,                        -- tenant's key
    practice_role text NOT NULL DEFAULT 'therapist' CHECK (practice_role IN
        ('therapist', 'assistant', 'physician', 'other_qualified', 'clinical_staff', 'unlicensed')),
    disabled_at   timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id),
    UNIQUE (tenant_id, login_index),
    CHECK ((role = 'patient') = (patient_id IS NOT NULL)),
    FOREIGN KEY (tenant_id, patient_id) REFERENCES patient
);

CREATE TABLE session (
    tenant_id    uuid NOT NULL,
    token_hash   bytea NOT NULL,
    user_id      uuid NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    idle_expires_at     timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, token_hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES app_user
);

CREATE TABLE episode (
    tenant_id        uuid NOT NULL,
    episode_id       uuid NOT NULL,
    patient_id       uuid NOT NULL,
    timezone         text NOT NULL,                      -- IANA, the patient's; never re-dates past days
    started          date NOT NULL,
    discharged       date,
    organ_system     text NOT NULL DEFAULT 'musculoskeletal'
        CHECK (organ_system IN ('musculoskeletal', 'respiratory', 'cognitive_behavioral')),
    discipline       text NOT NULL DEFAULT 'PT' CHECK (discipline IN ('PT', 'OT', 'SLP', 'none')),
    therapist_billed boolean NOT NULL DEFAULT true,
    therapist_id     uuid,                               -- whose worklist it stands on
    setup_on         date,
    setup_assistant_share numeric NOT NULL DEFAULT 0,
    setup_billed_before   boolean NOT NULL DEFAULT false,
    device_basis     text,                               -- why the device meets the FDA definition; NULL = not recorded
    title_enc        bytea,                              -- patient's key: what is treated
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, episode_id),
    CHECK (discharged IS NULL OR discharged >= started),
    FOREIGN KEY (tenant_id, patient_id) REFERENCES patient,
    FOREIGN KEY (tenant_id, therapist_id) REFERENCES app_user
);
CREATE INDEX episode_patient ON episode (tenant_id, patient_id);

CREATE TABLE consent (
    tenant_id  uuid NOT NULL,
    consent_id uuid NOT NULL,
    episode_id uuid NOT NULL,
    valid_from date NOT NULL,
    valid_to   date,
    how        text NOT NULL CHECK (how IN ('verbal', 'written')),
    recorded_by uuid NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, consent_id),
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode
);

CREATE TABLE plan_of_care (
    tenant_id  uuid NOT NULL,
    plan_id    uuid NOT NULL,
    episode_id uuid NOT NULL,
    valid_from date NOT NULL,
    valid_to   date,
    recorded_by uuid NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, plan_id),
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode
);

CREATE TABLE prescription (
    tenant_id       uuid NOT NULL,
    prescription_id uuid NOT NULL,
    episode_id      uuid NOT NULL,
    exercise        text NOT NULL,                       -- id of the catalogue
    sets            integer NOT NULL DEFAULT 1 CHECK (sets > 0),
    repetitions     integer CHECK (repetitions > 0),     -- a set; one of repetitions, holds, minutes is given
    holds           integer CHECK (holds > 0),
    hold_s          real CHECK (hold_s > 0),
    minutes         real CHECK (minutes > 0),
    weekdays        smallint[] NOT NULL DEFAULT '{1,2,3,4,5,6,7}',  -- ISO: 1 = Monday
    valid_from      date NOT NULL,
    valid_to        date,
    calibration_recording_id uuid,
    calibration_repetitions  integer,
    prescribed_by   uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, prescription_id),
    CHECK (num_nonnulls(repetitions, holds, minutes) = 1),
    CHECK (weekdays <@ '{1,2,3,4,5,6,7}'::smallint[]),
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode
);
CREATE INDEX prescription_episode ON prescription (tenant_id, episode_id);

CREATE TABLE pain_report (
    tenant_id   uuid NOT NULL,
    report_id   uuid NOT NULL,
    patient_id  uuid NOT NULL,
    episode_id  uuid NOT NULL,
    score       smallint NOT NULL CHECK (score BETWEEN 0 AND 10),
    note_enc    bytea,                                   -- patient's key
    reported_at timestamptz NOT NULL DEFAULT now(),
    local_day   date NOT NULL,
    zone        text NOT NULL,
    PRIMARY KEY (tenant_id, report_id),
    FOREIGN KEY (tenant_id, patient_id) REFERENCES patient,
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode
);
CREATE INDEX pain_report_episode ON pain_report (tenant_id, episode_id, reported_at);

CREATE TABLE message (
    tenant_id  uuid NOT NULL,
    message_id uuid NOT NULL,
    episode_id uuid NOT NULL,
    author_id  uuid NOT NULL,
    body_enc   bytea NOT NULL,                           -- patient's key
    sent_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, message_id),
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode,
    FOREIGN KEY (tenant_id, author_id) REFERENCES app_user (tenant_id, user_id)
);
CREATE INDEX message_episode ON message (tenant_id, episode_id, sent_at);
"""
