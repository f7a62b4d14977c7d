"""Enrolling: clinics, people, episodes, prescriptions, gateways, sensors, who wears what.

Every function but `create_tenant` works inside the caller's tenant transaction, so that a form, its audit entry and
what it creates stand or fall together. Times are aware datetimes (UTC stored), dates are local dates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Literal
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from argon2 import PasswordHasher
from psycopg.errors import UniqueViolation

from rtm_server.crypto import DataKey, patient_place, tenant_place
from rtm_server.errors import ServerError
from rtm_server.store import Store, Tx
from rtm_signal import chunk as chunks

Role = Literal["therapist", "patient", "billing"]
STREAM_NAMES = ("imu", "acc", "gyr", "mag", "imu9")  # docs/architecture.md: what a wearable may send


class EnrolError(ServerError):
    """What was asked for cannot be enrolled."""


@cache
def password_hasher() -> PasswordHasher:
    """argon2id with the library's defaults (RFC 9106, low-memory profile)."""
    return PasswordHasher()


def create_tenant(
    store: Store,
    name: str,
    timezone: str,
    *,
    tenant: UUID | None = None,
    simulated_counts: bool = False,
    payer_profile: str = "medicare",
) -> UUID:
    """A clinic. `simulated_counts` is for the demo's clinic only: days of simulated sensors count there."""
    _zone(timezone)
    tenant = tenant or uuid4()
    with store.tenant_tx(tenant) as tx:
        tx.execute(
            "INSERT INTO tenant (tenant_id, name, timezone, data_key, simulated_counts, payer_profile)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            (
                tenant,
                name,
                timezone,
                store.master.wrap(DataKey.new(), tenant_place(tenant, "data_key")),
                simulated_counts,
                payer_profile,
            ),
        )
        store.register(tx, tenant, "tenant", tenant.bytes, tenant)
    return tenant


def create_user(
    store: Store,
    tx: Tx,
    tenant: UUID,
    role: Role,
    *,
    login: str,
    password: str,
    name: str,
    patient: UUID | None = None,
    practice_role: str = "therapist",
) -> UUID:
    """Somebody who may sign in. `patient` is given for the role patient only."""
    user = uuid4()
    try:
        store.register(tx, tenant, "login", login, user)
    except UniqueViolation:
        raise EnrolError("this sign-in name is taken") from None
    tx.execute(
        "INSERT INTO app_user (tenant_id, user_id, role, patient_id, login_index, password_hash, name_enc,"
        " practice_role) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            tenant,
            user,
            role,
            patient,
            store.master.index("login", login),
            password_hasher().hash(password),
            store.tenant_key(tx, tenant).seal(name.encode(), tenant_place(tenant, f"name_enc|{user}")),
            practice_role,
        ),
    )
    return user


def user_name(store: Store, tx: Tx, tenant: UUID, user: UUID, name_enc: bytes) -> str:
    """Decrypt `app_user.name_enc`."""
    return store.tenant_key(tx, tenant).open(name_enc, tenant_place(tenant, f"name_enc|{user}")).decode()


def create_patient(store: Store, tx: Tx, tenant: UUID, identifiers: Mapping[str, Any]) -> UUID:
    """A patient. identifiers: `name`, `birth_date` (ISO), `record_number` and whatever a claim needs; encrypted."""
    patient = uuid4()
    key = DataKey.new()
    record = identifiers.get("record_number")
    tx.execute(
        "INSERT INTO patient (tenant_id, patient_id, data_key, identifiers_enc, record_index)"
        " VALUES (%s, %s, %s, %s, %s)",
        (
            tenant,
            patient,
            store.tenant_key(tx, tenant).wrap(key, patient_place(tenant, patient, "data_key")),
            key.seal(
                json.dumps(dict(identifiers)).encode(), patient_place(tenant, patient, "identifiers_enc")
            ),
            None if record is None else store.master.index(f"record|{tenant}", str(record)),
        ),
    )
    return patient


def identifiers(store: Store, tx: Tx, tenant: UUID, patient: UUID, identifiers_enc: bytes) -> dict[str, Any]:
    """Decrypt `patient.identifiers_enc`."""
    loaded: dict[str, Any] = json.loads(
        store.open_text(tx, tenant, patient, "identifiers_enc", identifiers_enc)
    )
    return loaded


def create_episode(
    store: Store,
    tx: Tx,
    tenant: UUID,
    patient: UUID,
    *,
    timezone: str,
    started: date,
    therapist: UUID | None = None,
    organ_system: str = "musculoskeletal",
    discipline: str = "PT",
    therapist_billed: bool = True,
    setup_on: date | None = None,
    device_basis: str | None = None,
    title: str | None = None,
) -> UUID:
    """An episode of care, in the patient's zone (IANA). title: what is treated, in plain words; encrypted."""
    _zone(timezone)
    episode = uuid4()
    tx.execute(
        "INSERT INTO episode (tenant_id, episode_id, patient_id, timezone, started, therapist_id, organ_system,"
        " discipline, therapist_billed, setup_on, device_basis, title_enc)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            tenant,
            episode,
            patient,
            timezone,
            started,
            therapist,
            organ_system,
            discipline,
            therapist_billed,
            setup_on,
            device_basis,
            None if title is None else store.seal_text(tx, tenant, patient, "title_enc", title),
        ),
    )
    return episode


