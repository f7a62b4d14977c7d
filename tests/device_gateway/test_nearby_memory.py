"""What a sensor holds when it comes into a home is not this patient's: the set-up passes it by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from rtm_gateway.drivers import StoredRun
from rtm_gateway.file_recordings import passed_by, state_name
from rtm_gateway.nearby import NearbySensor
from rtm_gateway.outbox import Outbox
from rtm_gateway.radio import open_radio
from rtm_gateway.stored_spans import StoredSpans

SENSOR = UUID(int=91)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db", bytes(32), limit_bytes=1 << 28)
    yield box
    box.close()


def nearby(profile: str, *memory: StoredRun, waved: dict[tuple[str, int], tuple[int, int]]) -> NearbySensor:
    """A sensor as it is when the set-up leaves it: what it lists, and what was seen while it was waved."""
    found = BLEDevice("C0:00:00:00:00:01", None, None), AdvertisementData(None, {}, {}, [], None, -60, ())
    sensor = NearbySensor(found, profile, open_radio("native"), lambda *_: None)
    sensor._memory, sensor._seen = memory, waved
    return sensor


def spans(outbox: Outbox) -> dict[tuple[str, int], list[tuple[int, int]]]:
    kept = StoredSpans()
    kept.load(SENSOR, outbox.recall(f"kept:{SENSOR}"))
    return {key: list(value) for key, value in kept.have(SENSOR).items()}


OLD, NOW = StoredRun("imu", 4, 100, 900), StoredRun("imu", 5, 0, 300)


def test_a_new_sensors_samples_of_before_are_passed_by(outbox: Outbox) -> None:
    nearby("homestretch", OLD, NOW, waved={("imu", 5): (50, 300)}).forget_in(outbox, SENSOR)
    assert spans(outbox) == {("imu", 4): [(100, 900)], ("imu", 5): [(0, 300)]}


def test_of_a_sensor_that_is_known_here_only_what_was_waved(outbox: Outbox) -> None:
    outbox.put([], {f"kept:{SENSOR}": json.dumps([["imu", 4, [[0, 500]]]]).encode()})
    nearby("homestretch", OLD, NOW, waved={("imu", 5): (50, 300)}).forget_in(outbox, SENSOR)
    assert spans(outbox) == {("imu", 4): [(0, 500)], ("imu", 5): [(50, 300)]}


def test_files_of_before_are_passed_by_once(outbox: Outbox) -> None:
    nearby("capture2go", StoredRun("", 0, 0, 77, "walk"), waved={}).forget_in(outbox, SENSOR)
    assert outbox.recall(state_name(SENSOR)) == passed_by({"walk": 77})
    later = nearby("capture2go", StoredRun("", 0, 0, 99, "stairs"), waved={("imu9", 1): (0, 10)})
    later.forget_in(outbox, SENSOR)
    assert outbox.recall(state_name(SENSOR)) == passed_by({"walk": 77}), "what came since is the patient's"


def test_a_sensor_without_memory_leaves_nothing_behind(outbox: Outbox) -> None:
    nearby("witmotion", waved={("imu", 1): (0, 10)}).forget_in(outbox, SENSOR)
    assert outbox.recall(state_name(SENSOR)) is None
    assert outbox.recall(f"kept:{SENSOR}") is None
