"""What simulated sensors feel reaches the patient's page: the count and the knee's angle, over everything real."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from homestretch.demo import clinic as clinics
from homestretch.demo.cohort import Dose, PatientStory
from homestretch.demo.home import LiveHome, Remote, Wearing
from homestretch.demo.patient_page import PatientPage
from homestretch.demo.run import wait_for_pages
from homestretch.demo.standing import standing
from rtm_firmware_sim import body
from rtm_server.embedded_broker import free_port
from rtm_signal.recording_file import write_recording

EXERCISE, PLACEMENTS = "heel_slide", ("thigh", "shank")
REPETITIONS = 20
SPEED = 4.0


def _story() -> PatientStory:
    started = datetime.now(UTC).date() - timedelta(days=2)
    return PatientStory(
        0, "Liv", "Live", date(1950, 1, 1), "America/New_York", "live", started, PLACEMENTS,
        (Dose(EXERCISE, 1, 10),), (), (), (),
    )  # fmt: skip


def wide(angles: list[float]) -> bool:
    """A heel that slides bends the knee, once its axis is learned."""
    return bool(angles) and max(angles) - min(angles) > 40


@pytest.mark.timeout(240)
def test_count_and_angle_reach_the_page_of_a_signed_in_patient(tmp_path: Path) -> None:
    motion = body.exercise(EXERCISE, repetitions=REPETITIONS, rate_hz=50.0, seed=3, placements=PLACEMENTS)
    path = tmp_path / "worn.csv"
    write_recording(path, motion.recording)
    port = free_port()
    with standing(http_port=port) as platform:
        clinic = clinics.create(platform.store, (_story(),), datetime.now(UTC))
        platform.start("serve")
        wait_for_pages(port)
        wearing = Wearing(clinic.tenant, clinic.gateway, clinic.homes[0].sensors, path)
        home = LiveHome(platform, "live", wearing)
        home.start_gateway()
        remote = Remote(platform.mqtt_url, clinic.gateway)
        try:
            assert remote.wait_online(60)
        finally:
            remote.close()
        patient = PatientPage(port, clinic.sign_ins[1])
        recording = patient.start(EXERCISE)
        home.start_wearable(speed=SPEED)
        counts: list[int] = []
        angles: list[float] = []
        names: list[str] = []
        said: list[str] = []
        for event in patient.follow(recording, 120):
            names.append(event.name)
            if event.name == "count":
                counts.append(int(str(event.data["count"])))
            elif event.name == "angle":
                said.append(str(event.data["words"]))
                if said[-1] == "Knee angle" and event.data["angle_deg"] is not None:
                    angles.append(float(str(event.data["angle_deg"])))
            if counts and counts[-1] >= REPETITIONS - 1 and wide(angles):
                break
        words = platform.children.running[home.gateway_process].last_words(10)
        assert names[0] == "waiting", words
        assert max(counts) <= REPETITIONS + 1, counts
        assert counts, words
        assert counts[-1] >= REPETITIONS - 1, words
        assert "Knee angle" in said, words
        assert "Tilt" not in said[said.index("Knee angle") :], (
            "a tilt only while the second sensor is not there"
        )
        assert wide(angles), (words, angles)
        patient.stop(recording)
        assert [event.name for event in patient.follow(recording, 30)][-1] == "closed"
