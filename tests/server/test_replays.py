"""A piece of an earlier session sent again is shown and its day held, however it is dressed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray

from rtm_server import analyses, enrol, jobs, ledger
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
    send_recording,
    squat_like,
)
from rtm_signal import chunk as chunks

RATE = 50.0
LONG = squat_like(int(106 * RATE), RATE)  # 25 movements of 4 s
OTHER = squat_like(int(46 * RATE), RATE, seed=1)


def morning(clinic: Clinic, days_ago: int) -> datetime:
    day = datetime.now(ZoneInfo(clinic.zone)).date() - timedelta(days=days_ago)
    return datetime(day.year, day.month, day.day, 10, 2, tzinfo=ZoneInfo(clinic.zone))


def newest(clinic: Clinic, recording: UUID) -> dict[str, Any]:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute("SELECT * FROM analysis_current WHERE recording_id = %s", (recording,)).fetchone()
    assert row is not None
    return row


def send(clinic: Clinic, values: NDArray[np.int16], days_ago: int, boot: int) -> dict[str, Any]:
    """Send and analyse; the result."""
    recording = send_recording(clinic, values, opened=morning(clinic, days_ago), boot=boot)
    analyses.analyse(clinic.store, clinic.tenant, recording)
    return newest(clinic, recording)


def held_days(clinic: Clinic) -> Sequence[str]:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        case = ledger.case(tx, clinic.tenant, clinic.episode, datetime.now(UTC).date() + timedelta(days=1))
    return [each["at"][:10] for each in case["data"] if "doubt" in each]


def another_sensor(clinic: Clinic, episode: UUID | None = None) -> Clinic:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        sensor = enrol.add_sensor(tx, clinic.tenant, "homestretch", simulated=False)
        enrol.assign(
            tx, clinic.tenant, sensor, episode or clinic.episode, "wrist", assigned_from=clinic.since,
            gateway=clinic.gateway,
        )  # fmt: skip
    return replace(clinic, sensor=sensor, stream=chunks.stream_id(sensor, "imu"))


def test_a_piece_sent_again_holds_its_day(clinic: Clinic) -> None:
    assert send(clinic, LONG, 3, 1)["kind"] == "sensor"
    piece = LONG[333 : 333 + int(70 * RATE)]
    again = send(another_sensor(clinic), piece, 1, 9)  # another start, other borders, day, sensor and boot
    assert again["kind"] is None
    (doubt,) = again["doubts"]
    then = morning(clinic, 3)
    assert doubt.startswith("at least 1 minute of it, from 10:02 on, are the same samples as those of ")
    assert doubt.endswith(f"{then:%Y-%m-%d}, 10:02")
    assert held_days(clinic) == [f"{morning(clinic, 1):%Y-%m-%d}"]


def test_hidden_between_fresh_samples_it_is_found_and_its_place_told(clinic: Clinic) -> None:
    send(clinic, LONG, 3, 1)
    mixed = np.concatenate([OTHER, LONG[1000 : 1000 + int(20 * RATE)], OTHER[::-1]])
    (doubt,) = send(clinic, mixed, 1, 2)["doubts"]
    assert "seconds of it, from 10:02 on" in doubt or "seconds of it, from 10:03 on" in doubt


def test_fresh_samples_are_no_replay(clinic: Clinic) -> None:
    """The negative control: the same movement on three days, each with its own noise."""
    for days_ago in (3, 2, 1):
        values = squat_like(len(LONG), RATE, seed=days_ago)
        assert send(clinic, values, days_ago, days_ago)["kind"] == "sensor"
    assert held_days(clinic) == []


def test_another_patients_samples_are_told_without_a_name(clinic: Clinic) -> None:
    store = clinic.store
    send(clinic, LONG, 3, 1)
    with store.tenant_tx(clinic.tenant) as tx:
        patient = enrol.create_patient(store, tx, clinic.tenant, {"name": "Kim Other", "record_number": "R2"})
        episode = enrol.create_episode(
            store, tx, clinic.tenant, patient, timezone="America/Chicago", started=clinic.since.date(),
            therapist=clinic.therapist, device_basis="test",
        )  # fmt: skip
    other = replace(another_sensor(clinic, episode), patient=patient, episode=episode)
    (doubt,) = send(other, LONG[500 : 500 + int(60 * RATE)], 1, 1)["doubts"]
    assert "the same samples as another patient's of" in doubt
    assert "Kim" not in doubt
    assert "Pat" not in doubt


def test_without_its_gyroscope_and_on_another_placement_a_copy_is_one(clinic: Clinic) -> None:
    send(clinic, LONG, 3, 1)
    other = another_sensor(clinic)
    opened, values = morning(clinic, 1), LONG[500 : 500 + int(60 * RATE), :3]
    manifest = make_manifest(other, opened=opened, boot=1, last=len(values) - 1, rate_hz=RATE)
    manifest = replace(manifest, streams=(replace(manifest.streams[0], placement="shank"),))
    encoded = make_chunks(other, values, opened=opened, boot=1)
    commit_group(clinic.store, [make_batch(other, *encoded, manifest.to_json())], datetime.now(UTC))
    analyses.analyse(clinic.store, clinic.tenant, manifest.recording)
    assert "same samples" in "; ".join(newest(clinic, manifest.recording)["doubts"])


def test_another_clinic_knows_nothing_of_it(clinic: Clinic) -> None:
    send(clinic, LONG, 3, 1)
    stranger = make_clinic(clinic.store)
    assert send(stranger, LONG, 1, 1)["kind"] == "sensor"
    hashes = []
    for each in (clinic, stranger):
        with each.store.tenant_tx(each.tenant) as tx:
            hashes.append({row["hash"] for row in tx.execute("SELECT hash FROM piece")})
    assert all(hashes)
    assert not hashes[0] & hashes[1]


def test_a_loop_is_in_doubt(clinic: Clinic) -> None:
    turn = LONG[int(3 * RATE) : int(15 * RATE)]  # three movements
    result = send(clinic, np.concatenate([LONG[: int(3 * RATE)], np.tile(turn, (4, 1))]), 1, 1)
    (doubt,) = result["doubts"]
    assert "stand in it more than once" in doubt


def test_of_two_that_hold_the_same_one_counts_whatever_came_first(clinic: Clinic) -> None:
    first = send_recording(clinic, LONG, opened=morning(clinic, 3), boot=1)
    second = send_recording(clinic, LONG[200:4800], opened=morning(clinic, 2), boot=2)
    for recording in (second, first, second, first):  # the newest first, as the queue has it
        with clinic.store.tenant_tx(clinic.tenant) as tx:
            analyses.set_aside(tx, clinic.tenant, recording, None)  # analysed anew
        analyses.analyse(clinic.store, clinic.tenant, recording)
    assert [newest(clinic, each)["kind"] for each in (first, second)].count("sensor") == 1


def test_an_original_that_does_not_count_holds_its_copy_all_the_same(clinic: Clinic) -> None:
    """A calibration makes no day; sent again as exercise, it still makes none."""
    recording = send_recording(clinic, LONG, opened=morning(clinic, 3), boot=1, calibration=True)
    analyses.analyse(clinic.store, clinic.tenant, recording)
    assert send(clinic, LONG[100:5000], 1, 2)["kind"] is None


def test_simulated_sensors_are_not_judged(store: Store) -> None:
    """Their days are tests; a simulator may play one recording for ever."""
    demo = make_clinic(store, simulated=True, simulated_counts=True)
    assert send(demo, LONG, 2, 1)["kind"] == "test"
    assert send(demo, LONG[500:], 1, 2)["kind"] == "test"


def test_chunk_borders_and_arrival_in_parts_change_nothing(clinic: Clinic) -> None:
    """The copy comes in chunks of 1.7 s, the last of them after the first analysis."""
    send(clinic, LONG, 3, 1)
    opened, values = morning(clinic, 1), LONG[450 : 450 + int(50 * RATE)]
    encoded = make_chunks(clinic, values, opened=opened, boot=2, chunk_s=1.7)
    manifest = make_manifest(clinic, opened=opened, boot=2, last=len(values) - 1, rate_hz=RATE)
    for part in ([*encoded[:-9], manifest.to_json()], encoded[-9:]):
        commit_group(clinic.store, [make_batch(clinic, *part)], datetime.now(UTC))
        analyses.analyse(clinic.store, clinic.tenant, manifest.recording)
    assert "same samples" in newest(clinic, manifest.recording)["doubts"][0]


def test_recordings_of_before_are_taken_in_by_the_sweep(
    clinic: Clinic, settings: Settings, store: Store, database: Database
) -> None:
    send(clinic, LONG, 3, 1)
    with store.tenant_tx(clinic.tenant) as tx:  # as an upgrade finds it
        tx.execute("DELETE FROM piece")
        tx.execute("UPDATE recording SET pieces_kept = false")
    jobs.Worker(settings, store, database.dsn).run(until_idle=True)
    with store.tenant_tx(clinic.tenant) as tx:
        assert tx.execute("SELECT count(*) > 0 AS some FROM piece").fetchone() == {"some": True}
        assert tx.execute("SELECT count(*) AS n FROM analysis").fetchone() == {"n": 1}
    assert jobs.sweep(store) == 0
    assert send(clinic, LONG[300:5000], 1, 2)["kind"] is None


@pytest.mark.parametrize("seconds", [5.0, 9.0])
def test_a_common_stretch_below_the_limit_may_be_missed_and_breaks_nothing(
    clinic: Clinic, seconds: float
) -> None:
    send(clinic, LONG, 3, 1)
    n = int(seconds * RATE)
    result = send(clinic, np.concatenate([LONG[2000 : 2000 + n], OTHER]), 1, 2)
    assert all("second" in each for each in result["doubts"])
