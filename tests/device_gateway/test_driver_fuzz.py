"""Whatever a device sends is counted and never a crash; and corners of each format beyond the kit."""

from __future__ import annotations

import asyncio
import binascii
import logging
import struct
import zlib
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_gateway.drivers import DRIVERS, Counters, Flag, SampleBlock, create, witmotion
from rtm_gateway.drivers.capture2go import TX, Capture2GoDecoder, FrameStream, frame
from rtm_gateway.drivers.grid import StampGrid
from rtm_gateway.drivers.homestretch import CONTROL, DATA, FLASH, HomestretchDecoder
from rtm_gateway.drivers.movesense import NOTIFY, MovesenseDecoder
from rtm_gateway.drivers.polar_pmd import DATA as PMD_DATA
from rtm_gateway.drivers.polar_pmd import (
    FrameError,
    PolarDecoder,
    PolarDriver,
    decode_delta,
    decode_plain,
    parse_settings,
)
from rtm_gateway.drivers.port import Port
from rtm_gateway.unwrap import Coverage, nearest

MS = 1_000_000


# Noise: every driver, every length


@pytest.mark.parametrize("profile", sorted(DRIVERS))
@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(
        st.tuples(st.binary(max_size=250), st.integers(0, 10**12), st.integers(0, 5)), max_size=25
    )
)
def test_noise_never_crashes_and_is_counted(profile: str, pieces: list[tuple[bytes, int, int]]) -> None:
    driver = create(profile)
    decoder = driver.decoder()
    for data, arrival_ns, place in pieces:
        characteristic = (*driver.notify, "00002a37-0000-1000-8000-00805f9b34fb")[
            place % (len(driver.notify) + 1)
        ]
        for block in decoder.feed(characteristic, data, arrival_ns):
            assert block.first >= 0
            assert np.isfinite(block.values).all()
    decoder.take_replies()
    decoder.reconnected()
    assert decoder.counters.notifications == len(pieces)


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=60), st.data())
def test_noise_that_begins_like_a_frame(tail: bytes, data: st.DataObject) -> None:
    """The prefixes of each format, so that the fuzz reaches what stands behind them."""
    heads = {
        "polar-pmd": [struct.pack("<BQB", kind, 10**18, 0x80 | n) for kind in (2, 5) for n in (0, 1)],
        "movesense-gsp": [b"\x02\x11\x00\x00\x00\x00", b"\x03\x11", b"\x01\x11\xc8\x00"],
        "witmotion": [b"\x55\x61", b"\x55\x71"],
        "capture2go": [b"\xff\x02", b"\xfe\x02", b"\xfc\x02"],
        "homestretch": [bytes((op | 0x80, 1, 0)) for op in range(12)],
    }
    profile = data.draw(st.sampled_from(sorted(heads)))
    driver = create(profile)
    decoder = driver.decoder()
    for characteristic in driver.notify:
        for head in heads[profile]:
            decoder.feed(characteristic, head + tail, 10**9)


def test_a_burst_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    decoder = MovesenseDecoder()
    with caplog.at_level(logging.WARNING):
        for i in range(500):
            decoder.feed(NOTIFY, b"\x02", i * MS)
        assert len(caplog.records) == 1
        decoder.feed(NOTIFY, b"\x02", 60_000 * MS)
        assert "500" in caplog.records[1].getMessage()
    assert decoder.counters.malformed == 501


# Counters


@given(st.integers(0, 2**40), st.integers(-30000, 30000))
def test_the_nearest_unwrapped_value(truth: int, error: int) -> None:
    assert nearest(truth & 0xFFFF, 16, truth + error) == truth or truth + error < 0 or truth < 32768


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=25))
def test_coverage_is_a_set(parts: list[tuple[int, int]]) -> None:
    coverage, truth = Coverage(), set[int]()
    for first, size in parts:
        new = {i for a, b in coverage.add(first, first + size) for i in range(a, b)}
        assert new == set(range(first, first + size)) - truth
        truth |= new
    assert {i for a, b in coverage.spans for i in range(a, b)} == truth
    assert {i for a, b in coverage.missing(0, 80) for i in range(a, b)} == set(range(80)) - truth


# homestretch


