"""Pieces of a recording by their content: what is sent again is found wherever it stands, and nothing else is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtm_firmware_sim.body import exercise
from rtm_server.pieces import GUARANTEE_S, WINDOW, Piece, Track, pieces, repeated, spans

KEY = b"of a clinic"
Raw = NDArray[Any]


def noise(seed: int, n: int, spread: int = 40) -> Raw:
    """A sensor in somebody's hand: a slow movement and noise on three axes."""
    rng = np.random.default_rng(seed)
    slow = 2000 * np.sin(np.arange(n)[:, None] / 90 + np.arange(3))
    return (slow + rng.normal(0, spread, (n, 3))).astype(np.int16)


def track(raw: Raw, rate_hz: float = 50.0, *, since_s: float = 0.0, first: int = 0) -> Track:
    return Track(raw, first + np.arange(len(raw)), since_s + np.arange(len(raw)) / rate_hz)


def hashes(found: list[Piece]) -> set[int]:
    return {each.hash for each in found}


@given(
    seed=st.integers(0, 2**32 - 1),
    rate_hz=st.sampled_from([12.5, 25.0, 52.0, 100.0, 285.7]),
    told=st.sampled_from([0.5, 1.0, 2.0]),
    at=st.floats(0, 1),
    before=st.integers(0, 900),
    after=st.integers(0, 900),
    longer=st.integers(0, 200),
    kind=st.sampled_from([np.int16, np.float32]),
)
def test_any_ten_seconds_are_found_at_any_offset(
    seed: int, rate_hz: float, told: float, at: float, before: int, after: int, longer: int, kind: type
) -> None:
    """told: the copy says it ran that many times faster; ten seconds are meant by the faster of the two clocks."""
    length = max(WINDOW, round(GUARANTEE_S * rate_hz * max(1.0, told))) + longer
    session = noise(seed, 4 * length)
    start = int(at * (len(session) - length))
    copy = np.concatenate([noise(seed + 1, before), session[start : start + length], noise(seed + 2, after)])
    known = hashes(pieces([track(session.astype(kind), rate_hz)], KEY))
    found = pieces([track(copy.astype(kind), told * rate_hz, since_s=1e5, first=7_000_000)], KEY)
    same = [each for each in found if each.hash in known]
    assert same
    # and every one of them lies in the copy, to the sample
    low, high = (1e5 + each / (told * rate_hz) for each in (before, before + length - 1))
    assert all(low - 1e-6 <= each.start_s <= each.end_s <= high + 1e-6 for each in same)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(WINDOW, 3000))
def test_two_sessions_have_nothing_in_common(seed: int, n: int) -> None:
    one, other = (pieces([track(noise(each, n))], KEY) for each in (seed, seed + 1))
    assert one
    assert other
    assert not hashes(one) & hashes(other)
    assert not repeated(one)


@given(pattern=st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=8), n=st.integers(0, 2000))
def test_a_sensor_at_rest_that_repeats_itself_is_no_piece(
    pattern: list[tuple[int, int, int]], n: int
) -> None:
    """Constant, or a few values over and over: two quiet sensors say the same without any copying."""
    raw = np.resize(np.array(pattern, dtype=np.int16), (n, 3))
    assert pieces([track(raw)], KEY) == []


def test_a_missing_sample_ends_a_run() -> None:
    raw = noise(3, 4000)
    whole = track(raw)
    torn = Track(raw, np.where(np.arange(4000) < 2000, 0, 1) + np.arange(4000), whole.t)
    known = hashes(pieces([whole], KEY))
    for each in pieces([torn], KEY):
        assert each.end_s < 2000 / 50 or each.start_s >= 2000 / 50
    assert hashes(pieces([torn], KEY)) & known


def test_without_the_key_hashes_say_nothing() -> None:
    raw = noise(4, 4000)
    assert not hashes(pieces([track(raw)], KEY)) & hashes(pieces([track(raw)], b"of another clinic"))


def test_a_loop_in_one_recording_is_found() -> None:
    """Negative control beside it: the same length without the loop."""
    loop = noise(5, 600)
    again = repeated(pieces([track(np.tile(loop, (5, 1)))], KEY))
    assert again
    (span,) = spans(again)
    assert span[0] < 36  # the second of five turns of 12 s has begun, and the last ends
    assert span[1] > 48
    assert repeated(pieces([track(noise(6, 3000))], KEY)) == []


