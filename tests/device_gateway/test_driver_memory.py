"""Logs and recordings in a sensor's memory, fetched over the radio from the simulated wearables."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from bleak import BleakClient
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.profiles import sbem as simulated_sbem
from rtm_firmware_sim.simulate import wear
from rtm_gateway.drivers import Flag, NoAnswerError, Port, SampleBlock, create
from rtm_gateway.drivers.capture2go import RX, TX
from rtm_gateway.drivers.capture2go import frame as c2g_frame
from rtm_gateway.drivers.movesense import NOTIFY, WRITE
from rtm_gateway.drivers.sbem import SbemError, SbemReader
from rtm_gateway.drivers.stored_file import StoredFile
from rtm_gateway.radio import open_radio
from rtm_signal.recording import Recording, SensorRecording


def ramp() -> Recording:
    """Every sample differs from every other."""
    t = np.arange(0, 60, 0.01)
    acc = np.stack([t, -t, np.full_like(t, 9.8)], axis=1)
    return Recording({"wrist": SensorRecording(t, acc, acc / 30, None)})


class Wire:
    """One driver over one link after the other, as `SensorLink` feeds it, without its policy."""

    def __init__(self, profile: str) -> None:
        self.driver = create(profile)
        self.decoder = self.driver.decoder()
        self.blocks: list[SampleBlock] = []
        self.sensor: Any = None

    @contextlib.asynccontextmanager
    async def simulated(self, profile: str) -> AsyncIterator[Any]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            place = int(listening.getsockname()[1])
        async with Air(seed=5) as air, asyncio.timeout(50):
            (self.sensor,) = await wear(air, profile, ramp(), seed=5, loop=True)
            await air.serve(f"tcp-server:127.0.0.1:{place}")
            radio = open_radio(f"bumble:tcp-client:127.0.0.1:{place}")
            try:
                yield radio
            finally:
                await radio.close()

    @contextlib.asynccontextmanager
    async def linked(self, radio: Any) -> AsyncIterator[tuple[Port, BleakClient]]:
        found = await radio.find(self.sensor.address.to_string(False), 10)
        assert found is not None
        client = await radio.connect(found[0])
        names = frozenset(c.uuid for service in client.services for c in service.characteristics)
        port = Port(client, self.decoder, names)
        self.decoder.reconnected()

        def receive(characteristic: Any, data: bytearray) -> None:
            self.blocks += self.decoder.feed(characteristic.uuid, bytes(data), 0)
            for reply in self.decoder.take_replies():
                port.deliver(reply)

        for characteristic in self.driver.notify:
            await client.start_notify(characteristic, receive)
        try:
            yield port, client
        finally:
            port.fail("the link was lost")
            await client.disconnect()


def check_samples(blocks: list[SampleBlock], scale: float, least: int) -> None:
    """The ramp, each sample once and in order, flagged as from memory."""
    assert all(block.flags & Flag.FLASH for block in blocks)
    first = [block.first for block in blocks]
    sizes = [len(block.values) for block in blocks]
    assert first == [sum(sizes[:i]) for i in range(len(sizes))], "a sample is missing or doubled"
    x = np.concatenate([block.values for block in blocks])[:, 0] * scale
    assert len(x) >= least
    assert (np.diff(x) > 0).all()
    assert len({block.boot for block in blocks}) == 1


async def break_while_reading(wire: Wire, port: Port, run: Any) -> None:
    """Ask for a file and lose the link in the middle of it."""
    task = asyncio.create_task(wire.driver.download(port, run, 0, run.next - 1))
    while not wire.blocks and not task.done():
        await asyncio.sleep(0.001)
    wire.sensor.drop_link()
    await asyncio.sleep(0.05)
    port.fail("the link was lost")
    with pytest.raises(NoAnswerError):
        await task


def test_a_capture2go_recording_goes_on_where_it_broke() -> None:
    wire = Wire("capture2go")

    async def story() -> None:
        async with wire.simulated("capture2go") as radio:
            async with wire.linked(radio) as (port, _):
                assert await wire.driver.stored(port) == []
                config = struct.pack("<q?", 0, False) + b"squat".ljust(65, b"\0")
                mode = bytearray(30)
                mode[10] = 2
                for header, payload in ((0x0120, bytes(mode)), (0x0140, config), (0x0154, b"")):
                    await port.write(RX, c2g_frame(header, payload), response=False)
                await asyncio.sleep(4.0)
                await port.write(RX, c2g_frame(0x0156), response=False)
                (run,) = await wire.driver.stored(port)
                assert (run.key, run.next) == ("squat", len(wire.sensor.files["squat"]))
                asked: list[int] = []
                original = wire.sensor._get_bytes

                def watched(payload: bytes) -> None:
                    asked.append(struct.unpack_from("<I", payload, 65)[0])
                    original(payload)

                wire.sensor._commands[0x0503] = watched
                await break_while_reading(wire, port, run)
            async with wire.linked(radio) as (port, _):
                await wire.driver.download(port, run, 0, run.next - 1)
            assert asked[0] == 0
            assert asked[1] > 0, "the second link must not begin anew"

    asyncio.run(story())
    check_samples(wire.blocks, 16 * 9.81 / 32768, 300)
    assert wire.decoder.counters.crc == wire.decoder.counters.malformed == 0


def test_a_movesense_log_broken_and_fetched_again_is_whole_once() -> None:
    wire = Wire("movesense-gsp")

    async def story() -> None:
        async with wire.simulated("movesense-gsp") as radio:
            async with wire.linked(radio) as (port, _):
                assert await wire.driver.stored(port) == []
                for command in (b"\x06\x50/Meas/IMU6/104\0/Time/Detailed\0", b"\x09\x51\x03"):
                    await port.write(WRITE, command)
                await asyncio.sleep(4.0)
                await port.write(WRITE, b"\x09\x52\x02")
                (run,) = await wire.driver.stored(port)
                assert run.next == len(wire.sensor.logs[int(run.key)])
                await break_while_reading(wire, port, run)
            async with wire.linked(radio) as (port, _):
                await wire.driver.download(port, run, 0, run.next - 1)
                with pytest.raises(NoAnswerError):
                    await wire.driver.download(port, run._replace(key="77"), 0, 5)

    asyncio.run(story())
    check_samples(wire.blocks, 1.0, 380)
    assert wire.decoder.counters.malformed == 0


# Bytes of a log


def log_of(samples: int) -> tuple[bytes, np.ndarray]:
    acc = np.arange(samples * 3, dtype=float).reshape(-1, 3) / 7
    data = simulated_sbem.begin("MeasIMU6", ("ArrayAcc", "ArrayGyro")) + simulated_sbem.time_chunk(5, 10**15)
    at = 0
    while at < samples:
        size = simulated_sbem.GROUP if samples - at >= simulated_sbem.GROUP else 1
        data += simulated_sbem.data_chunk(at * 10, [acc[at : at + size], -acc[at : at + size]])
        at += size
    return data, acc


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.lists(st.integers(1, 90), min_size=1, max_size=20))
def test_a_log_is_read_however_it_is_cut(samples: int, cuts: list[int]) -> None:
    data, acc = log_of(samples)
    reader, found, at = SbemReader(), [], 0
    for cut in [*cuts, len(data)]:
        found += reader.feed(data[at : at + cut])
        at += cut
    got = np.concatenate([samples.arrays["ArrayAcc"] for samples in found])
    assert np.allclose(got, acc)
    assert np.allclose(np.concatenate([samples.arrays["ArrayGyro"] for samples in found]), -acc)
    assert found[0].stamp_ms == 0
    assert reader.unknown == 0
    assert reader.utc_ns(5) == 10**18, "the pair of clock and UTC dates the log"


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.binary(min_size=1, max_size=6), st.booleans())
def test_a_damaged_log_never_crashes(place: int, noise: bytes, insert: bool) -> None:
    data, _ = log_of(9)
    at = place % len(data)
    damaged = data[:at] + noise + data[at if insert else at + len(noise) :]
    reader, found = SbemReader(), []
    with contextlib.suppress(SbemError):  # one plain sentence, and nothing else
        found = reader.feed(damaged)
    assert all(array.shape[1] == 3 for samples in found for array in samples.arrays.values())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60)), max_size=25))
def test_pieces_of_a_file_are_put_together_by_offset(data: bytes, pieces: list[tuple[int, int]]) -> None:
    file, got = StoredFile("x"), b""
    for offset, size in pieces:
        got += file.take(offset, data[offset : offset + size])
        assert got == data[: len(got)]
        assert file.received == len(got)
    got += file.take(0, data)
    assert got == data


def test_a_log_that_is_none_is_told_in_words() -> None:
    wire = Wire("movesense-gsp")
    decoder: Any = wire.decoder
    decoder.fetching("1")
    assert decoder.feed(NOTIFY, struct.pack("<BBI", 2, 0x14, 0) + b"not a log at all", 0) == []
    assert decoder.counters.malformed == 1
    assert [reply.kind for reply in decoder.take_replies()] == [0x103]


def test_bytes_of_a_file_nobody_reads_are_counted() -> None:
    wire = Wire("capture2go")
    late = b"\xff" + c2g_frame(0x0504, bytes(4) + b"x" * 40)
    assert wire.decoder.feed(TX, late, 0) == []
    assert wire.decoder.counters.unknown == 1


# Damaged on the way: through the decoders, as notifications


def capture2go_file(packages: int) -> bytes:
    """A recording of so many packages of eight samples, each of them known by its number."""
    data = c2g_frame(0x0071, bytes(47))
    for number in range(packages):
        samples = np.full((9, 8), number, "<i2").tobytes()
        payload = struct.pack("<q", 10**18 + number * 80_000_000) + samples + bytes(11)
        data += c2g_frame(0x0222, payload)
    return data


def damaged(pieces: list[bytes], changes: list[tuple[int, int, int]]) -> list[bytes]:
    """Pieces with some lost, doubled, swapped, cut or with a bit turned: (kind, piece, place)."""
    pieces = list(pieces)
    for kind, which, place in changes:
        at = which % len(pieces)
        if kind == 0 and len(pieces) > 1:
            del pieces[at]
        elif kind == 1:
            pieces.insert(at, pieces[at])
        elif kind == 2:
            pieces[at], pieces[at - 1] = pieces[at - 1], pieces[at]
        elif kind == 3:
            pieces[at] = pieces[at][: place % (len(pieces[at]) + 1)]
        elif pieces[at]:
            turned = bytearray(pieces[at])
            turned[place % len(turned)] ^= 1 << place % 8
            pieces[at] = bytes(turned)
    return pieces


CHANGES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 99), st.integers(0, 999)), max_size=8)


@settings(max_examples=80, deadline=None)
@given(CHANGES)
def test_a_damaged_capture2go_recording_gives_no_sample_nobody_recorded(
    changes: list[tuple[int, int, int]],
) -> None:
    data = capture2go_file(12)
    frames = [struct.pack("<I", at) + data[at : at + 100] for at in range(0, len(data), 100)]
    pieces = [b"\xff" + c2g_frame(0x0504, piece) for piece in frames]
    decoder: Any = Wire("capture2go").decoder
    decoder.reading("walk", len(data))
    blocks = [block for piece in damaged(pieces, changes) for block in decoder.feed(TX, piece, 0)]
    assert all(block.flags & Flag.FILE for block in blocks)
    for block in blocks:
        numbers = set(block.values.ravel().tolist())
        assert len(numbers) == 1, "a package is what was recorded, or nothing"
        assert block.utc_ns == 10**18 + numbers.pop() * 80_000_000
    seen = [(block.boot, block.first + k) for block in blocks for k in range(len(block.values))]
    assert len(seen) == len(set(seen)), "no sample twice"
    if not changes:
        assert len(blocks) == 12


@settings(max_examples=80, deadline=None)
@given(CHANGES)
def test_a_damaged_movesense_log_ends_in_words(changes: list[tuple[int, int, int]]) -> None:
    data, _ = log_of(40)
    pieces = [struct.pack("<BBI", 2, 0x14, at) + data[at : at + 90] for at in range(0, len(data), 90)]
    decoder: Any = Wire("movesense-gsp").decoder
    decoder.fetching("1")
    blocks = [block for piece in damaged(pieces, changes) for block in decoder.feed(NOTIFY, piece, 0)]
    assert all(np.isfinite(block.values).all() for block in blocks), "it has no check sum, but limits"
    of_file = [block for block in blocks if block.flags & Flag.FILE]
    seen = [(block.boot, block.first + k) for block in of_file for k in range(len(block.values))]
    assert len(seen) == len(set(seen))
    if not changes:
        assert sum(len(block.values) for block in of_file) == 40


def test_a_file_keeps_its_boot_whoever_reads_it() -> None:
    data = capture2go_file(6)

    def read(content: bytes, chunk: int) -> set[int]:
        decoder: Any = Wire("capture2go").decoder
        decoder.reading("walk", len(content))
        boots = set()
        for at in range(0, len(content), chunk):
            piece = b"\xff" + c2g_frame(0x0504, struct.pack("<I", at) + content[at : at + chunk])
            boots |= {block.boot for block in decoder.feed(TX, piece, 0)}
        return boots

    (boot,) = read(data, 232)
    assert read(data, 50) == {boot}
    assert boot >> 31 == 1, "no number of the gateway's clock"
    head, package = len(c2g_frame(0x0071, bytes(47))), len(c2g_frame(0x0222, bytes(163)))
    other = data[:head] + data[head + package :]
    assert read(other, 232) != {boot}, "another file of the same name"