def hs_frame(boot: int, index: int, tick: int, n: int = 1) -> bytes:
    body = struct.pack("<HI", index & 0xFFFF, tick & 0xFFFFFFFF)
    body += b"".join(struct.pack("<6h", *((index + i) % 30000,) * 6) for i in range(n))
    return body + struct.pack("<H", binascii.crc_hqx(body, binascii.crc_hqx(struct.pack("<I", boot), 0xFFFF)))


def test_the_example_of_the_profile_page() -> None:
    decoder = HomestretchDecoder(7)
    (block,) = decoder.feed(DATA, bytes.fromhex("010000800000000000000010 0100ffff0200c7ba"), 0)
    assert block.first == 1
    assert block.tick == 32768
    assert block.values.tolist() == [[0, 0, 4096, 1, -1, 2]]


def test_a_hole_of_more_than_a_wrap_is_resolved_by_the_tick() -> None:
    decoder = HomestretchDecoder(7)
    decoder.begin(7, 0, 0, 0)
    decoder.feed(DATA, hs_frame(7, 0, 0), 0)
    far = 3 * 65536 + 17
    (block,) = decoder.feed(DATA, hs_frame(7, far, round(far * 327.68)), round(far * 1e7))
    assert block.first == far
    assert block.flags == Flag.GAP
    assert decoder.counters.gap_samples == far - 1


def test_the_tick_wraps() -> None:
    decoder = HomestretchDecoder(7)
    tick = 2**32 - 1000
    decoder.begin(7, 10, tick, 0)
    blocks = [
        b for i in range(10) for b in decoder.feed(DATA, hs_frame(7, 10 + i, tick + i * 328), i * 10 * MS)
    ]
    assert [b.tick for b in blocks] == [tick + i * 328 for i in range(10)]


def test_another_boot_and_a_cut_frame_fail_the_crc() -> None:
    decoder = HomestretchDecoder(7)
    assert decoder.feed(DATA, hs_frame(8, 0, 0), 0) == []
    assert decoder.feed(DATA, hs_frame(7, 0, 0, 3)[:-12], 0) == []
    assert decoder.counters.crc == 2


def read_end(*frames: bytes, count: int | None = None, crc: int | None = None) -> bytes:
    samples = b"".join(frame[6:-2] for frame in frames)
    told = len(samples) // 12 if count is None else count
    return b"\xc6\x01\x00" + struct.pack("<II", told, zlib.crc32(samples) if crc is None else crc)


def read_begun(boot: int = 3, first: int = 70_000, tick: int = 5_000_000_000) -> HomestretchDecoder:
    decoder = HomestretchDecoder(7)
    decoder.begin(7, 200_000, 0, 0)
    decoder.reading(boot, first, tick)
    return decoder


def test_flash_frames_follow_the_read() -> None:
    decoder = read_begun()
    decoder.feed(CONTROL, b"\x86\x01\x00" + struct.pack("<II", 70_010, 20), 0)
    frame = hs_frame(3, 70_010, 5_000_000_000 + 3277, 20)
    assert decoder.feed(FLASH, frame, 0) == [], "samples wait for the CRC over all of them"
    (block,) = decoder.feed(CONTROL, read_end(frame), 1)
    assert decoder.read_proved
    assert (block.boot, block.first, block.tick) == (3, 70_010, 5_000_003_277)
    assert block.flags == Flag.FLASH
    assert decoder.feed(FLASH, frame, 0) == []
    decoder.reading(3, 70_010, 5_000_003_277)
    decoder.feed(FLASH, frame, 0)
    assert decoder.feed(CONTROL, read_end(frame), 0) == []
    assert decoder.counters.duplicate == 20


def test_a_read_with_a_wrong_crc_gives_no_sample_and_can_be_read_again() -> None:
    decoder = read_begun()
    frame = hs_frame(3, 70_000, 5_000_000_000, 5)
    decoder.feed(FLASH, frame, 0)
    assert decoder.feed(CONTROL, read_end(frame, crc=1), 0) == []
    assert not decoder.read_proved
    assert decoder.counters.crc == 1
    decoder.reading(3, 70_000, 5_000_000_000)
    decoder.feed(FLASH, frame, 0)
    assert [len(block.values) for block in decoder.feed(CONTROL, read_end(frame), 0)] == [5]


