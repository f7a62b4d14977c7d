"""Flash ring, clock, playback and the entry point, without a radio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_firmware_sim.clock import Clock, Crystal
from rtm_firmware_sim.errors import SimulatorError
from rtm_firmware_sim.flash import EMPTIED_KEPT, FlashRing
from rtm_firmware_sim.playback import Playback, Sampler, track_of
from rtm_firmware_sim.simulate import run
from rtm_signal.recording import Recording, SensorRecording
from rtm_signal.recording_file import write_recording

Moving = Callable[..., SensorRecording]


def rows(first: int, n: int) -> tuple[Any, Any, Any]:
    index = np.arange(first, first + n)
    return (
        index,
        np.repeat((index % 30000).astype(np.int16)[:, None], 6, axis=1),
        (index * 3).astype(np.uint64),
    )


@given(st.lists(st.tuples(st.sampled_from("wfnh"), st.integers(1, 70)), max_size=30), st.integers(1, 100))
@settings(max_examples=80, deadline=None)
def test_the_ring_holds_the_newest_that_is_not_freed(steps: list[tuple[str, int]], capacity: int) -> None:
    """Against a plain list: w writes, h leaves a hole, f frees, n begins a new boot."""
    ring = FlashRing(capacity)
    boot, following = 1, 0
    ring.open_run(boot)
    written: list[tuple[int, int]] = []
    freed: set[tuple[int, int]] = set()
    for what, n in steps:
        if what == "w":
            ring.write(*rows(following, n))
            written += [(boot, i) for i in range(following, following + n)]
        if what in "wh":
            following += n
        elif what == "f":
            ring.free(boot, following - n)
            freed |= {key for key in written if key[0] == boot and key[1] < following - n}
        else:
            boot, following = boot + 1, 0
            ring.open_run(boot)
    held = [key for key in written[-capacity:] if key not in freed]
    for number in range(1, boot + 1):
        found: list[int] = []
        while (stored := ring.read(number, found[-1] + 1 if found else 0, 100_000)) is not None:
            indices = list(range(stored.first, stored.first + stored.ticks.size))
            assert stored.samples[:, 0].tolist() == [i % 30000 for i in indices]
            assert stored.ticks.tolist() == [3 * i for i in indices]
            found += indices
        assert found == [i for b, i in held if b == number]
        assert ring.oldest(number) == (found[0] if found else None)


def test_overwriting_is_told_until_something_is_freed() -> None:
    ring = FlashRing(10)
    ring.open_run(1)
    ring.write(*rows(0, 8))
    assert (ring.overwritten, ring.oldest(1), ring.used()) == (False, 0, 0.8)
    ring.write(*rows(8, 5))
    assert (ring.overwritten, ring.oldest(1)) == (True, 3)
    ring.free(1, 6)
    assert (ring.overwritten, ring.oldest(1)) == (False, 6)
    ring.open_run(2)
    ring.write(*rows(0, 25))
    assert (ring.oldest(1), ring.oldest(2), ring.overwritten) == (None, 15, True)


def test_a_boot_that_was_overwritten_as_a_whole_keeps_its_end_until_it_is_freed() -> None:
    ring = FlashRing(10)
    ring.open_run(1)
    ring.write(*rows(0, 8))
    ring.free(1, 3)
    ring.open_run(2)
    ring.write(*rows(0, 4))
    assert ring.listed() == [(1, 3, 8, 9), (2, 0, 4, 0)]
    ring.write(*rows(4, 20))
    assert ring.listed() == [(1, 8, 8, 0), (2, 14, 24, 42)]
    ring.free(1, 7)
    assert (1, 8, 8, 0) in ring.listed()
    ring.free(1, 8)
    assert ring.listed() == [(2, 14, 24, 42)]
    for boot in range(3, 40):
        ring.open_run(boot)
        ring.write(*rows(0, 10))
    assert [entry[:3] for entry in ring.listed()] == [
        *((boot, 10, 10) for boot in range(39 - EMPTIED_KEPT, 39)),
        (39, 0, 10),
    ]


def test_a_boot_that_was_freed_leaves_no_end() -> None:
    ring = FlashRing(10)
    ring.open_run(1)
    ring.write(*rows(0, 5))
    ring.free(1, 5)
    ring.open_run(2)
    ring.write(*rows(0, 25))
    assert ring.listed() == [(2, 15, 25, 45)]


def test_a_clock_drifts_wanders_and_restarts() -> None:
    now = [0.0]
    clock = Clock(lambda: now[0], crystal=Crystal(ppm=40.0, thermal_ppm=3.0), started_s=0.0)
    assert clock.tick() == 0
    now[0] = 3600.0
    assert clock.seconds() - 3600.0 == pytest.approx(3600 * 40e-6, abs=3e-3)
    now[0] = 3900.0
    assert clock.seconds() - 3900.0 - 3900 * 40e-6 == pytest.approx(3e-6 * 1800 / (2 * np.pi) * 0.5, rel=0.02)
    clock.restart()
    assert clock.tick() == 0


def test_a_track_counts_its_holes_and_skips_what_is_missing() -> None:
    t = np.delete(np.arange(100) / 50.0, np.s_[20:35])
    acc = np.ones((t.size, 3))
    acc[3, 1] = np.nan
    track = track_of(SensorRecording(t, acc))
    assert track.rate_hz == pytest.approx(50.0)
    assert track.index[:4].tolist() == [0, 1, 2, 4]
    assert track.index[-1] == 99
    assert not track.gyr.any()
    with pytest.raises(SimulatorError, match="fewer than two"):
        track_of(SensorRecording(t[:1], acc[:1]))


def test_another_rate_is_the_same_movement(moving: Moving) -> None:
    track = track_of(moving(2.0, 100.0))
    assert track.at_rate(100.0) is track
    half = track.at_rate(50.0)
    assert half.acc == pytest.approx(track.acc[::2])
    assert half.index.size == 100
    assert track.at_rate(52.0).t[-1] <= track.t[-1]


def test_blocks_come_in_time_stop_at_holes_and_loop(moving: Moving) -> None:
    async def scene() -> None:
        wall = [0.0]
        playback = Playback(loop=True, wall=lambda: wall[0])
        whole = moving(1.0, 10.0)
        assert whole.gyr is not None
        keep = np.array([0, 1, 2, 3, 6, 7, 8, 9])
        sampler = Sampler(
            track_of(SensorRecording(whole.t[keep], whole.acc[keep], whole.gyr[keep])), playback, "a"
        )
        wall[0] = 0.05
        assert sampler.due() == 1
        wall[0] = 1.25
        assert sampler.due() == 11
        got = [sampler.take(100).index.tolist() for _ in range(3)]
        assert got == [[0, 1, 2, 3], [6, 7, 8, 9], [10, 11, 12, 13]]

    asyncio.run(scene())


def test_a_sensor_that_comes_back_goes_on_at_the_present(moving: Moving) -> None:
    wall = [0.0]
    playback = Playback(wall=lambda: wall[0])
    track = track_of(moving())
    first = Sampler(track, playback, "a")
    wall[0] = 1.0
    late = Sampler(track, playback, "b")
    assert (first.position, late.position, late.anchor) == (0, 0, first.anchor)
    first.stop()
    assert Sampler(track, playback, "a").position == 101
    late.stop()
    playback.leave("a")
    assert Sampler(track, playback, "a").position == 0


@pytest.mark.parametrize(
    ("profile", "options", "words"),
    [
        ("fitbit", {"exercise": "squat"}, "no wearable 'fitbit'"),
        ("homestretch", {"exercise": "sqat"}, "squat"),
        ("homestretch", {"recording": Path("nowhere.csv")}, "no such file"),
        ("homestretch", {"recording": Recording()}, "no sensors"),
        ("homestretch", {"recording": Recording(), "exercise": "squat"}, "not both"),
        ("homestretch", {"exercise": "squat", "speed": 0.0}, "above 0"),
        ("homestretch", {"exercise": "squat", "name": "n" * 40}, "too long"),
        ("homestretch", {"exercise": "squat", "transport": "carrier-pigeon:1"}, "cannot be opened"),
        ("homestretch", {"exercise": "squat", "transport": "tcp-server:nowhere"}, "host and a port"),
        ("homestretch", {"exercise": "squat", "transport": "tcp-client:127.0.0.1:1"}, "carries one"),
    ],
)
def test_what_cannot_be_simulated_is_one_plain_sentence(
    profile: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(SimulatorError, match=words) as error:
        asyncio.run(run(profile, repetitions=1, **options))
    assert "\n" not in str(error.value)


def test_run_says_when_it_is_ready_and_cancels_cleanly(moving: Moving, tmp_path: Path) -> None:
    async def scene() -> None:
        ready: list[str] = []
        recording = tmp_path / "worn.csv"
        write_recording(recording, Recording({"thigh": moving(), "left_shank": moving()}))
        task = asyncio.create_task(
            run("witmotion", recording=recording, transport="tcp-server:127.0.0.1:0", on_ready=ready.append)
        )
        async with asyncio.timeout(10.0):
            while not ready:
                await asyncio.sleep(0.01)
        lines = ready[0].splitlines()
        assert [line.rsplit(" ", 1)[1] for line in lines] == ["thigh", "left_shank"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
