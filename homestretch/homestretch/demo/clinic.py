"""The demo's clinic in the database: people who sign in, patients with their plans, sensors and gateways."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg.types.json import Jsonb

from homestretch.demo import claims_data
from homestretch.demo.cohort import CLINIC_ZONE, PatientStory
from rtm_server import enrol
from rtm_server.store import Store, Tx

CLINIC_NAME = "Homestretch Demo Clinic"
DEVICE_BASIS = "Simulated sensor of the demo: no device, never to be billed outside the demo."
# In step with the diagnoses of `claims_data`.
TITLES = {
    "upper_arm": ("Shoulder impingement, right", "Subacromial decompression, right"),
    "wrist": ("Shoulder impingement, right", "Subacromial decompression, right"),
    "thigh": ("Total knee replacement, right", "Knee replacement and pain, right"),
}
PHONE = "518-555-0100"  # nobody's: 555-01xx is kept free for invention
LONG_AGO = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class SignIn:
    """How one person of the demo signs in."""

    role: str
    login: str
    password: str
    first_page: str


@dataclass(frozen=True, slots=True)
class Home:
    """One patient's sensors by where they are worn, and the ids that their data carry."""

    patient: UUID
    episode: UUID
    sensors: Mapping[str, UUID]

    @property
    def sensor(self) -> UUID:
        """The first."""
        return next(iter(self.sensors.values()))


@dataclass(frozen=True, slots=True)
class DemoClinic:
    """What the demo's other parts need to know of the clinic. `homes` is in the order of the stories."""

    tenant: UUID
    therapist: UUID
    gateway: UUID
    history_gateway: UUID
    homes: tuple[Home, ...]
    sign_ins: tuple[SignIn, ...]


def create(store: Store, stories: tuple[PatientStory, ...], now: datetime) -> DemoClinic:
    """Enrol everybody. The first patient's home has the live gateway; history comes through a second one."""
    tenant = enrol.create_tenant(store, CLINIC_NAME, CLINIC_ZONE, simulated_counts=True)
    with store.tenant_tx(tenant) as tx:
        therapist_in = SignIn("therapist", "therapist@demo.example", _password(), "/")
        billing_in = SignIn("billing clerk", "billing@demo.example", _password(), f"/billing/{now:%Y-%m}")
        therapist = enrol.create_user(
            store, tx, tenant, "therapist",
            login=therapist_in.login, password=therapist_in.password, name="Dr. Rosa Minh, PT",
        )  # fmt: skip
        enrol.create_user(
            store, tx, tenant, "billing",
            login=billing_in.login, password=billing_in.password, name="Sam Okafor",
        )  # fmt: skip
        tx.execute(
            "UPDATE tenant SET practice = %s WHERE tenant_id = %s",
            (Jsonb({**claims_data.practice(therapist), "phone": PHONE}), tenant),
        )
        gateway = enrol.add_gateway(store, tx, tenant, label="the first patient's home")
        history_gateway = enrol.add_gateway(store, tx, tenant, label="history of the demo")
        homes = tuple(
            _enrol_patient(
                store, tx, tenant, therapist, story, now, gateway if number == 0 else history_gateway
            )
            for number, story in enumerate(stories)
        )
        sign_ins = [therapist_in, billing_in]
        if homes:
            patient_in = SignIn("patient", "patient@demo.example", _password(), "/today")
            enrol.create_user(
                store, tx, tenant, "patient", login=patient_in.login, password=patient_in.password,
                name=f"{stories[0].given} {stories[0].family}", patient=homes[0].patient,
            )  # fmt: skip
            sign_ins.insert(1, patient_in)
    return DemoClinic(tenant, therapist, gateway, history_gateway, homes, tuple(sign_ins))


def _password() -> str:
    """New at every start, so that a demo left running has no well-known door."""
    return "-".join(secrets.token_hex(2) for _ in range(3))


def _title(story: PatientStory) -> str:
    """What is treated, fitting the exercises of the plan (`story.placements`)."""
    return TITLES[story.placements[0]][story.number // 2 % 2]


def _enrol_patient(
    store: Store, tx: Tx, tenant: UUID, therapist: UUID, story: PatientStory, now: datetime, gateway: UUID
) -> Home:
    patient = enrol.create_patient(
        store, tx, tenant,
        {
            "name": f"{story.given} {story.family}",
            "birth_date": story.born.isoformat(),
            "record_number": f"D{1000 + story.number}",
            **claims_data.particulars(story),
        },
    )  # fmt: skip
    episode = enrol.create_episode(
        store, tx, tenant, patient, timezone=story.zone, started=story.started, therapist=therapist,
        setup_on=story.started, device_basis=DEVICE_BASIS, title=_title(story),
    )  # fmt: skip
    enrol.record_consent(tx, tenant, episode, therapist, valid_from=story.started)
    enrol.record_plan(
        tx, tenant, episode, therapist, valid_from=story.started, valid_to=story.started + timedelta(days=120)
    )
    for dose in story.plan:
        enrol.prescribe(
            tx, tenant, episode, dose.exercise,
            valid_from=story.started, sets=dose.sets, repetitions=dose.repetitions, by=therapist,
        )  # fmt: skip
    since = now.astimezone(UTC) - LONG_AGO
    sensors = {}
    for place, placement in enumerate(story.placements):
        serial = f"SIM{story.number:04d}{'AB'[place] if len(story.placements) > 1 else ''}"
        sensor = enrol.add_sensor(tx, tenant, "homestretch", serial=serial, simulated=True)
        enrol.assign(tx, tenant, sensor, episode, placement, assigned_from=since, gateway=gateway)
        sensors[placement] = sensor
    return Home(patient, episode, sensors)


def record_reports(store: Store, clinic: DemoClinic, stories: tuple[PatientStory, ...]) -> None:
    """Pain reports and management time, each as the pages would have written it."""
    with store.tenant_tx(clinic.tenant) as tx:
        for story, home in zip(stories, clinic.homes, strict=True):
            for report in story.pain:
                tx.execute(
                    "INSERT INTO pain_report (tenant_id, report_id, patient_id, episode_id, score,"
                    " reported_at, local_day, zone) VALUES (%s, gen_random_uuid(), %s, %s, %s, %s, %s, %s)",
                    (
                        clinic.tenant, home.patient, home.episode, report.score, report.at.astimezone(UTC),
                        report.at.date(), story.zone,
                    ),
                )  # fmt: skip
            for entry in story.minutes:
                tx.execute(
                    "INSERT INTO time_entry (tenant_id, entry_id, episode_id, author_id, role, started_at,"
                    " ended_at, activity, contact, entered_at)"
                    " VALUES (%s, gen_random_uuid(), %s, %s, 'therapist', %s, %s, %s, %s, %s)",
                    (
                        clinic.tenant, home.episode, clinic.therapist, entry.start, entry.end, entry.activity,
                        entry.contact, entry.end,
                    ),
                )  # fmt: skip
