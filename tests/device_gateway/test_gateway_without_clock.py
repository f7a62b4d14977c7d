"""A gateway without a battery clock boots in 1970, records, and learns the time later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np

from rtm_gateway.clock import DeviceClocks, WallClock, WallPair
from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec
from rtm_gateway.recording_life import RecordingLife
from rtm_gateway.sealer import GatewayClock, Sealer
from rtm_gateway.stored_spans import StreamKey
from rtm_signal.chunk import UNKNOWN_UNCERTAINTY, Channel, Chunk, decode, encode

TENANT, GATEWAY, SENSOR, BOOT = (UUID(int=n) for n in range(61, 65))
BOOTED = datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
KEY = StreamKey(SENSOR, "imu", 1)


def test_a_recording_opened_in_1970_is_dated_when_the_time_is_known() -> None:
    life = RecordingLife(TENANT, GATEWAY)
    life.open("start", BOOTED, 5.0)
    life.add(KEY, "wrist", 0, 100)
    manifest = life.close("stop", NOW, 605.0)
    assert manifest is not None
    assert manifest.opened_at == NOW - timedelta(seconds=600)


def test_after_a_restart_it_is_dated_as_well_as_can_be() -> None:
    life = RecordingLife(TENANT, GATEWAY)
    life.open("start", BOOTED, 5.0)
    life.add(KEY, "wrist", 0, 100)
    again = RecordingLife(TENANT, GATEWAY, life.state(), now_s=10.0)
    manifest = again.close("stop", NOW, 20.0)
    assert manifest is not None
    assert manifest.opened_at == NOW


def test_while_no_time_is_known_nothing_is_invented() -> None:
    life = RecordingLife(TENANT, GATEWAY)
    life.open("start", BOOTED, 5.0)
    life.add(KEY, "wrist", 0, 100)
    closed_at = BOOTED + timedelta(seconds=60)
    manifest = life.close("stop", closed_at, 65.0)
    assert manifest is not None
    assert (manifest.opened_at, manifest.closed_at) == (BOOTED, closed_at)


def test_a_chunk_of_1970_says_that_its_time_is_unknown_and_can_be_dated_later() -> None:
    """Arrivals are on the monotonic clock, and a later chunk of the same boot of the gateway has both clocks."""
    wall = WallClock()
    clocks = DeviceClocks(wall)
    spec = StreamSpec("imu", (Channel("ax", "m/s2", 0.01),), 100.0, "int16", 32768.0)
    mono_s = 50.0

    def now() -> GatewayClock:
        wall_us = mono_s * 1e6 if not wall.known else NOW.timestamp() * 1e6 + (mono_s - 200.0) * 1e6
        return GatewayClock(int(mono_s * 1e9), int(wall_us))

    sealer = Sealer(TENANT, BOOT, clock_of=lambda _sensor, boot: clocks.of(boot), now=now)

    def second(index: int) -> list[Chunk]:
        arrival_ns = int((mono_s + 0.01) * 1e9)
        values = np.zeros((100, 1), np.int16)
        block = SampleBlock("imu", 1, index, values, round(index * 327.68), 32768.0, arrival_ns, Flag.NONE)
        clocks.observe(block)
        return sealer.feed(SENSOR, spec, block)

    first: list[Chunk] = []
    for index in range(0, 500, 100):
        first += second(index)
        mono_s += 1.0
    mono_s = 200.0
    wall.note(WallPair(int(200e9), int(NOW.timestamp() * 1e9)))  # NTP has answered
    later: list[Chunk] = []
    for index in range(15_000, 15_500, 100):
        later += second(index)
        mono_s += 1.0
    before, after = (decode(encode(chunk)) for chunk in (first[0], later[-1]))
    assert before.uncertainty_us == UNKNOWN_UNCERTAINTY
    assert after.uncertainty_us != UNKNOWN_UNCERTAINTY
    assert before.gateway_boot == after.gateway_boot
    offset_us = after.wall_us - after.mono_ns / 1e3
    dated_us = float(before.anchors.arrival_ns[0]) / 1e3 + offset_us
    true_us = NOW.timestamp() * 1e6 - 150e6
    assert abs(dated_us - true_us) < 100e3
