"""Revision 0001, part 2: sensors, chunks, recordings, results, daily roll-up, quarantine."""

SQL = """
CREATE TABLE gateway (
    tenant_id  uuid NOT NULL REFERENCES tenant,
    gateway_id uuid NOT NULL,
    label      text NOT NULL DEFAULT '',
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, gateway_id)
);

CREATE TABLE sensor (
    tenant_id  uuid NOT NULL REFERENCES tenant,
    sensor_id  uuid NOT NULL,
    profile    text NOT NULL,                            -- the wearable: homestretch, polar-pmd, ...
    serial     text NOT NULL DEFAULT '',
    address    text NOT NULL DEFAULT '',                 -- Bluetooth address
    simulated  boolean NOT NULL DEFAULT false,           -- its days are `test`
    retired_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, sensor_id)
);

-- Who wore which sensor where, and when. One sensor is on one episode at a time (enrol.assign holds that).
CREATE TABLE assignment (
    tenant_id     uuid NOT NULL,
    assignment_id uuid NOT NULL,
    sensor_id     uuid NOT NULL,
    episode_id    uuid NOT NULL,
    placement     text NOT NULL,                         -- thigh, left_shank, ...
    gateway_id    uuid,
    assigned_from timestamptz NOT NULL,
    assigned_to   timestamptz,                           -- exclusive
    PRIMARY KEY (tenant_id, assignment_id),
    CHECK (assigned_to IS NULL OR assigned_to > assigned_from),
    FOREIGN KEY (tenant_id, sensor_id) REFERENCES sensor,
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode,
    FOREIGN KEY (tenant_id, gateway_id) REFERENCES gateway
);
CREATE INDEX assignment_sensor ON assignment (tenant_id, sensor_id, assigned_from);
CREATE INDEX assignment_episode ON assignment (tenant_id, episode_id);

CREATE TABLE stream (
    tenant_id uuid NOT NULL,
    stream_id uuid NOT NULL,                             -- uuid5(sensor, name), rtm_signal.chunk.stream_id
    sensor_id uuid NOT NULL,
    name      text NOT NULL,                             -- imu, acc, gyr, mag, imu9
    PRIMARY KEY (tenant_id, stream_id),
    UNIQUE (tenant_id, sensor_id, name),
    FOREIGN KEY (tenant_id, sensor_id) REFERENCES sensor
);

-- The raw data. No foreign keys: a hypertable and a bulk insert are better off without; ingest checks them.
-- 64-bit indices are stored signed: 2^63 samples outlast everything.
CREATE TABLE chunk (
    tenant_id   uuid NOT NULL,
    stream_id   uuid NOT NULL,
    boot        bigint NOT NULL,
    first_index bigint NOT NULL CHECK (first_index >= 0),
    n           integer NOT NULL CHECK (n > 0),
    t_key       bigint NOT NULL,                         -- us UTC, stamped once when the gateway sealed it
    patient_id  uuid NOT NULL,                           -- whose key encrypts it
    gateway_id  uuid NOT NULL,
    codec       smallint NOT NULL,
    sha256      bytea NOT NULL,                          -- of the plain chunk, as acknowledged
    ciphertext  bytea NOT NULL,                          -- AES-256-GCM, the key of the row as associated data
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, stream_id, boot, first_index, n, t_key)
);
ALTER TABLE chunk ALTER COLUMN ciphertext SET STORAGE EXTERNAL;

CREATE TABLE recording (
    tenant_id    uuid NOT NULL,
    recording_id uuid NOT NULL,
    patient_id   uuid NOT NULL,
    episode_id   uuid NOT NULL,
    gateway_id   uuid NOT NULL,
    exercise     text,                                   -- NULL = free
    opened_at    timestamptz NOT NULL,
    closed_at    timestamptz NOT NULL,
    closed_by    text NOT NULL,
    revision     integer NOT NULL,
    manifest     jsonb NOT NULL,
    zone         text NOT NULL,                          -- the patient's when it arrived; never changed
    place        text NOT NULL DEFAULT 'home' CHECK (place IN ('home', 'clinic')),
    simulated    boolean NOT NULL,
    state        text NOT NULL DEFAULT 'incomplete' CHECK (state IN ('incomplete', 'complete', 'analysed', 'failed')),
    data_version integer NOT NULL DEFAULT 1,             -- raised by every chunk or manifest that adds to it
    content_sha256 bytea,                                -- of all samples, set by the analysis: finds replays
    received_at  timestamptz NOT NULL DEFAULT now(),
    artefact_reason text,                                -- a clinician set it aside; nothing is deleted
    PRIMARY KEY (tenant_id, recording_id),
    FOREIGN KEY (tenant_id, patient_id) REFERENCES patient,
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode
);
CREATE INDEX recording_episode ON recording (tenant_id, episode_id, opened_at);
CREATE INDEX recording_unfinished ON recording (tenant_id, state) WHERE state IN ('incomplete', 'complete');
CREATE INDEX recording_content ON recording (tenant_id, patient_id, content_sha256);

CREATE TABLE recording_stream (
    tenant_id    uuid NOT NULL,
    recording_id uuid NOT NULL,
    stream_id    uuid NOT NULL,
    boot         bigint NOT NULL,
    sensor_id    uuid NOT NULL,
    name         text NOT NULL,
    placement    text NOT NULL,
    first_index  bigint NOT NULL,
    last_index   bigint NOT NULL,
    lost         int8multirange NOT NULL DEFAULT '{}',   -- declared lost by the gateway
    PRIMARY KEY (tenant_id, recording_id, stream_id, boot),
    CHECK (last_index >= first_index),
    FOREIGN KEY (tenant_id, recording_id) REFERENCES recording
);
CREATE INDEX recording_stream_stream ON recording_stream (tenant_id, stream_id, boot, first_index);

-- One row a run; older results stay. The columns beside the JSON are what the roll-up adds up.
CREATE TABLE analysis (
    tenant_id        uuid NOT NULL,
    recording_id     uuid NOT NULL,
    analysis_no      integer NOT NULL,                   -- 1, 2, ...; the highest is current
    patient_id       uuid NOT NULL,
    pipeline_version text NOT NULL,
    data_version     integer NOT NULL,
    exercise         text NOT NULL,
    result           jsonb NOT NULL,                     -- rtm_signal.analysis.to_json
    local_day        date,                               -- of the first counted repetition; NULL = nothing counted
    zone             text NOT NULL,
    kind             text CHECK (kind IN ('sensor', 'test')),  -- NULL = not a data day, see doubts
    doubts           text[] NOT NULL DEFAULT '{}',
    repetitions      integer NOT NULL,
    holds            integer NOT NULL DEFAULT 0,
    minutes          real NOT NULL DEFAULT 0,
    sets             integer NOT NULL,
    rom_deg          real[] NOT NULL DEFAULT '{}',       -- of each repetition that has one
    first_at         timestamptz,
    last_at          timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, recording_id, analysis_no),
    FOREIGN KEY (tenant_id, recording_id) REFERENCES recording
);
CREATE INDEX analysis_day ON analysis (tenant_id, patient_id, local_day);

CREATE VIEW analysis_current WITH (security_invoker = true) AS
SELECT DISTINCT ON (tenant_id, recording_id) * FROM analysis ORDER BY tenant_id, recording_id, analysis_no DESC;

-- "It was 18, not 20": beside the result, never over it.
CREATE TABLE correction (
    tenant_id     uuid NOT NULL,
    correction_id uuid NOT NULL,
    recording_id  uuid NOT NULL,
    analysis_no   integer NOT NULL,
    author_id     uuid NOT NULL,
    repetitions   integer NOT NULL CHECK (repetitions >= 0),
    reason_enc    bytea,                                 -- patient's key
    entered_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, correction_id),
    FOREIGN KEY (tenant_id, recording_id, analysis_no) REFERENCES analysis
);

CREATE TABLE daily (
    tenant_id      uuid NOT NULL,
    patient_id     uuid NOT NULL,
    local_day      date NOT NULL,
    exercise       text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('sensor', 'test')),
    episode_id     uuid NOT NULL,
    zone           text NOT NULL,
    recordings     integer NOT NULL,
    repetitions    integer NOT NULL,
    holds          integer NOT NULL,
    minutes        real NOT NULL,
    sets           integer NOT NULL,
    rom_median_deg real,
    rom_max_deg    real,
    first_at       timestamptz NOT NULL,
    last_at        timestamptz NOT NULL,
    received_at    timestamptz NOT NULL,                 -- when the first of its recordings was received
    PRIMARY KEY (tenant_id, patient_id, local_day, exercise, kind),
    FOREIGN KEY (tenant_id, episode_id) REFERENCES episode
);
CREATE INDEX daily_episode ON daily (tenant_id, episode_id, local_day);

-- Items ingest could not accept: kept, encrypted with the tenant's key, with the reason.
CREATE TABLE quarantine (
    tenant_id     uuid NOT NULL REFERENCES tenant,
    quarantine_id uuid NOT NULL,
    gateway_id    uuid NOT NULL,
    item_key      text NOT NULL,
    reason        text NOT NULL,                         -- a word: corrupt, unknown_stream, altered, ...
    why           text NOT NULL,                         -- the sentence sent to the gateway
    sha256        bytea NOT NULL,
    ciphertext    bytea NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, quarantine_id),
    UNIQUE (tenant_id, gateway_id, item_key, sha256)
);
"""
