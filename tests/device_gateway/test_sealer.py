"""The sealer: every sample in exactly one chunk, cut on the grid, stamped once."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec
from rtm_gateway.sealer import GatewayClock, Sealer
from rtm_signal.chunk import UNKNOWN_UNCERTAINTY, Channel, Chunk, decode, encode, stream_id

TENANT, SENSOR, OTHER, BOOT = (UUID(int=n) for n in range(1, 5))
IMU = StreamSpec(
    "imu", tuple(Channel(name, "m/s2", 0.5) for name in ("ax", "ay", "az")), 100.0, "int16", 32768.0
)


class Clock:
    """A perfect clock: tick 0 is 1 000 000 us, 32768 ticks a second."""

    version = 4

    def utc_us(self, tick: int) -> tuple[float, float]:
        return 1e6 + tick / 32768 * 1e6, 250.0


def block(first: int, k: int = 10, boot: int = 1, flags: Flag = Flag.NONE) -> SampleBlock:
    values = (np.arange(first, first + k)[:, None] + np.arange(3)).astype(np.int16)
    tick = round(first * 327.68)
    return SampleBlock("imu", boot, first, values, tick, 32768.0, 50_000_003 + first * 10_000_000, flags)


def sealer(clock: Clock | None = None) -> Sealer:
    return Sealer(
        TENANT,
        BOOT,
        clock_of=lambda _sensor, _boot: clock,
        now=lambda: GatewayClock(10**12, 1_772_445_600_000_000),
    )


def spans(chunks: list[Chunk]) -> list[tuple[int, int]]:
    return [(chunk.first, chunk.first + chunk.n) for chunk in chunks]


def test_chunks_end_on_multiples_of_five_seconds() -> None:
    box = sealer(Clock())
    done = [chunk for first in range(300, 1700, 10) for chunk in box.feed(SENSOR, IMU, block(first))]
    assert spans(done) == [(300, 500), (500, 1000), (1000, 1500)]
    assert spans(box.flush()) == [(1500, 1700)]
    assert box.flush() == []


def test_a_chunk_says_whose_it_is_and_when() -> None:
    box = sealer(Clock())
    (chunk,) = [chunk for first in range(0, 500, 10) for chunk in box.feed(SENSOR, IMU, block(first))]
    assert (chunk.tenant, chunk.gateway_boot, chunk.boot) == (TENANT, BOOT, 1)
    assert chunk.stream == stream_id(SENSOR, "imu")
    assert chunk.t_key == chunk.start_us == 1_000_000
    assert chunk.period_ns == pytest.approx(1e7, rel=1e-5)
    assert (chunk.fit_version, chunk.uncertainty_us, chunk.tick_hz) == (4, 250, 32768.0)
    assert (chunk.mono_ns, chunk.wall_us) == (10**12, 1_772_445_600_000_000)
    assert chunk.anchors.offset.tolist() == list(range(0, 500, 10))
    assert chunk.anchors.tick.tolist() == [round(first * 327.68) for first in range(0, 500, 10)]
    assert chunk.anchors.arrival_ns.tolist() == [
        50_000_000 + first * 10_000_000 for first in range(0, 500, 10)
    ]


def test_without_a_fit_the_time_is_that_of_the_arrival_and_says_so() -> None:
    box = sealer()
    box.feed(SENSOR, IMU, block(20))
    (chunk,) = box.flush()
    arrival_ns = 50_000_000 + 20 * 10_000_000
    assert chunk.start_us == 1_772_445_600_000_000 - (10**12 - arrival_ns) // 1000
    assert (chunk.fit_version, chunk.uncertainty_us, chunk.period_ns) == (0, UNKNOWN_UNCERTAINTY, 1e7)


def test_a_notification_over_a_boundary_anchors_both_chunks() -> None:
    box = sealer(Clock())
    (first,) = [chunk for start in range(485, 505, 10) for chunk in box.feed(SENSOR, IMU, block(start))]
    (second,) = box.flush()
    assert spans([first, second]) == [(485, 500), (500, 505)]
    assert second.anchors.offset.tolist() == [-5]
    assert second.anchors.tick.tolist() == [round(495 * 327.68)]
    assert second.start_us == pytest.approx(1e6 + 5e6, abs=40)
    assert decode(encode(second)).anchors.offset.tolist() == [-5]


def test_while_somebody_watches_chunks_are_one_second() -> None:
    box = sealer(Clock())
    done = [chunk for first in range(0, 230, 10) for chunk in box.feed(SENSOR, IMU, block(first))]
    box.watch(on=True)
    done += [chunk for first in range(230, 350, 10) for chunk in box.feed(SENSOR, IMU, block(first))]
    box.watch(on=False)
    done += [chunk for first in range(350, 1010, 10) for chunk in box.feed(SENSOR, IMU, block(first))]
    assert spans(done) == [(0, 100), (100, 200), (200, 300), (300, 500), (500, 1000)]


@pytest.mark.parametrize("flags", [Flag.NONE, Flag.GAP])
def test_a_gap_ends_a_chunk(flags: Flag) -> None:
    box = sealer(Clock())
    box.feed(SENSOR, IMU, block(0))
    assert spans(box.feed(SENSOR, IMU, block(30, flags=flags))) == [(0, 10)]
    assert spans(box.flush()) == [(30, 40)]


def test_a_clock_jump_or_other_channels_end_a_chunk() -> None:
    box = sealer(Clock())
    box.feed(SENSOR, IMU, block(0))
    assert spans(box.feed(SENSOR, IMU, block(10, flags=Flag.CLOCK_JUMP))) == [(0, 10)]
    other = StreamSpec("imu", tuple(Channel(name, "g", 0.5) for name in ("ax", "ay", "az")), 100.0, "int16")
    assert spans(box.feed(SENSOR, other, block(20))) == [(10, 20)]


def test_a_silent_stream_is_sealed_as_a_part() -> None:
    box = sealer(Clock())
    box.feed(SENSOR, IMU, block(0))
    assert box.flush(quiet_ns=10**12) == []
    assert box.flush(sensor=OTHER) == []
    assert spans(box.flush(quiet_ns=10**9, sensor=SENSOR)) == [(0, 10)]


def test_a_sensor_without_a_clock_is_anchored_by_index() -> None:
    box = sealer()
    values = np.zeros((4, 3), np.int16)
    box.feed(SENSOR, IMU, SampleBlock("imu", 1, 77, values, None, 0.0, 123_456_789))
    (chunk,) = box.flush()
    assert chunk.anchors.tick.tolist() == [77]


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3), st.booleans(), st.booleans()), max_size=60),
    st.sampled_from([3.0, 33.3, 104.0]),
)
@settings(max_examples=60)
def test_every_sample_is_in_exactly_one_chunk(
    steps: list[tuple[int, int, bool, bool]], rate_hz: float
) -> None:
    """Blocks of any size with gaps, memory beside the stream, watching switched at any moment."""
    spec = StreamSpec("imu", IMU.channels, rate_hz, "int16", 32768.0)
    box = sealer(Clock())
    done: list[Chunk] = []
    fed: list[tuple[int, int]] = []
    live, stored = 100_000, 0
    for k, gap, flash, watch in steps:
        box.watch(on=watch)
        if flash:
            stored += gap
            done += box.feed(SENSOR, spec, block(stored, k, flags=Flag.FLASH))
            fed += [(index, 1) for index in range(stored, stored + k)]
            stored += k
        else:
            live += gap
            done += box.feed(SENSOR, spec, block(live, k))
            fed += [(index, 1) for index in range(live, live + k)]
            live += k
    done += box.flush()
    held = sorted((index, 1) for chunk in done for index in range(chunk.first, chunk.first + chunk.n))
    assert held == sorted(fed)
    for chunk in done:
        expected = (np.arange(chunk.first, chunk.first + chunk.n)[:, None] + np.arange(3)).astype(np.int16)
        assert np.array_equal(chunk.values, expected)
        assert decode(encode(chunk)).key == chunk.key
        assert len(chunk.anchors) >= 1