def record_consent(
    tx: Tx,
    tenant: UUID,
    episode: UUID,
    by: UUID,
    *,
    valid_from: date,
    valid_to: date | None = None,
    how: str = "written",
) -> UUID:
    """Consent to monitoring, dated. `how`: verbal or written."""
    consent = uuid4()
    tx.execute(
        "INSERT INTO consent (tenant_id, consent_id, episode_id, valid_from, valid_to, how, recorded_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (tenant, consent, episode, valid_from, valid_to, how, by),
    )
    return consent


def record_plan(
    tx: Tx, tenant: UUID, episode: UUID, by: UUID, *, valid_from: date, valid_to: date | None = None
) -> UUID:
    """A plan of care and its span."""
    plan = uuid4()
    tx.execute(
        "INSERT INTO plan_of_care (tenant_id, plan_id, episode_id, valid_from, valid_to, recorded_by)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (tenant, plan, episode, valid_from, valid_to, by),
    )
    return plan


def prescribe(
    tx: Tx,
    tenant: UUID,
    episode: UUID,
    exercise: str,
    *,
    valid_from: date,
    valid_to: date | None = None,
    sets: int = 1,
    repetitions: int | None = None,
    holds: int | None = None,
    hold_s: float | None = None,
    minutes: float | None = None,
    weekdays: Sequence[int] = (1, 2, 3, 4, 5, 6, 7),
    by: UUID | None = None,
) -> UUID:
    """A line of the plan: one of repetitions, holds (each `hold_s`) or minutes a set; weekdays ISO, 1 = Monday."""
    prescription = uuid4()
    tx.execute(
        "INSERT INTO prescription (tenant_id, prescription_id, episode_id, exercise, sets, repetitions, holds, hold_s,"
        " minutes, weekdays, valid_from, valid_to, prescribed_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            tenant,
            prescription,
            episode,
            exercise,
            sets,
            repetitions,
            holds,
            hold_s,
            minutes,
            list(weekdays),
            valid_from,
            valid_to,
            by,
        ),
    )
    return prescription


def add_gateway(store: Store, tx: Tx, tenant: UUID, *, label: str = "", gateway: UUID | None = None) -> UUID:
    """A gateway of this clinic; its id is the `{gateway}` of its topics."""
    gateway = gateway or uuid4()
    try:
        store.register(tx, tenant, "gateway", gateway.bytes, gateway)
    except UniqueViolation:
        raise EnrolError("this gateway is enrolled already") from None
    tx.execute(
        "INSERT INTO gateway (tenant_id, gateway_id, label) VALUES (%s, %s, %s)", (tenant, gateway, label)
    )
    return gateway


def add_sensor(
    tx: Tx,
    tenant: UUID,
    profile: str,
    *,
    serial: str = "",
    address: str = "",
    simulated: bool = False,
    sensor: UUID | None = None,
) -> UUID:
    """A wearable and the streams it may send. `simulated` sensors give test days."""
    sensor = sensor or uuid4()
    tx.execute(
        "INSERT INTO sensor (tenant_id, sensor_id, profile, serial, address, simulated)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (tenant, sensor, profile, serial, address, simulated),
    )
    with tx.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO stream (tenant_id, stream_id, sensor_id, name) VALUES (%s, %s, %s, %s)",
            [(tenant, chunks.stream_id(sensor, name), sensor, name) for name in STREAM_NAMES],
        )
    return sensor


def assign(
    tx: Tx,
    tenant: UUID,
    sensor: UUID,
    episode: UUID,
    placement: str,
    *,
    assigned_from: datetime,
    assigned_to: datetime | None = None,
    gateway: UUID | None = None,
    exercise: str | None = None,
) -> UUID:
    """From `assigned_from` (aware) the sensor is worn in this episode. A sensor is on one episode at a time.

    exercise: of recordings that it opens by itself (its button, movement); None: free exercise.
    """
    tx.execute("SELECT 1 FROM sensor WHERE tenant_id = %s AND sensor_id = %s FOR UPDATE", (tenant, sensor))
    taken = tx.execute(
        "SELECT 1 FROM assignment WHERE tenant_id = %s AND sensor_id = %s"
        " AND tstzrange(assigned_from, assigned_to) && tstzrange(%s, %s)",
        (tenant, sensor, assigned_from, assigned_to),
    ).fetchone()
    if taken is not None:
        raise EnrolError("this sensor is assigned already at that time: return it first")
    assignment = uuid4()
    tx.execute(
        "INSERT INTO assignment (tenant_id, assignment_id, sensor_id, episode_id, placement, gateway_id, assigned_from,"
        " assigned_to, exercise) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            tenant,
            assignment,
            sensor,
            episode,
            placement,
            gateway,
            assigned_from.astimezone(UTC),
            assigned_to,
            exercise,
        ),
    )
    return assignment


def return_sensor(tx: Tx, tenant: UUID, sensor: UUID, at: datetime) -> None:
    """End the sensor's open assignment."""
    tx.execute(
        "UPDATE assignment SET assigned_to = %s WHERE tenant_id = %s AND sensor_id = %s AND assigned_to IS NULL",
        (at, tenant, sensor),
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise EnrolError(f"{name!r} is not a time zone of the IANA list") from None
