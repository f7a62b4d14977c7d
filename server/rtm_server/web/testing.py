"""A furnished clinic for page tests and screenshots: twelve patients, forty-five days, straight into tables.

Everything is invented and repeatable (seeded); `NOW` is when the pages are looked at. The demo's history
comes through the real ingest instead; this one exists so that page tests take seconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from rtm_server import enrol
from rtm_server.store import Store, Tx
from rtm_server.web.errors import UnavailableError
from rtm_signal.wire import Command

NOW = datetime(2026, 11, 23, 21, 14, tzinfo=UTC)
ZONE = "America/New_York"
PASSWORD = "correct horse battery"  # noqa: S105 - of invented people
DAYS = 45


@dataclass(frozen=True, slots=True)
class Profile:
    """One invented patient. `pattern` says on which days there are data; `pain` is (usual, newest)."""

    name: str
    born: str
    condition: str
    exercises: tuple[str, ...]
    started_days_ago: int
    pattern: str = "steady"
    pain: tuple[int, int] = (3, 3)
    calls: tuple[tuple[int, int], ...] = ()
    rom: tuple[float, float] = (70.0, 110.0)


SHOULDER = ("shoulder_abduction", "shoulder_external_rotation", "pendulum")
KNEE = ("heel_slide", "squat", "straight_leg_raise")
PROFILES = (
    Profile(
        "Ruth Abernathy",
        "1951-04-17",
        "Right rotator cuff repair",
        SHOULDER,
        40,
        pain=(3, 7),
        calls=((12, 14),),
    ),
    Profile(
        "Daniel Okafor",
        "1968-09-02",
        "Left total knee replacement",
        KNEE,
        33,
        pain=(5, 8),
        calls=((8, 22),),
        rom=(62, 104),
    ),
    Profile(
        "Maria Lindqvist", "1959-12-11", "Right total knee replacement", KNEE, 36, "silent", calls=((15, 11),)
    ),
    Profile("Tomas Herrera", "1974-06-25", "Left frozen shoulder", SHOULDER, 44, "fading", calls=((5, 12),)),
    Profile(
        "Grace Whitfield",
        "1946-01-30",
        "Right hip fracture",
        ("bridge", "sit_to_stand"),
        29,
        calls=((4, 16), (11, 9)),
    ),
    Profile(
        "Samuel Ito",
        "1981-03-08",
        "Right knee, ACL reconstruction",
        KNEE,
        45,
        calls=((3, 24), (10, 20), (33, 21)),
        rom=(88, 131),
    ),
    Profile(
        "Helen Brandt",
        "1963-08-19",
        "Left shoulder, proximal humerus",
        SHOULDER,
        38,
        calls=((6, 10), (30, 26)),
    ),
    Profile("Arun Mehta", "1955-10-05", "Right total knee replacement", KNEE, 16),
    Profile(
        "Lucille Moreau",
        "1949-05-14",
        "Left hip replacement",
        ("bridge", "sit_to_stand"),
        31,
        calls=((7, 21),),
    ),
    Profile("Peter Nowak", "1970-02-21", "Right elbow fracture", ("biceps_curl",), 24, rom=(80, 122)),
    Profile("Joan Castellanos", "1957-07-07", "Right shoulder impingement", SHOULDER, 21, calls=((2, 8),)),
    Profile("William Adeyemi", "1962-11-28", "Left total knee replacement", KNEE, 9, rom=(55, 74)),
)


@dataclass
class House:
    """What tests need to know of the furnished clinic."""

    store: Store
    tenant: UUID
    therapist: str
    billing: str
    patient_login: str
    patient: UUID
    episode: UUID
    gateway: UUID
    recording: UUID
    patients: dict[str, UUID] = field(default_factory=dict)


@dataclass
class RecordedCommands:
    """Commands the pages have sent, with their gateways. `down`: the broker cannot be reached."""

    sent: list[tuple[UUID, Command]] = field(default_factory=list)
    down: bool = False

    def send(self, gateway: UUID, command: Command) -> None:
        """Keep it."""
        if self.down:
            raise UnavailableError
        self.sent.append((gateway, command))


def furnish(store: Store, profiles: tuple[Profile, ...] = PROFILES, *, tag: str = "", seed: int = 7) -> House:
    """Enrol a clinic with its history. `tag` keeps sign-in names of several houses apart."""
    random = Random(seed)  # noqa: S311 - invented history, repeatable
    tag = tag or uuid4().hex[:8]
    tenant = enrol.create_tenant(store, "Harbor Street Physical Therapy", ZONE)
    house: House | None = None
    logins = {role: f"{role}.{tag}@example.org" for role in ("therapist", "billing", "patient")}
    with store.tenant_tx(tenant) as tx:
        tx.execute(
            "UPDATE tenant SET practice = %s WHERE tenant_id = %s",
            (json.dumps({"phone": "+1-555-0134"}), tenant),
        )
        therapist = enrol.create_user(
            store, tx, tenant, "therapist", login=logins["therapist"], password=PASSWORD, name="Nora Feld, PT"
        )
        enrol.create_user(
            store, tx, tenant, "billing", login=logins["billing"], password=PASSWORD, name="Omar Reyes"
        )
        gateway = enrol.add_gateway(store, tx, tenant, label="home")
        for number, profile in enumerate(profiles):
            patient, episode, recording = _patient(
                store, tx, tenant, therapist, gateway, profile, number, random
            )
            if house is None:
                house = House(
                    store,
                    tenant,
                    logins["therapist"],
                    logins["billing"],
                    logins["patient"],
                    patient,
                    episode,
                    gateway,
                    recording,
                )
                enrol.create_user(
                    store,
                    tx,
                    tenant,
                    "patient",
                    login=logins["patient"],
                    password=PASSWORD,
                    name=profile.name,
                    patient=patient,
                )
            house.patients[profile.name] = patient
    if house is None:
        raise ValueError("a house needs a patient")
    return house


def _patient(
    store: Store, tx: Tx, tenant: UUID, therapist: UUID, gateway: UUID, profile: Profile, number: int,
    random: Random,
) -> tuple[UUID, UUID, UUID]:  # fmt: skip
    today = NOW.astimezone(ZoneInfo(ZONE)).date()
    started = today - timedelta(days=profile.started_days_ago)
    who = {"name": profile.name, "birth_date": profile.born, "record_number": f"HS-{20411 + 37 * number}"}
    patient = enrol.create_patient(store, tx, tenant, who)
    episode = enrol.create_episode(
        store,
        tx,
        tenant,
        patient,
        timezone=ZONE,
        started=started,
        therapist=therapist,
        setup_on=started,
        device_basis="invented for tests",
        title=profile.condition,
    )
    enrol.record_consent(tx, tenant, episode, therapist, valid_from=started)
    enrol.record_plan(
        tx, tenant, episode, therapist, valid_from=started, valid_to=started + timedelta(days=90)
    )
    for exercise in profile.exercises:
        change = started + timedelta(days=18)
        if exercise == profile.exercises[0] and change < today - timedelta(days=4):
            enrol.prescribe(
                tx,
                tenant,
                episode,
                exercise,
                valid_from=started,
                valid_to=change - timedelta(days=1),
                sets=2,
                repetitions=10,
                by=therapist,
            )
            enrol.prescribe(
                tx, tenant, episode, exercise, valid_from=change, sets=3, repetitions=10, by=therapist
            )
        else:
            enrol.prescribe(
                tx, tenant, episode, exercise, valid_from=started, sets=2, repetitions=10, by=therapist
            )
    sensor = enrol.add_sensor(tx, tenant, "homestretch", serial=f"HS{number:04d}")
    since = datetime.combine(started, time(8), ZoneInfo(ZONE))
    enrol.assign(tx, tenant, sensor, episode, "upper_arm", assigned_from=since, gateway=gateway)
    with tx.pipeline():
        recording = _history(tx, tenant, patient, episode, gateway, sensor, profile, started, today, random)
    for days_ago, minutes in profile.calls:
        # one person, one call at a time; what is older than twenty days was entered too late
        at = datetime.combine(today - timedelta(days=days_ago), time(9), ZoneInfo(ZONE)).astimezone(UTC)
        at += timedelta(minutes=40 * number)
        end = at + timedelta(minutes=minutes)
        entered = end if days_ago <= 20 else end + timedelta(days=9)
        tx.execute(
            "INSERT INTO time_entry (tenant_id, entry_id, episode_id, author_id, role, started_at, ended_at,"
            " activity, contact, entered_at)"
            " VALUES (%s, %s, %s, %s, 'therapist', %s, %s, 'call', 'phone', %s)",
            (tenant, uuid4(), episode, therapist, at, end, entered),
        )
    return patient, episode, recording


def _history(
    tx: Tx, tenant: UUID, patient: UUID, episode: UUID, gateway: UUID, sensor: UUID, profile: Profile,
    started: date, today: date, random: Random,
) -> UUID:  # fmt: skip
    """Recordings, results, roll-ups and pain reports; returns the newest recording of the first exercise."""
    newest = uuid4()
    span = max((today - started).days, 1)
    for offset in range(span + 1):
        day = started + timedelta(days=offset)
        if not _has_data(profile, day, today, random):
            continue
        share = offset / span
        for place, exercise in enumerate(profile.exercises):
            if day == today and place > 0:
                continue
            if random.random() < 0.12 and day != today:
                continue
            newest_here = _recording(
                tx, tenant, patient, episode, gateway, sensor, exercise, day, place, share, profile, random
            )
            if place == 0:
                newest = newest_here
        usual, last = profile.pain
        recent = (today - day).days <= 1
        score = last if recent else max(0, min(10, usual + random.choice((-1, 0, 0, 1))))
        if recent or random.random() < 0.6:
            at = datetime.combine(day, time(9, 50), ZoneInfo(ZONE)).astimezone(UTC)
            tx.execute(
                "INSERT INTO pain_report (tenant_id, report_id, patient_id, episode_id, score, reported_at,"
                " local_day, zone) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                (tenant, uuid4(), patient, episode, score, at, day, ZONE),
            )
    return newest


def _has_data(profile: Profile, day: date, today: date, random: Random) -> bool:
    days_ago = (today - day).days
    if profile.pattern == "silent" and days_ago < 5:
        return False
    if profile.pattern == "fading" and days_ago < 8:
        return random.random() < 0.3
    return days_ago == 1 or random.random() < 0.82


def _recording(
    tx: Tx, tenant: UUID, patient: UUID, episode: UUID, gateway: UUID, sensor: UUID, exercise: str, day: date,
    place: int, share: float, profile: Profile, random: Random,
) -> UUID:  # fmt: skip
    recording, stream = uuid4(), uuid4()
    opened = datetime.combine(day, time(9, 20 + 9 * place), ZoneInfo(ZONE)).astimezone(UTC)
    count = random.choice((20, 20, 20, 20, 19, 18, 30))
    low, high = profile.rom
    degrees = low + (high - low) * share + random.gauss(0, 2.5)
    result = _result(exercise, count, degrees, random, withheld=random.random() < 0.05)
    closed = opened + timedelta(seconds=result["duration_s"])
    rom = [
        item["rom_deg"]
        for one in result["sets"]
        for item in one["repetitions"]
        if item["rom_deg"] is not None
    ]
    tx.execute(
        "INSERT INTO recording (tenant_id, recording_id, patient_id, episode_id, gateway_id, exercise,"
        " opened_at, closed_at, closed_by, revision, manifest, zone, simulated, state, received_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'stop', 1, '{}', %s, false, 'analysed', %s)",
        (tenant, recording, patient, episode, gateway, exercise, opened, closed, ZONE, closed),
    )
    tx.execute(
        "INSERT INTO recording_stream (tenant_id, recording_id, stream_id, boot, sensor_id, name, placement,"
        " first_index, last_index) VALUES (%s, %s, %s, 1, %s, 'imu', 'upper_arm', 0, 9999)",
        (tenant, recording, stream, sensor),
    )
    tx.execute(
        "INSERT INTO analysis (tenant_id, recording_id, analysis_no, patient_id, pipeline_version,"
        " data_version, exercise, result, local_day, zone, kind, repetitions, sets, rom_deg, first_at,"
        " last_at, created_at)"
        " VALUES (%s, %s, 1, %s, %s, 1, %s, %s, %s, %s, 'sensor', %s, %s, %s, %s, %s, %s)",
        (
            tenant,
            recording,
            patient,
            result["pipeline_version"],
            exercise,
            json.dumps(result),
            day,
            ZONE,
            count,
            len(result["sets"]),
            rom,
            opened,
            closed,
            closed + timedelta(minutes=1),
        ),
    )
    tx.execute(
        "INSERT INTO daily (tenant_id, patient_id, local_day, exercise, kind, episode_id, zone, recordings,"
        " repetitions, holds, minutes, sets, rom_median_deg, rom_max_deg, first_at, last_at, received_at)"
        " VALUES (%s, %s, %s, %s, 'sensor', %s, %s, 1, %s, 0, %s, %s, %s, %s, %s, %s, %s)",
        (
            tenant,
            patient,
            day,
            exercise,
            episode,
            ZONE,
            count,
            result["duration_s"] / 60,
            len(result["sets"]),
            result["rom_deg"]["median"],
            result["rom_deg"]["max"],
            opened,
            closed,
            closed,
        ),
    )
    return recording


def _result(exercise: str, count: int, degrees: float, random: Random, *, withheld: bool) -> dict[str, Any]:
    """A result in the shape of `rtm analyze` (docs/reference)."""
    at, sets, done = 6.0, list[dict[str, Any]](), 0
    while done < count:
        inside = min(10, count - done)
        items = []
        for _ in range(inside):
            length = random.uniform(3.2, 4.4)
            rom = None if withheld else round(degrees + random.gauss(0, 3.0), 1)
            flags = ["small"] if rom is not None and rom < degrees - 5 else []
            items.append(
                {
                    "start_s": at,
                    "peak_s": at + length / 2,
                    "end_s": at + length,
                    "rom_deg": rom,
                    "concentric_s": length / 2,
                    "eccentric_s": length / 2,
                    "hold_s": 0.0,
                    "quality": {
                        "regularity": 0.95,
                        "smoothness": -2.0,
                        "amplitude_ratio": 1.0,
                        "flags": flags,
                    },
                }
            )
            at += length
        sets.append({"start_s": items[0]["start_s"], "end_s": at, "repetitions": items})
        done += inside
        at += 35.0
    known = sorted(i["rom_deg"] for s in sets for i in s["repetitions"] if i["rom_deg"] is not None)
    return {
        "exercise": exercise,
        "duration_s": at - 25.0,
        "repetitions": count,
        "repetitions_range": [count, count],
        "angle": {"name": exercise if exercise.startswith("shoulder") else "joint", "of": ["upper_arm"]},
        "sets": sets,
        "rom_deg": {
            "median": known[len(known) // 2] if known else None,
            "max": known[-1] if known else None,
            "uncertainty": 4.0 if known else None,
        },
        "withheld": [{"what": "rom_deg", "why": "gyroscope missing for 12 s", "from_s": None, "to_s": None}]
        if withheld
        else [],
        "pipeline_version": "test",
    }
