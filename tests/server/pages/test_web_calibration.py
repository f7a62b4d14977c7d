"""A calibration from the phone: what stands in its way, how it went in plain words, and taking it back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from rtm_server import analyses, calibrations, enrol, home_status
from rtm_server.home_status import Heartbeat, SensorStatus
from rtm_server.ingest import commit_group
from rtm_server.store import Store
from rtm_server.testing import (
    Clinic,
    make_batch,
    make_chunks,
    make_clinic,
    make_manifest,
    send_recording,
    squat_like,
)
from rtm_server.web.commands import calibrate, start, stop
from rtm_server.web.testing import PASSWORD, RecordedCommands
from rtm_signal.recording import Recording, SensorRecording

RATE = 50.0
MOVED = squat_like(int(30 * RATE), RATE)  # three seconds of rest, then six movements of four seconds


@dataclass
class Home:
    """A patient with one sensor and a plan, and what the gateway says."""

    clinic: Clinic
    client: httpx.Client
    login: str

    def says(self, *, connected: bool = True, battery: float | None = 0.8, place: str = "wrist") -> None:
        sensor = SensorStatus(self.clinic.sensor, place, connected, battery)
        beat = Heartbeat(0, 0, 0.0, 0.0, (sensor,), ())
        home_status.keep(self.clinic.store, self.clinic.tenant, self.clinic.gateway, beat, datetime.now(UTC))

    def begin(self, exercise: str = "squat") -> UUID:
        answer = self.client.post("/today/calibrate", data={"exercise": exercise})
        assert answer.status_code == 303, answer.text
        return UUID(answer.headers["location"].rpartition("/")[2])

    def arrives(self, values: NDArray[np.int16], recording: UUID, boot: int) -> None:
        """What the gateway recorded under this name, analysed."""
        opened = datetime.now(UTC) - timedelta(minutes=3, seconds=-boot)
        manifest = make_manifest(
            self.clinic, opened=opened, boot=boot, last=len(values) - 1, recording=recording, calibration=True
        )
        encoded = make_chunks(self.clinic, values, opened=opened, boot=boot, rate_hz=RATE)
        ack = commit_group(
            self.clinic.store, [make_batch(self.clinic, *encoded, manifest.to_json())], datetime.now(UTC)
        ).acks[self.clinic.gateway]
        assert not ack.refused
        assert analyses.analyse(self.clinic.store, self.clinic.tenant, recording)

    def used(self) -> UUID | None:
        with self.clinic.store.tenant_tx(self.clinic.tenant) as tx:
            found = calibrations.in_use(tx, self.clinic.tenant, self.clinic.episode).get("squat")
        return None if found is None else found.recording

    def outcome(self, recording: UUID) -> str:
        page = self.client.get(f"/today/calibration/{recording}").text
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition("<main")[2]))


@pytest.fixture
def home(pages_store: Store, client_now: httpx.Client) -> Home:
    clinic = make_clinic(pages_store)
    login = f"pat.{uuid4()}@example.org"
    with pages_store.tenant_tx(clinic.tenant) as tx:
        for exercise in ("squat", "bridge"):
            enrol.prescribe(
                tx, clinic.tenant, clinic.episode, exercise, valid_from=clinic.since.date(), repetitions=10
            )
        enrol.create_user(
            pages_store, tx, clinic.tenant, "patient", login=login, password=PASSWORD, name="Pat",
            patient=clinic.patient,
        )  # fmt: skip
    client_now.post("/sign-in", data={"email": login, "password": PASSWORD})
    made = Home(clinic, client_now, login)
    made.says()
    return made


def test_from_the_first_tap_to_the_plan(home: Home, commands: RecordedCommands) -> None:
    page = home.client.get("/today/calibrate").text
    assert page.count("Not measured yet.") == 2
    assert "You begin standing upright" in page, "the catalogue says how"
    recording = home.begin()
    assert commands.sent == [(home.clinic.gateway, calibrate(recording, "squat"))]
    path = f"/today/set/{recording}"
    running = home.client.get(path).text
    assert "keep still" in running
    assert re.search(r'data-still="[1-8]"', running)
    assert home.begin("bridge") == recording, "one at a time"
    assert home.client.get(f"/today/calibration/{recording}").headers["location"] == path
    stopped = home.client.post(f"{path}/stop")
    assert stopped.headers["location"] == f"/today/calibration/{recording}"
    assert commands.sent[-1] == (home.clinic.gateway, stop(recording))
    assert "Your sensors are sending" in home.outcome(recording)
    home.arrives(MOVED, recording, 1)
    said = home.outcome(recording)
    assert "Well done 6 repetitions" in said
    assert "data-waits" not in home.client.get(f"/today/calibration/{recording}").text
    assert home.used() == recording
    assert "Measured last on" in home.client.get("/today/calibrate").text
    assert home.client.get(path).headers["location"] == f"/today/calibration/{recording}"


def test_taken_back_the_one_before_is_used_again_and_it_can_be_used_after_all(home: Home) -> None:
    earlier = send_recording(
        home.clinic, MOVED[::-1], opened=datetime.now(UTC) - timedelta(hours=1), boot=1, calibration=True
    )
    assert analyses.analyse(home.clinic.store, home.clinic.tenant, earlier)
    assert home.used() == earlier
    recording = home.begin()
    home.client.post(f"/today/set/{recording}/stop")
    home.arrives(MOVED, recording, 2)
    assert home.used() == recording
    assert home.client.post(f"/today/calibration/{recording}/undo").status_code == 303
    assert home.used() == earlier
    assert "What was used before is used again." in home.outcome(recording)
    assert home.client.post(f"/today/calibration/{recording}/use").status_code == 303
    assert home.used() == recording
    with home.clinic.store.tenant_tx(home.clinic.tenant) as tx:
        analyses.set_aside(tx, home.clinic.tenant, earlier, "somebody else wore it")
    assert analyses.analyse(home.clinic.store, home.clinic.tenant, earlier)
    home.client.post(f"/today/calibration/{earlier}/use")
    assert home.used() == recording, "what the therapist set aside stays so"
    for each in (recording, earlier):
        home.client.post(f"/today/calibration/{each}/undo")
    assert home.used() is None, "nothing is left to be measured against"


REST = np.tile(MOVED[:1], (int(20 * RATE), 1))


@pytest.mark.parametrize(
    ("values", "said", "kept"),
    [
        (REST, "It did not work No repetition was seen. Nothing is changed.", False),
        (MOVED[int(3.2 * RATE) :], "You moved while you should have kept still.", True),
        (MOVED[: int(10 * RATE)], "could be seen. What was measured is used until then.", True),
    ],
    ids=["no repetition", "moved in the pose", "too few"],
)
def test_what_went_wrong_is_said_in_one_sentence(
    home: Home, values: NDArray[np.int16], said: str, kept: bool
) -> None:
    recording = home.begin()
    home.client.post(f"/today/set/{recording}/stop")
    home.arrives(values, recording, 1)
    outcome = home.outcome(recording)
    assert said in outcome
    assert "Do it once more" in outcome
    assert (home.used() == recording) is kept
    assert ("Undo" in outcome) is kept


def test_a_sensor_that_gave_nothing_is_named(home: Home) -> None:
    clinic = home.clinic
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        other = enrol.add_sensor(tx, clinic.tenant, "homestretch")
        since = datetime.now(UTC) - timedelta(days=2)
        enrol.assign(
            tx,
            clinic.tenant,
            other,
            clinic.episode,
            "left_shank",
            assigned_from=since,
            gateway=clinic.gateway,
        )
    recording = send_recording(
        clinic, MOVED, opened=datetime.now(UTC) - timedelta(minutes=2), boot=1, calibration=True
    )
    assert analyses.analyse(clinic.store, clinic.tenant, recording)
    assert "Nothing was heard of the sensor on your left lower leg." in home.outcome(recording)


Change = Callable[[Home], None]


def nobody_wears(home: Home) -> None:
    with home.clinic.store.tenant_tx(home.clinic.tenant) as tx:
        enrol.return_sensor(tx, home.clinic.tenant, home.clinic.sensor, datetime.now(UTC))


def offline(home: Home) -> None:
    home_status.keep(home.clinic.store, home.clinic.tenant, home.clinic.gateway, None, datetime.now(UTC))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (nobody_wears, "No sensor is assigned to you yet."),
        (offline, "The gateway in your home is not in touch."),
        (lambda home: home.says(connected=False), "The sensor on your wrist is not in touch."),
        (
            lambda home: home.says(place="thigh"),
            "Your gateway does not know yet that a sensor is on your wrist.",
        ),
    ],
    ids=["no sensor", "gateway away", "sensor away", "worn elsewhere"],
)
def test_what_stands_in_the_way_is_said_before_anything_begins(
    home: Home, commands: RecordedCommands, change: Change, said: str
) -> None:
    change(home)
    assert said in home.client.get("/today/calibrate").text
    refused = home.client.post("/today/calibrate", data={"exercise": "squat"})
    assert refused.status_code == 409
    assert said in refused.text
    assert commands.sent == []
    assert "is running" not in home.client.get("/today").text


def test_a_low_battery_is_said_and_stops_nothing(home: Home) -> None:
    home.says(battery=0.12)
    for page in ("/today", "/today/calibrate"):
        assert "The battery of the sensor on your wrist is low (12%)." in home.client.get(page).text
    home.begin()


def test_a_gateway_out_of_reach_leaves_nothing_begun(home: Home, commands: RecordedCommands) -> None:
    commands.down = True
    assert home.client.post("/today/calibrate", data={"exercise": "squat"}).status_code == 503
    commands.down = False
    home.begin()


def test_who_shares_a_gateway_waits_for_the_others_set(home: Home, commands: RecordedCommands) -> None:
    clinic, recording = home.clinic, uuid4()
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        other = enrol.create_patient(
            clinic.store,
            tx,
            clinic.tenant,
            {"name": "Sam", "birth_date": "1950-01-01", "record_number": "R2"},
        )
        tx.execute(
            "INSERT INTO open_set (tenant_id, recording_id, patient_id, gateway_id, exercise, opened_at)"
            " VALUES (%s, %s, %s, %s, 'squat', now())",
            (clinic.tenant, recording, other, clinic.gateway),
        )
    for path in ("/today/start", "/today/calibrate"):
        refused = home.client.post(path, data={"exercise": "squat"})
        assert refused.status_code == 409
        assert "Somebody else is using your gateway" in refused.text
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        tx.execute("UPDATE open_set SET stopped_at = now() WHERE recording_id = %s", (recording,))
    begun = home.client.post("/today/start", data={"exercise": "squat"}).headers["location"]
    assert commands.sent == [(clinic.gateway, start(UUID(begun.rpartition("/")[2]), "squat"))]


def test_anothers_calibration_is_unknown(home: Home, client_now: httpx.Client) -> None:
    foreign = make_clinic(home.clinic.store)
    theirs = send_recording(
        foreign, MOVED, opened=datetime.now(UTC) - timedelta(hours=1), boot=1, calibration=True
    )
    plain = send_recording(home.clinic, MOVED, opened=datetime.now(UTC) - timedelta(hours=1), boot=1)
    for recording in (theirs, plain, uuid4()):
        assert client_now.get(f"/today/calibration/{recording}").status_code == 404
        for what in ("undo", "use"):
            assert client_now.post(f"/today/calibration/{recording}/{what}").status_code == 404
    assert client_now.post("/today/calibrate", data={"exercise": "deadlift"}).status_code == 422


def test_stillness_is_that_of_all_sensors_together() -> None:
    t = np.arange(0.0, 10.0, 0.02)
    still = np.tile([0.0, 0.0, 9.81], (len(t), 1))
    shaken = still + 2.0 * np.sin(9.0 * t)[:, None]
    early, late = (np.where((t < 5.0)[:, None] == first, shaken, still) for first in (True, False))
    both = Recording({"thigh": SensorRecording(t, early), "shank": SensorRecording(t, late)})
    alone = Recording({"thigh": SensorRecording(t, late)})
    assert calibrations.longest_still_s(both, 10.0) == 0.0
    assert calibrations.longest_still_s(alone, 10.0) == pytest.approx(5.0, abs=0.5)
    assert calibrations.longest_still_s(alone, 1.2) == 1.0, "until the first repetition"
    turning = SensorRecording(t, still, np.tile([0.0, 0.5, 0.0], (len(t), 1)))
    assert calibrations.longest_still_s(Recording({"thigh": turning}), 10.0) == 0.0