def test_frames_that_come_after_the_end_of_the_read_are_waited_for() -> None:
    """The two characteristics may overtake each other in an operating system."""
    decoder = read_begun()
    frames = [hs_frame(3, 70_000 + i, 5_000_000_000 + 328 * i) for i in range(3)]
    decoder.feed(FLASH, frames[0], 0)
    assert decoder.feed(CONTROL, read_end(*frames), 0) == []
    assert decoder.feed(FLASH, frames[1], 0) == []
    assert [b.first for b in decoder.feed(FLASH, frames[2], 0)] == [70_000, 70_001, 70_002]


def test_a_read_cut_short_keeps_the_frames_their_own_crc_proves() -> None:
    decoder = read_begun()
    decoder.feed(FLASH, hs_frame(3, 70_000, 5_000_000_000, 4), 0)
    decoder.reconnected()
    blocks = decoder.feed(CONTROL, b"\x85\x01\x00", 9)
    assert [(b.boot, b.first, len(b.values), b.flags) for b in blocks] == [(3, 70_000, 4, Flag.FLASH)]


# Polar


def test_plain_widths() -> None:
    assert decode_plain(bytes.fromhex("ff0180"), 1).tolist() == [[-1, 1, -128]]
    assert decode_plain(struct.pack("<3h", -5, 6, 32767), 2).tolist() == [[-5, 6, 32767]]
    assert decode_plain(bytes.fromhex("ffffff 010000 000080"), 3).tolist() == [[-1, 1, -8388608]]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-32768, 32767)] * 3), min_size=1, max_size=60), st.integers(1, 20))
