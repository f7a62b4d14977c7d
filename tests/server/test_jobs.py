"""From committed chunks to a day: the worker, the roll-up in the same transaction, dates in the patient's zone."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest

from rtm_server import analyses, enrol, jobs, migrate, rollup
from rtm_server.crypto import MasterKey
from rtm_server.embedded_postgres import EmbeddedPostgres
from rtm_server.ingest import commit_group
from rtm_server.settings import Settings
from rtm_server.store import Store
from rtm_server.testing import (
    Clinic,
    Database,
    make_batch,
    make_chunks,
    make_clinic,
    make_manifest,
    scratch_folder,
    send_recording,
    squat_like,
)
from rtm_signal import analysis as pipeline

RATE = 50.0
VALUES = squat_like(int(46 * RATE), RATE)  # 10 movements of 4 s, 3 s of rest before and after


def today(zone: str, *, hour: int = 10, days_ago: int = 1) -> datetime:
    day = datetime.now(ZoneInfo(zone)).date() - timedelta(days=days_ago)
    return datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(zone))


def daily(clinic: Clinic) -> list[dict[str, Any]]:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        return tx.execute("SELECT * FROM daily ORDER BY local_day, exercise").fetchall()


def current(clinic: Clinic, recording: UUID) -> dict[str, Any]:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute("SELECT * FROM analysis_current WHERE recording_id = %s", (recording,)).fetchone()
    assert row is not None
    return row


def test_the_worker_makes_a_day_of_a_recording(
    clinic: Clinic, settings: Settings, store: Store, database: Database
) -> None:
    recording = send_recording(clinic, VALUES, opened=today(clinic.zone), boot=1)
    jobs.Worker(settings, store, database.dsn).run(until_idle=True)
    (day,) = daily(clinic)
    assert day["kind"] == "sensor"
    assert day["local_day"] == today(clinic.zone).date()
    assert day["zone"] == clinic.zone
    assert day["recordings"] == 1
    assert 9 <= day["repetitions"] <= 11
    assert day["repetitions"] == current(clinic, recording)["repetitions"]
    with store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute("SELECT state FROM recording").fetchone()
    assert row == {"state": "analysed"}


def test_analysing_again_writes_nothing(clinic: Clinic) -> None:
    recording = send_recording(clinic, VALUES, opened=today(clinic.zone), boot=1)
    assert analyses.analyse(clinic.store, clinic.tenant, recording)
    before = daily(clinic)
    assert not analyses.analyse(clinic.store, clinic.tenant, recording)
    assert daily(clinic) == before


def test_late_data_give_a_second_result_and_the_first_stays(clinic: Clinic) -> None:
    opened = today(clinic.zone)
    sent = make_chunks(clinic, VALUES, opened=opened, boot=1)
    manifest = make_manifest(clinic, opened=opened, boot=1, last=len(VALUES) - 1, lost=((1000, 1249),))
    commit_group(
        clinic.store, [make_batch(clinic, *sent[:4], *sent[5:], manifest.to_json())], datetime.now(UTC)
    )
    assert analyses.analyse(clinic.store, clinic.tenant, manifest.recording)
    commit_group(clinic.store, [make_batch(clinic, sent[4])], datetime.now(UTC))
    assert analyses.analyse(clinic.store, clinic.tenant, manifest.recording)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        rows = tx.execute("SELECT analysis_no, data_version FROM analysis ORDER BY 1").fetchall()
    assert [row["analysis_no"] for row in rows] == [1, 2]
    assert len(daily(clinic)) == 1
    assert daily(clinic)[0]["recordings"] == 1


def test_a_calibration_is_no_day_and_the_prescription_is_measured_against_the_newest(clinic: Clinic) -> None:
    def calibration_of(exercise: str) -> tuple[UUID | None, int | None]:
        with clinic.store.tenant_tx(clinic.tenant) as tx:
            row = tx.execute(
                "SELECT calibration_recording_id, calibration_repetitions FROM prescription WHERE exercise = %s",
                (exercise,),
            ).fetchone()
        assert row is not None
        return row["calibration_recording_id"], row["calibration_repetitions"]

    with clinic.store.tenant_tx(clinic.tenant) as tx:
        for exercise in ("squat", "bridge"):
            enrol.prescribe(
                tx, clinic.tenant, clinic.episode, exercise,
                repetitions=10, valid_from=today(clinic.zone, days_ago=5).date(), by=clinic.therapist,
            )  # fmt: skip
    newer = send_recording(clinic, VALUES, opened=today(clinic.zone), boot=1, calibration=True)
    older = send_recording(
        clinic, VALUES[::-1], opened=today(clinic.zone, days_ago=2), boot=2, calibration=True
    )
    for recording in (newer, older):
        assert analyses.analyse(clinic.store, clinic.tenant, recording)
        result = current(clinic, recording)
        assert (result["kind"], result["doubts"]) == (None, ["a calibration, not exercise"])
    assert daily(clinic) == []
    assert calibration_of("squat") == (newer, current(clinic, newer)["repetitions"])
    assert calibration_of("bridge") == (None, None)


def test_two_recordings_of_a_day_are_one_day(clinic: Clinic) -> None:
    first = send_recording(clinic, VALUES, opened=today(clinic.zone, hour=8), boot=1)
    other = squat_like(len(VALUES), RATE, period_s=5.0)
    second = send_recording(clinic, other, opened=today(clinic.zone, hour=20), boot=2)
    for recording in (first, second):
        analyses.analyse(clinic.store, clinic.tenant, recording)
    (day,) = daily(clinic)
    assert day["recordings"] == 2
    assert day["repetitions"] == sum(current(clinic, each)["repetitions"] for each in (first, second))
    assert day["first_at"] < day["last_at"] - timedelta(hours=11)


def test_a_day_is_the_patients_not_the_clinics(store: Store) -> None:
    far = make_clinic(store, zone="Pacific/Auckland")
    opened = today("Pacific/Auckland", hour=1)  # the day before in New York and in UTC
    recording = send_recording(far, VALUES, opened=opened, boot=1)
    analyses.analyse(store, far.tenant, recording)
    assert daily(far)[0]["local_day"] == opened.date()
    assert opened.astimezone(UTC).date() < opened.date()


def test_moving_zone_does_not_redate_the_past(clinic: Clinic) -> None:
    opened = today(clinic.zone, hour=23)
    recording = send_recording(clinic, VALUES, opened=opened, boot=1)
    analyses.analyse(clinic.store, clinic.tenant, recording)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        tx.execute("UPDATE episode SET timezone = 'Pacific/Kiritimati'")
        analyses.set_aside(tx, clinic.tenant, recording, None)
    assert analyses.analyse(clinic.store, clinic.tenant, recording)
    assert [(day["local_day"], day["zone"]) for day in daily(clinic)] == [(opened.date(), clinic.zone)]


@pytest.mark.parametrize("offset", [timedelta(days=40), timedelta(days=-8), timedelta(days=-20000)])
def test_a_wrong_clock_is_stored_and_makes_no_day(clinic: Clinic, offset: timedelta) -> None:
    recording = send_recording(clinic, VALUES, opened=datetime.now(UTC) + offset, boot=1)
    analyses.analyse(clinic.store, clinic.tenant, recording)
    assert daily(clinic) == []
    result = current(clinic, recording)
    assert result["repetitions"] > 0
    assert "clock" in result["doubts"][0]


def test_nothing_counted_is_no_day(clinic: Clinic) -> None:
    lying = squat_like(2000, RATE, rest_s=1e6)
    recording = send_recording(clinic, lying, opened=today(clinic.zone), boot=1)
    analyses.analyse(clinic.store, clinic.tenant, recording)
    assert daily(clinic) == []
    assert current(clinic, recording)["doubts"] == ["nothing was counted"]


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_same_samples_under_another_name_make_no_second_day(clinic: Clinic, newest_first: bool) -> None:
    recordings = [
        send_recording(clinic, VALUES, opened=today(clinic.zone, days_ago=days_ago), boot=days_ago)
        for days_ago in (2, 1)
    ]
    if newest_first:  # as the queue has it
        recordings.reverse()
    for recording in recordings:
        analyses.analyse(clinic.store, clinic.tenant, recording)
    assert len(daily(clinic)) == 1
    assert "under another name" in current(clinic, recordings[1])["doubts"][0]
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        analyses.set_aside(tx, clinic.tenant, recordings[0], None)
    analyses.analyse(clinic.store, clinic.tenant, recordings[0])  # again: it still counts
    assert len(daily(clinic)) == 1


def test_a_simulated_sensor_makes_test_days(store: Store) -> None:
    simulated = make_clinic(store, simulated=True)
    recording = send_recording(simulated, VALUES, opened=today(simulated.zone), boot=1)
    analyses.analyse(store, simulated.tenant, recording)
    assert [day["kind"] for day in daily(simulated)] == ["test"]


def test_the_demos_history_may_be_older_than_its_arrival(store: Store) -> None:
    demo = make_clinic(store, simulated=True, simulated_counts=True)
    recording = send_recording(demo, VALUES, opened=today(demo.zone, days_ago=45), boot=1)
    analyses.analyse(store, demo.tenant, recording)
    assert [day["kind"] for day in daily(demo)] == ["test"]


def test_an_artefact_is_set_aside_and_kept(clinic: Clinic) -> None:
    recording = send_recording(clinic, VALUES, opened=today(clinic.zone), boot=1)
    analyses.analyse(clinic.store, clinic.tenant, recording)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        analyses.set_aside(tx, clinic.tenant, recording, "worn on the other leg")
    analyses.analyse(clinic.store, clinic.tenant, recording)
    assert daily(clinic) == []
    assert current(clinic, recording)["repetitions"] > 0


def test_an_unknown_exercise_is_counted_as_generic_and_says_so(clinic: Clinic) -> None:
    recording = send_recording(clinic, VALUES, opened=today(clinic.zone), boot=1, exercise="moonwalk")
    analyses.analyse(clinic.store, clinic.tenant, recording)
    result = current(clinic, recording)
    assert result["exercise"] == "generic"
    assert result["result"]["withheld"][0]["why"] == "the exercise moonwalk is not in the catalogue"


def test_the_sweep_finds_what_lost_its_job(clinic: Clinic) -> None:
    recording = send_recording(clinic, VALUES, opened=today(clinic.zone), boot=1)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        tx.execute("DELETE FROM procrastinate_jobs WHERE lock = %s", (str(recording),))
    jobs.sweep(clinic.store)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        waiting = tx.execute(
            "SELECT status::text FROM procrastinate_jobs WHERE lock = %s", (str(recording),)
        ).fetchall()
    assert waiting == [{"status": "todo"}]


def test_the_job_of_a_killed_worker_is_done_by_the_next(
    clinic: Clinic, settings: Settings, store: Store, database: Database
) -> None:
    recording = send_recording(clinic, VALUES, opened=today(clinic.zone), boot=1)
    with store.tenant_tx(clinic.tenant) as tx:  # as kill -9 leaves it
        worker = tx.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '5 minutes') RETURNING id"
        ).fetchone()
        assert worker is not None
        tx.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE lock = %s",
            (worker["id"], str(recording)),
        )
    jobs.Worker(settings, store, database.dsn).run(until_idle=True)
    assert current(clinic, recording)["repetitions"] > 0


def test_the_worker_survives_the_database(settings: Settings, tmp_path: Path) -> None:
    """Killed with -9 and restarted, while the worker waits; then there is something to do."""
    folder = scratch_folder("rtm-worker-")
    with EmbeddedPostgres(folder / "pg") as server:
        migrate.upgrade(server.owner_dsn)
        with Store(server.dsn, MasterKey(bytes(32))) as own:
            clinic = make_clinic(own)
            worker = jobs.Worker(settings, own, server.dsn)
            thread = threading.Thread(target=worker.run)
            thread.start()
            first = send_recording(clinic, VALUES, opened=today(clinic.zone), boot=1)
            wait_for_result(clinic, first)
            pid = server.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            while server.pid == pid:
                time.sleep(0.01)
            server.start()
            other = squat_like(len(VALUES), RATE, period_s=5.0)
            second = send_recording(clinic, other, opened=today(clinic.zone, hour=20), boot=2)
            wait_for_result(clinic, second)
            worker.stop()
            thread.join()
    shutil.rmtree(folder)


def wait_for_result(clinic: Clinic, recording: UUID) -> None:
    while True:
        with clinic.store.tenant_tx(clinic.tenant) as tx:
            if tx.execute("SELECT 1 FROM analysis WHERE recording_id = %s", (recording,)).fetchone():
                return
        time.sleep(0.05)


def test_a_recording_that_broke_the_pipeline_is_analysed_once_the_pipeline_is_mended(
    clinic: Clinic, store: Store, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = send_recording(clinic, VALUES, opened=today(clinic.zone), boot=1)

    def state() -> str:
        with store.tenant_tx(clinic.tenant) as tx:
            row = tx.execute("SELECT state FROM recording WHERE recording_id = %s", (recording,)).fetchone()
        assert row is not None
        return str(row["state"])

    with monkeypatch.context() as broken:
        broken.setattr(pipeline, "analyze", lambda *_, **__: 1 / 0)
        jobs.Worker(settings, store, database.dsn).run(until_idle=True)
    assert state() == "failed"
    jobs.sweep(store, renew=True)
    jobs.Worker(settings, store, database.dsn).run(until_idle=True)
    assert state() == "analysed"


def test_a_worker_without_its_database_stops_when_told_to(
    store: Store, settings: Settings, database: Database
) -> None:
    worker = jobs.Worker(settings, store, database.dsn)
    worker.run(until_idle=True)  # its event loop has ended, as when the database went away
    worker.stop()


def test_a_prescription_begins_on_the_patients_day(store: Store) -> None:
    far = make_clinic(store, zone="Pacific/Auckland")
    opened = today(
        "Pacific/Auckland", hour=1
    )  # the day before in UTC, when the prescription did not hold yet
    with store.tenant_tx(far.tenant) as tx:
        enrol.prescribe(
            tx, far.tenant, far.episode, "squat", repetitions=10, valid_from=opened.date(), by=far.therapist
        )
        enrol.prescribe(
            tx, far.tenant, far.episode, "squat", repetitions=8, by=far.therapist,
            valid_from=opened.date() - timedelta(days=9), valid_to=opened.date() - timedelta(days=1),
        )  # fmt: skip
    taught = send_recording(far, VALUES, opened=opened, boot=1, calibration=True)
    assert analyses.analyse(store, far.tenant, taught)
    with store.tenant_tx(far.tenant) as tx:
        rows = tx.execute(
            "SELECT repetitions, calibration_recording_id AS taught FROM prescription ORDER BY 1"
        )
        assert [(row["repetitions"], row["taught"]) for row in rows] == [(8, None), (10, taught)]
    done = send_recording(far, VALUES[:-1], opened=opened + timedelta(minutes=5), boot=2)
    with store.tenant_tx(far.tenant) as tx:
        row = tx.execute(analyses._TASK, (far.tenant, done)).fetchone()
    assert row is not None
    assert row["calibration_recording_id"] == taught


def test_a_calibration_that_cannot_be_read_does_not_cost_the_recording(clinic: Clinic) -> None:
    opened = today(clinic.zone)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        enrol.prescribe(
            tx, clinic.tenant, clinic.episode, "squat", repetitions=10, by=clinic.therapist,
            valid_from=opened.date() - timedelta(days=1),
        )  # fmt: skip
        tx.execute(
            "UPDATE prescription SET calibration_recording_id = %s, calibration_repetitions = 5", (uuid4(),)
        )
    recording = send_recording(clinic, VALUES, opened=opened, boot=1)
    assert analyses.analyse(clinic.store, clinic.tenant, recording)
    result = current(clinic, recording)
    assert result["repetitions"] >= 9
    assert "calibration" in [each["what"] for each in result["result"]["withheld"]]


def test_minutes_of_a_day_are_added_in_the_order_of_the_day(clinic: Clinic, database: Database) -> None:
    """Floats: 1 + 1 + 2^24 is not 2^24 + 1 + 1, and `rtm verify` compares to the last digit."""
    minutes = {12: 1.0, 10: 1.0, 8: 2.0**24}
    for boot, hour in enumerate(minutes):
        values = squat_like(len(VALUES), RATE, period_s=4.0 + 0.3 * boot)
        recording = send_recording(clinic, values, opened=today(clinic.zone, hour=hour), boot=boot)
        assert analyses.analyse(clinic.store, clinic.tenant, recording)
        with psycopg.connect(database.superuser_dsn) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(
                "UPDATE analysis SET minutes = %s WHERE recording_id = %s", (minutes[hour], recording)
            )
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        rollup.renew(tx, clinic.tenant, clinic.patient, [today(clinic.zone).date()])
    assert daily(clinic)[0]["minutes"] == 2.0**24