def test_spans_join_what_one_copy_left() -> None:
    found = [Piece(1, 0.0, 1.0), Piece(2, 8.0, 9.0), Piece(3, 60.0, 61.0)]
    assert spans(found) == [(0.0, 9.0), (60.0, 61.0)]


def test_what_is_kept_is_bounded() -> None:
    """Of random hashes 2 in (width + 1) are kept: about a piece every five seconds, whatever the rate."""
    for rate_hz in (25.0, 100.0, 400.0):
        seconds = 600
        assert len(pieces([track(noise(7, int(seconds * rate_hz)), rate_hz)], KEY)) < 0.4 * seconds


def test_what_a_recording_says_of_its_rate_neither_thins_nor_multiplies() -> None:
    """A copy that claims a million samples a second, or one an hour, between fresh samples: found, and no more kept."""
    session = noise(10, 12_000)
    known = hashes(pieces([track(session)], KEY))
    copy = np.concatenate([noise(11, 20_000), session[1000:9000], noise(12, 20_000)])
    for rate_hz in (1e6, 1 / 3600):
        found = pieces([track(copy, rate_hz)], KEY)
        assert hashes(found) & known
        assert len(found) < len(copy) / 15
    standing = Track(copy, np.arange(len(copy)), np.zeros(len(copy)))
    assert hashes(pieces([standing], KEY)) & known


def test_too_short_or_empty_gives_nothing() -> None:
    assert pieces([], KEY) == []
    for n in (0, 1, WINDOW - 1):
        assert pieces([track(noise(8, n))], KEY) == []


@pytest.mark.parametrize("step", [1 / 4096, 1 / 128], ids=["fine", "coarse"])
def test_real_recordings_have_nothing_in_common(step: float) -> None:
    """False alarms: every accelerometer of the development recordings against every other, and against itself."""
    folder = os.environ.get("RTM_SHARED_DATA", "")
    if not Path(folder, "repetitions_shoulder.npz").is_file():
        pytest.skip("RTM_SHARED_DATA does not name the folder of development recordings")
    seen: dict[int, str] = {}
    for name in ("repetitions_shoulder", "repetitions_physical_therapy"):
        rates = {
            each["key"]: each["rate_hz"] for each in json.loads(Path(folder, f"{name}.json").read_text())
        }
        with np.load(Path(folder, f"{name}.npz")) as arrays:
            for key in (each for each in arrays.files if each.endswith("acc")):
                raw = np.round(arrays[key] / (9.80665 * step)).astype(np.int16)
                rate_hz = next((rate for start, rate in rates.items() if key.startswith(start)), 25.0)
                found = pieces([track(raw, float(rate_hz))], KEY)
                assert not repeated(found), key
                for one in hashes(found):
                    assert seen.setdefault(one, key) == key
    assert len(seen) > 1000


def test_simulated_sensors_have_nothing_in_common() -> None:
    """The body model: one exercise done by eight people with two sensors each, as a sensor of 16 g sends it."""
    seen: set[int] = set()
    for seed in range(8):
        motion = exercise("squat", repetitions=10, rate_hz=50.0, seed=seed, step_s=4e-3)
        for sensor in motion.recording.sensors.values():
            raw = np.round(sensor.acc / (9.80665 * 16 / 2**15)).astype(np.int16)
            found = pieces([Track(raw, np.arange(len(raw)), sensor.t)], KEY)
            assert found
            assert not repeated(found)
            assert not hashes(found) & seen
            seen |= hashes(found)


def test_of_the_rate_too_the_median_is_taken() -> None:
    """One jump of the clock in the recording moves no piece: what is kept is kept of the samples."""
    raw = noise(9, 4000)
    t = np.arange(4000) / 50 + np.where(np.arange(4000) > 1500, 3600.0, 0.0)
    jumped = pieces([Track(raw, np.arange(4000), t)], KEY)
    assert hashes(jumped) == hashes(pieces([track(raw)], KEY))