def test_delta_frames_round_trip(samples: list[tuple[int, int, int]], block: int) -> None:
    values = np.array(samples)
    out = values[0].astype("<i2").tobytes()
    deltas = np.diff(values, axis=0)
    for at in range(0, len(deltas), block):
        part = deltas[at : at + block]
        bits = int(np.abs(part).max()).bit_length() + 1
        number = sum((d & ((1 << bits) - 1)) << (i * bits) for i, d in enumerate(part.ravel().tolist()))
        out += bytes((bits, len(part))) + number.to_bytes((bits * part.size + 7) // 8, "little")
    assert decode_delta(out).tolist() == values.tolist()


def test_the_factor_of_the_start_answer_scales_compressed_frames() -> None:
    decoder = PolarDecoder()
    answer = b"\xf0\x02\x05\x00\x00" + b"\x05\x01" + struct.pack("<f", 0.07)
    decoder.feed("fb005c81-02e7-f387-1cad-8acd2d8df0c8", answer, 0)
    body = struct.pack("<BQB", 5, 10**18, 0x80) + struct.pack("<3h", 100, 0, 0)
    decoder.feed(PMD_DATA, body, 0)
    (spec,) = decoder.streams()
    assert spec.channels[0].scale * 100 == pytest.approx(np.radians(7.0), rel=1e-6)


def test_settings_behind_an_unknown_one_are_not_guessed() -> None:
    rate, factor = struct.pack("<BBH", 0, 1, 52), struct.pack("<BBf", 5, 1, 0.5)
    assert parse_settings(rate + factor + b"\x09\x01\x07") == {0: [52], 5: [0.5]}
    with pytest.raises(FrameError):
        parse_settings(rate[:3])


class Stuck:
    """A Polar whose gyroscope was left running by somebody else: it tells its factor at a start only."""

    def __init__(self, decoder: PolarDecoder) -> None:
        self.decoder, self.port, self.running = decoder, Port(self, decoder, frozenset()), True
        self.ops: list[int] = []

    async def read_gatt_char(self, _place: str, /) -> bytearray:
        return bytearray(b"\x0f\x20")

    async def write_gatt_char(self, place: str, data: bytes, _response: bool | None = None, /) -> None:
        op, kind = data[0], data[1]
        self.ops.append(op)
        error, body = 0, b""
        if op == 1:
            body = struct.pack("<BBH", 0, 1, 52)
        elif op == 2 and self.running:
            error = 6
        elif op == 2:
            self.running, body = True, struct.pack("<BBf", 5, 1, 0.07)
        else:
            self.running = False
        self.decoder.feed(place, bytes((0xF0, op, kind, error, 0)) + body, 0)
        for reply in self.decoder.take_replies():
            assert self.port.deliver(reply)


def test_a_stream_left_running_is_started_anew_since_its_factor_is_not_known() -> None:
    async def story() -> list[int]:
        driver = PolarDriver()
        stuck = Stuck(driver.decoder())
        await driver.configure(stuck.port)
        await driver.start(stuck.port)
        assert stuck.decoder._factors == {5: pytest.approx(0.07)}
        return stuck.ops

    assert asyncio.run(story()) == [1, 2, 3, 2]


def test_a_lost_polar_frame_is_a_gap_of_its_samples() -> None:
    decoder = PolarDecoder()
    blocks: list[SampleBlock] = []
    for k in (0, 1, 2, 4, 5):
        body = np.full((36, 3), k, "<i2").tobytes()
        stamp = 10**18 + k * 36 * 19_230_769
        blocks += decoder.feed(PMD_DATA, struct.pack("<BQB", 2, stamp, 1) + body, k * 700 * MS)
    assert [b.first for b in blocks] == [0, 36, 72, 144, 180]
    assert blocks[3].flags & Flag.GAP
    assert decoder.counters.gap_samples == 36


# Stamps


def place(grid: StampGrid[int], stamps: list[int], n: int = 8) -> list[tuple[int, int, int]]:
    return [(p.token, p.boot, p.first) for i, s in enumerate(stamps) for p in grid.place(s, n, i)]


def new_grid(rate_hz: float | None = 100.0) -> StampGrid[int]:
    return StampGrid(rate_hz, 1000.0, Counters(), count(1).__next__)


def test_a_clock_set_back_is_a_new_boot() -> None:
    stamps = [900_000 + 80 * i for i in range(5)] + [80 * i for i in range(5)]
    got = place(new_grid(), stamps)
    assert [g[1] for g in got] == [1] * 5 + [2] * 5
    assert [g[2] for g in got] == [0, 8, 16, 24, 32] * 2


def test_a_single_wild_stamp_is_dropped() -> None:
    got = place(new_grid(), [0, 80, 160, 10**9, 320, 400])
    assert [(t, first) for t, _, first in got] == [(0, 0), (1, 8), (2, 16), (4, 32), (5, 40)]


def test_a_long_gap_is_a_gap_and_not_a_new_boot() -> None:
    got = place(new_grid(), [0, 80, 160, 60_160, 60_240])
    assert got[3:] == [(3, 1, 6016), (4, 1, 6024)]


def test_late_and_doubled_packets() -> None:
    grid = new_grid()
    assert [p[2] for p in place(grid, [0, 80, 240, 160, 160, 320])] == [0, 8, 24, 16, 32]


def test_a_device_that_lies_about_its_rate_is_followed() -> None:
    """It says 100 Hz and sends 52: after three packets its own period is believed."""
    grid = new_grid()
    stamps = [round(i * 8 * 1000 / 52) for i in range(40)]
    got = place(grid, stamps)
    assert grid.period == pytest.approx(1000 / 52, rel=0.01)
    steps = np.diff([first for _, _, first in got])
    assert (steps[5:] == 8).all()


# WitMotion


def wit(i: int) -> bytes:
    return b"\x55\x61" + struct.pack("<9h", *(i * 10 + k for k in range(9)))


def rows(decoder: witmotion.WitMotionDecoder, *pieces: bytes) -> list[int]:
    blocks = [b for i, p in enumerate(pieces) for b in decoder.feed(witmotion.NOTIFY, p, i * MS)]
    return [row[0] for block in blocks for row in block.values.tolist()]


def test_frames_split_merged_and_interleaved_with_register_answers() -> None:
    decoder = witmotion.WitMotionDecoder()
    register = b"\x55\x71\x64\x00" + struct.pack("<8h", 391, *[0] * 7)
    stream = wit(0) + register + wit(1) + wit(2) + wit(3)
    assert rows(decoder, stream[:7], stream[7:53], stream[53:]) == [0, 10, 20, 30]
    (reply,) = decoder.take_replies()
    assert reply.kind == 0x64
    assert decoder.counters.malformed == 0


def test_a_cut_frame_makes_no_sample() -> None:
    decoder = witmotion.WitMotionDecoder()
    assert rows(decoder, wit(1), wit(2)[:11], wit(3), wit(4)[9:], wit(5)) == [10, 30, 50]
    assert decoder.counters.malformed >= 2


def test_a_lost_link_is_a_gap_by_the_clock() -> None:
    decoder = witmotion.WitMotionDecoder(rate_hz=100)
    for i in range(10):
        decoder.feed(witmotion.NOTIFY, wit(i), i * 10 * MS)
    decoder.reconnected()
    (block,) = decoder.feed(witmotion.NOTIFY, wit(10), 90 * MS + 2_000 * MS)
    assert block.first == 10 + 199
    assert block.flags & Flag.GAP
    assert block.flags & Flag.GATEWAY_INDEX


# Capture2Go


def packed(stamp_ns: int, value: int) -> bytes:
    payload = struct.pack("<q", stamp_ns) + np.full(72, value, "<i2").tobytes() + bytes(11)
    return frame(0x0222, payload)


def test_realtime_frames_come_before_the_stream() -> None:
    decoder = Capture2GoDecoder()
    stream = packed(10**9, 1)
    first = b"\xfe" + frame(0x0201, bytes(19)) + stream[:50]
    assert decoder.feed(TX, first, 0) == []
    (block,) = decoder.feed(TX, b"\xff" + stream[50:], 0)
    assert (block.tick, block.values[0, 0]) == (10**9, 1)
    assert [reply.kind for reply in decoder.take_replies()] == [0x0201]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=30), st.binary(max_size=40))
