"""The live angle of a joint: two sensors on their own clocks, against the body model's truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from rtm_firmware_sim import body
from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec
from rtm_gateway.live import TILT, Live, at_once
from rtm_gateway.live_joint import Dated, LiveJoint, joint_of, no_clock
from rtm_signal.chunk import Channel

RECORDING = UUID(int=61)
SENSORS = {"right_thigh": UUID(int=62), "right_shank": UUID(int=63)}
RATE_HZ = 100.0
ACC, GYR = 0.005, 0.001
IMU = StreamSpec(
    "imu",
    tuple(Channel(name, "m/s2", ACC) for name in ("ax", "ay", "az"))
    + tuple(Channel(name, "rad/s", GYR) for name in ("gx", "gy", "gz")),
    RATE_HZ,
    "int16",
)


@pytest.fixture(scope="module")
def knee() -> body.Motion:
    return body.exercise("squat", repetitions=5, rate_hz=RATE_HZ, seed=5, placements=("thigh", "shank"))


def blocks(motion: body.Motion, *, late_ns: int = 0, k: int = 10) -> Iterator[tuple[str, SampleBlock]]:
    """Blocks of both sensors in the order of their arrival; the shank's come later by `late_ns`."""
    made = []
    for place, name in (("right_thigh", "thigh"), ("right_shank", "shank")):
        samples = motion.recording.sensors[name]
        assert samples.gyr is not None
        values = np.rint(np.hstack([samples.acc / ACC, samples.gyr / GYR])).astype(np.int16)
        for at in range(0, len(values), k):
            part = values[at : at + k]
            arrival = round((at + len(part)) / RATE_HZ * 1e9) + (late_ns if place == "right_shank" else 0)
            made.append((arrival, place, SampleBlock("imu", 1, at, part, None, RATE_HZ, arrival)))
    for _, place, block in sorted(made, key=lambda each: each[:2]):
        yield place, block


def followed(motion: body.Motion, exercise: str | None, **given: Any) -> np.ndarray:
    """(n, 2): time of the newest sample of both sensors, s, and the angle then, degrees; NaN while there is none."""
    joint = LiveJoint(exercise, background=at_once)
    rows = []
    for place, block in blocks(motion, **given):
        joint.push(SENSORS[place], place, IMU, block)
        shown = np.nan if joint.angle_deg is None else joint.angle_deg
        rows.append(((block.first + len(block.values) - 1) / RATE_HZ, shown))
    assert joint.worn
    return np.array(rows)[1::2]  # when the second of the two has come


def test_the_knee_bends_on_the_page_as_it_bends(knee: body.Motion) -> None:
    t, shown = followed(knee, "squat").T
    known = np.isfinite(shown)
    first = int(np.flatnonzero(known)[0])
    assert first > 0, "before the axis is known no angle is said"
    assert known[first:].all(), "once it is known it stays"
    truth = np.interp(t, knee.t, knee.angle_deg) - knee.angle_deg[0]
    squats = (t > knee.repetitions[1].start_s) & (t < knee.repetitions[-1].end_s)
    assert np.percentile(np.abs(shown - truth)[squats], 90) < 5.0
    assert np.ptp(shown[squats]) == pytest.approx(np.ptp(truth[squats]), abs=8)


def test_a_radio_that_holds_one_sensor_back_changes_little(knee: body.Motion) -> None:
    """Without a fit its samples are dated by their arrival, 40 ms late."""
    even, odd = followed(knee, "squat")[:, 1], followed(knee, "squat", late_ns=40_000_000)[:, 1]
    half = len(even) // 2
    assert np.ptp(odd[half:]) == pytest.approx(np.ptp(even[half:]), abs=10)


def test_time_is_slewed_and_never_runs_back() -> None:
    """Arrivals that jitter by 30 ms move the times by at most half a sample a block."""
    dated, arrivals = Dated(UUID(int=1), no_clock), np.random.default_rng(1).uniform(0, 30e6, 50)
    last = -np.inf
    for number, late in enumerate(arrivals):
        arrival = round((number + 1) * 1e8 + late)
        block = SampleBlock("imu", 1, number * 10, np.zeros((10, 6), np.int16), None, RATE_HZ, arrival)
        t = dated.times(IMU, block)
        assert t[0] > last
        assert t[0] - last < 0.0151 or number == 0
        last = float(t[-1])


def test_the_live_topic_names_the_angle() -> None:
    """Few samples: what is said is checked here, how well is checked above."""
    motion = body.exercise("squat", repetitions=1, rate_hz=RATE_HZ, seed=5, placements=("thigh", "shank"))
    few = [each for each, _ in zip(blocks(motion), range(24), strict=False)]
    said: list[Mapping[str, Any]] = []
    live = Live(said.append)
    for place, block in few:
        live.on_block(RECORDING, "squat", SENSORS[place], IMU, block, placement=place)
    assert {each["angle"] for each in said[2:]} == {"knee_flexion"}
    assert said[-1]["angle_deg"] is None, "the axis is not known yet"
    said.clear()
    other = UUID(int=64)
    for place, block in few:
        where = "left_thigh" if place == "right_thigh" else place
        live.on_block(other, "squat", SENSORS[place], IMU, block, placement=where)
    assert {each["angle"] for each in said} == {TILT}, "a left thigh and a right shank have no joint"
    assert all(each["angle_deg"] is not None for each in said)
    said.clear()
    for place, block in few:
        old = SampleBlock("imu", 1, block.first, block.values, None, RATE_HZ, block.arrival_ns, Flag.FLASH)
        live.on_block(other, "squat", SENSORS[place], IMU, old, placement=place)
    assert said == [], "history is not live"


@pytest.mark.parametrize(
    ("placements", "exercise", "found"),
    [
        (("shank", "thigh"), "squat", (("thigh", "shank"), "knee_flexion")),
        (("right_shank", "right_thigh"), "heel_slide", (("right_thigh", "right_shank"), "knee_flexion")),
        (("right_shank", "thigh"), "squat", (("thigh", "right_shank"), "knee_flexion")),
        (("shank", "thigh"), None, (("thigh", "shank"), "joint")),
        (("shank", "thigh"), "no such exercise", (("thigh", "shank"), "joint")),
        (("shank", "thigh"), "biceps_curl", None),
        (("left_shank", "right_thigh"), "squat", None),
        (("head", "foot"), None, None),
        (("thigh",), "squat", None),
    ],
)
def test_which_joint(placements: tuple[str, ...], exercise: str | None, found: object) -> None:
    assert joint_of(placements, exercise) == found
