"""What a sensor recorded by itself comes after a reconnect, once, as a recording of its own, dated."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.profiles.capture2go_packages import frame as c2g_frame
from rtm_firmware_sim.simulate import wear
from rtm_gateway.clock import DeviceClocks, wall_clock
from rtm_gateway.drivers import Flag, SampleBlock, StreamSpec, create
from rtm_gateway.file_recordings import passed_by, state_name
from rtm_gateway.link import Event, LinkEvent, LinkPolicy, SensorLink
from rtm_gateway.outbox import Outbox
from rtm_gateway.radio import Radio, open_radio
from rtm_gateway.recorder import Recorder
from rtm_gateway.recording_life import RecordingLife
from rtm_gateway.sealer import Sealer
from rtm_signal.chunk import Chunk, decode
from rtm_signal.recording import Recording, SensorRecording
from rtm_signal.wire import CHUNK, Manifest

TENANT, GATEWAY, SENSOR, BOOT = (UUID(int=n) for n in range(61, 65))
POLICY = LinkPolicy(settle_s=0.05, first_wait_s=0.05, longest_wait_s=0.2)


def still() -> Recording:
    """Nobody moves, so that nothing live is recorded."""
    t = np.arange(0, 60, 0.01)
    acc = np.tile([0.0, 0.0, 9.81], (len(t), 1))
    return Recording({"wrist": SensorRecording(t, acc, np.zeros_like(acc), None)})


class Home:
    """A sensor, an outbox, and as many starts of the gateway's receiving half as a test likes."""

    def __init__(self, profile: str, folder: Path) -> None:
        self.profile = profile
        self.outbox = Outbox(folder / "outbox.db", bytes(32), limit_bytes=1 << 28)
        self.sensor: Any = None
        self.radio: Radio
        self.events: list[LinkEvent] = []
        self.blocks: list[SampleBlock] = []
        self.breaks_after: int | None = None
        self.recorder: Recorder

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            place = int(listening.getsockname()[1])
        async with Air(seed=5) as air:
            (self.sensor,) = await wear(air, self.profile, still(), seed=5, loop=True)
            await air.serve(f"tcp-server:127.0.0.1:{place}")
            self.radio = open_radio(f"bumble:tcp-client:127.0.0.1:{place}")
            try:
                yield
            finally:
                await self.radio.close()

    @contextlib.asynccontextmanager
    async def gateway(self, *, open_on_motion: bool = False) -> AsyncIterator[SensorLink]:
        """One start of the gateway; leaving it stores what came, as a kill would not."""
        found = await self.radio.find(self.sensor.address.to_string(False), 20)
        assert found is not None
        driver, clocks = create(self.profile), DeviceClocks(wall_clock())
        life = RecordingLife(TENANT, GATEWAY, self.outbox.recall("life"))
        sealer = Sealer(TENANT, BOOT, clock_of=lambda _sensor, boot: clocks.of(boot))
        self.recorder = Recorder(self.outbox, sealer, life, open_on_motion=open_on_motion)
        self.recorder.add_sensor(SENSOR, "wrist", has_flash=driver.has_flash, has_files=driver.has_files)

        def on_block(block: SampleBlock) -> None:
            self.blocks.append(block)
            clocks.observe(block)
            self.recorder.on_block(SENSOR, spec_of(driver.streams(), block), block)
            if len(self.of_files()) == self.breaks_after:
                self.sensor.drop_link()
                stopping.append(asyncio.ensure_future(link.stop()))

        def on_event(event: LinkEvent) -> None:
            self.events.append(event)
            if event.kind is Event.FETCHED and event.file is not None:
                self.recorder.file_came(SENSOR, *event.file)

        link = SensorLink(
            found[0], driver, radio=self.radio, on_block=on_block, on_event=on_event, policy=POLICY,
            have=self.recorder.have(SENSOR), fetched=self.recorder.files(SENSOR),
        )  # fmt: skip
        stopping: list[asyncio.Future[None]] = []
        task = asyncio.create_task(link.run())
        try:
            yield link
        finally:
            await link.stop()
            await asyncio.gather(task, *stopping)

    async def until(self, satisfied: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not satisfied():
                await asyncio.sleep(0.02)

    async def later(self, seconds: float) -> None:
        """What is measured live after so many seconds has come."""
        await asyncio.sleep(seconds)
        number = len(self.blocks)
        await self.until(lambda: len(self.blocks) > number + 5)

    def count(self, kind: Event) -> int:
        return sum(event.kind is kind for event in self.events)

    def of_files(self) -> list[SampleBlock]:
        return [block for block in self.blocks if block.flags & Flag.FILE]

    def stored(self) -> tuple[list[Chunk], list[Manifest]]:
        self.outbox.rewind()
        entries = self.outbox.take(1 << 28, 0.0)
        chunks = [decode(each.data) for each in entries if each.kind == CHUNK]
        return chunks, [Manifest.from_json(each.data) for each in entries if each.kind != CHUNK]

    async def record_by_itself(self, seconds: float) -> None:
        """As its button, or the maker's app, would have it."""
        if self.profile == "movesense-gsp":
            for command in (b"\x06\x50/Meas/IMU6/104\0/Time/Detailed\0", b"\x09\x51\x03"):
                self.sensor._on_write(None, command)
            await asyncio.sleep(seconds)
            self.sensor._on_write(None, b"\x09\x52\x02")
            return
        mode = bytearray(30)
        mode[10] = 2
        config = struct.pack("<q?", 0, False) + b"walk".ljust(65, b"\0")
        for header, payload in ((0x0152, b""), (0x0120, bytes(mode)), (0x0140, config), (0x0154, b"")):
            self.sensor._on_write(None, c2g_frame(header, payload))
        await asyncio.sleep(seconds)
        self.sensor._on_write(None, c2g_frame(0x0156))


def spec_of(streams: tuple[StreamSpec, ...], block: SampleBlock) -> StreamSpec:
    return next(spec for spec in streams if spec.name == block.stream)


def indices(chunks: list[Chunk]) -> list[tuple[int, int]]:
    return [(chunk.boot, chunk.first + k) for chunk in chunks for k in range(chunk.n)]


@pytest.fixture(params=["movesense-gsp", "capture2go"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = Home(request.param, tmp_path)
    yield made
    made.outbox.close()


def test_a_recording_in_the_memory_comes_by_itself_once_and_dated(home: Home) -> None:
    async def story() -> float:
        async with home.open():
            async with home.gateway() as link:  # sets the sensor's clock
                await home.until(lambda: link.connected and bool(home.blocks))
            began = time.time()
            await home.record_by_itself(3.0)
            async with home.gateway() as link:
                await home.until(lambda: home.count(Event.FETCHED) == 1)
                assert await home.recorder.store()
                home.sensor.drop_link()
                await home.until(lambda: home.count(Event.CONNECTED) == 3)
                await asyncio.sleep(0.5)
            came = len(home.of_files())
            async with home.gateway() as link:  # another process: it remembers
                await home.until(lambda: link.connected)
                await asyncio.sleep(0.5)
            assert (home.count(Event.FETCHED), len(home.of_files())) == (1, came)
            return began

    began = asyncio.run(story())
    chunks, manifests = home.stored()
    sent = sum(len(block.values) for block in home.of_files())
    assert len(indices(chunks)) == len(set(indices(chunks))) == sent > 250
    (manifest,) = manifests
    (stream,) = manifest.streams
    assert (stream.first, stream.last + 1, stream.lost) == (0, sent, ())
    assert all(chunk.boot == stream.boot for chunk in chunks)
    assert all(chunk.fit_version == 1 for chunk in chunks), "dated by the sensor, not by when it came"
    assert abs(min(chunk.start_us for chunk in chunks) * 1e-6 - began) < 20.0


def test_a_file_broken_by_a_kill_is_whole_once(home: Home) -> None:
    """The second process knows nothing of the first but what its outbox held."""

    async def story() -> None:
        async with home.open():
            await home.record_by_itself(4.0)
            home.breaks_after = 9
            async with home.gateway():
                await home.until(lambda: len(home.of_files()) >= 9)
            home.recorder._chunks += home.recorder._sealer.flush()
            assert await home.recorder.store()
            assert home.count(Event.FETCHED) == 0
            first, home.breaks_after = len(home.of_files()), None
            async with home.gateway():
                await home.until(lambda: home.count(Event.FETCHED) == 1)
                assert await home.recorder.store()
            assert len(home.of_files()) > first

    asyncio.run(story())
    chunks, manifests = home.stored()
    assert len(manifests) == 1
    (stream,) = manifests[0].streams
    assert sorted(indices(chunks)) == [(stream.boot, k) for k in range(stream.last + 1)]


def test_a_live_recording_goes_on_beside_the_file(home: Home) -> None:
    async def story() -> None:
        async with home.open():
            await home.record_by_itself(2.0)
            async with home.gateway() as link:
                await home.until(lambda: link.connected)
                home.recorder.open("start")
                await home.until(lambda: home.count(Event.FETCHED) == 1)
                await home.until(lambda: any(not block.flags & Flag.FILE for block in home.blocks))
                home.recorder.close("stop")
                assert await home.recorder.store()

    asyncio.run(story())
    _, manifests = home.stored()
    boots = {block.boot for block in home.of_files()}
    of_file = [each for each in manifests if {stream.boot for stream in each.streams} == boots]
    live = [each for each in manifests if not {stream.boot for stream in each.streams} & boots]
    assert (len(of_file), len(live)) == (1, 1)


def test_what_was_there_at_the_setup_is_somebody_elses(home: Home) -> None:
    async def story() -> None:
        async with home.open():
            await home.record_by_itself(1.0)
            files = home.sensor.files if home.profile == "capture2go" else home.sensor.logs
            there = passed_by({str(name): len(data) for name, data in files.items()})
            home.outbox.put([], {state_name(SENSOR): there})
            async with home.gateway() as link:
                await home.until(lambda: link.connected and bool(home.blocks))
                await asyncio.sleep(0.5)

    asyncio.run(story())
    assert home.of_files() == []
    assert home.stored() == ([], [])


def test_a_memory_that_cannot_be_read_costs_nothing_live(home: Home) -> None:
    async def story() -> None:
        async with home.open():
            await home.record_by_itself(1.0)
            if home.profile == "capture2go":
                home.sensor._commands[0x0500] = lambda _payload: home.sensor._error(251, 0x0500)
            else:
                home.sensor._commands[3] = lambda _ref, _data: struct.pack("<H", 503)
            async with home.gateway():
                await home.until(lambda: len(home.blocks) > 20)

    asyncio.run(story())
    assert home.of_files() == []
    assert home.count(Event.CONNECTED) == 1


def test_minutes_recorded_live_are_not_recorded_again(tmp_path: Path) -> None:
    """A log that ran while the sensor streamed; without the guard these seconds would be counted twice."""
    home = Home("movesense-gsp", tmp_path)

    async def story() -> None:
        async with home.open(), home.gateway() as link:
            await home.until(lambda: link.connected and bool(home.blocks))
            home.recorder.open("start")
            await home.later(1.0)
            await home.record_by_itself(3.0)
            await home.later(1.0)
            home.recorder.close("stop")
            home.sensor.drop_link()
            await home.until(lambda: home.count(Event.FETCHED) == 1)
            assert await home.recorder.store()

    asyncio.run(story())
    chunks, _ = home.stored()
    boots = {block.boot for block in home.of_files()}
    fetched = sum(len(block.values) for block in home.of_files())
    again = [index for boot, index in indices(chunks) if boot in boots]
    assert fetched > 250
    # The simulated log begins where the stream did, a little before its first packet came.
    assert again == list(range(len(again)))
    assert len(again) < fetched / 3
    home.outbox.close()