def test_frames_are_found_behind_garbage(cuts: list[int], garbage: bytes) -> None:
    whole = garbage + b"".join(frame(0x0201, bytes([i] * 19)) for i in range(10))
    stream, found, at = FrameStream(), [], 0
    for cut in [*cuts, len(whole)]:
        found += stream.feed(whole[at : at + cut])
        at += cut
    # Garbage that looks like the head of a frame may swallow what its length says until the CRC refutes it.
    assert [payload[0] for _, payload in found][-1:] in ([9], [])
    assert all(payload == bytes([payload[0]] * 19) for _, payload in found)


def test_a_flipped_bit_costs_one_frame() -> None:
    decoder = Capture2GoDecoder()
    stream = bytearray(b"".join(packed(10**9 + i * 80 * MS, i) for i in range(5)))
    stream[171 * 2 + 60] ^= 4
    blocks = decoder.feed(TX, b"\xff" + bytes(stream), 0)
    assert [b.values[0, 0] for b in blocks] == [0, 1, 3, 4]
    assert [b.first for b in blocks] == [0, 8, 24, 32]
    assert decoder.counters.crc == 1
    assert zlib.crc32(b"") == 0


# Movesense


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e9])
def test_impossible_floats_are_dropped(bad: float) -> None:
    decoder = MovesenseDecoder(rate_hz=13)
    body = struct.pack("<BBI6f", 2, 9, 1000, 0, 0, 9.8, 0, bad, 0)
    assert decoder.feed(NOTIFY, body, 0) == []
    assert decoder.counters.malformed == 1


def test_acc_comes_before_gyr() -> None:
    decoder = MovesenseDecoder(rate_hz=26)
    body = struct.pack("<BBI12f", 2, 9, 1000, 1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60)
    (block,) = decoder.feed(NOTIFY, body, 0)
    assert block.values.tolist() == [[1, 2, 3, 10, 20, 30], [4, 5, 6, 40, 50, 60]]
    assert block.tick == 1000


@pytest.mark.parametrize("mtu", [23, 57, 81, 100, 105, 129, 153, 177])
def test_a_first_part_of_a_whole_number_of_samples_is_no_packet(mtu: int) -> None:
    """At MTU 57, 81, 105 ... it could be one: nothing wrong comes out, and nothing is missing."""
    decoder = MovesenseDecoder(sensors=2)
    blocks: list[SampleBlock] = []
    for i in range(4):
        body = struct.pack("<I48f", 77 * i, *range(48))
        for at in range(0, len(body), mtu - 5):
            kind = b"\x02\x09" if at == 0 else b"\x03\x09"
            blocks += decoder.feed(NOTIFY, kind + body[at : at + mtu - 5], i)
    assert [len(b.values) for b in blocks] == [8] * 4
    assert all(b.values[0].tolist() == [0, 1, 2, 24, 25, 26] for b in blocks)
    assert decoder.counters.malformed == 0


def test_a_packet_of_an_unusual_length_waits_once_for_the_next() -> None:
    decoder = MovesenseDecoder(rate_hz=104, sensors=2)
    packets = [struct.pack("<BBI24f", 2, 9, 38 * i, *range(24)) for i in range(4)]
    got = [[len(b.values) for b in decoder.feed(NOTIFY, packet, i)] for i, packet in enumerate(packets)]
    assert got == [[], [4, 4], [4], [4]]
