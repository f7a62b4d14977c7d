"""The drivers against the simulator's peripherals: encoders and decoders written by different hands.

Every profile over a real radio in two directions: the samples that arrive are those of the recording.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.simulate import wear
from rtm_gateway.drivers import DRIVERS, SampleBlock, create, recognise
from rtm_gateway.link import Event, LinkEvent, LinkPolicy, SensorLink
from rtm_gateway.radio import open_radio
from rtm_signal.chunk import UNITS
from rtm_signal.recording import Recording, SensorRecording

SECONDS = 4.0
# Half an LSB of the coarsest sensor: 16 g and 2000 degrees/s in 16 bits, and Polar's 1 mg.
ACC_STEP, GYR_STEP = 0.012, 0.0025


def recording() -> Recording:
    """Slow sines, so that a sample of another rate is still recognised by its value."""
    t = np.arange(0, 60, 0.005)
    phases = np.arange(3)[:, None]
    acc = (np.sin(2 * np.pi * 0.4 * t + phases) * 5).T + np.array([0.0, 0.0, 9.8])
    gyr = (np.cos(2 * np.pi * 0.4 * t + phases) * 2).T
    return Recording({"wrist": SensorRecording(t, acc, gyr, None)})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def collect(profile: str, state: Path) -> tuple[SensorLink, list[SampleBlock], list[LinkEvent]]:
    blocks: list[SampleBlock] = []
    events: list[LinkEvent] = []
    port = free_port()
    async with Air(seed=3) as air:
        await wear(air, profile, recording(), seed=3, loop=True)
        await air.serve(f"tcp-server:127.0.0.1:{port}")
        radio = open_radio(f"bumble:tcp-client:127.0.0.1:{port}", state)
        try:
            found = [pair for pair in await radio.scan(1.0) if recognise(pair[1]) == profile]
            assert len(found) == 1, "the simulated sensor is not recognised by its advertisement"
            link = SensorLink(
                found[0][0],
                create(profile),
                radio=radio,
                on_block=blocks.append,
                on_event=events.append,
                policy=LinkPolicy(exchange_every_s=1.0),
            )
            task = asyncio.create_task(link.run())
            async with asyncio.timeout(40):
                while sum(len(b.values) for b in blocks) < SECONDS * 50:
                    await asyncio.sleep(0.05)
            await link.stop()
            await asyncio.wait_for(task, 10)
        finally:
            await radio.close()
    return link, blocks, events


def si(link: SensorLink, blocks: list[SampleBlock], stream: str) -> NDArray[np.float64]:
    spec = link.spec(stream)
    assert spec is not None
    factors = np.array([channel.scale * UNITS[channel.unit] for channel in spec.channels])
    rows = [block.values for block in blocks if block.stream == stream]
    values: NDArray[np.float64] = np.concatenate(rows).astype(float) * factors
    return values


@pytest.mark.parametrize("profile", sorted(DRIVERS))
def test_what_the_simulator_sends_is_what_the_driver_reads(profile: str, tmp_path: Path) -> None:
    link, blocks, events = asyncio.run(collect(profile, tmp_path))
    kinds = [event.kind for event in events]
    assert kinds.count(Event.CONNECTED) == 1, kinds
    assert link.counters.malformed == link.counters.crc == link.counters.duplicate == 0
    assert link.counters.gap == 0
    truth = recording().sensors["wrist"]
    for stream in {block.stream for block in blocks}:
        measured = si(link, blocks, stream)
        for columns, name, step in ((slice(0, 3), "acc", ACC_STEP), (slice(3, 6), "gyr", GYR_STEP)):
            if stream not in ("imu", "imu9", name):
                continue
            part = measured[:, columns] if stream.startswith("imu") else measured
            expected = truth.acc if name == "acc" else truth.gyr
            assert expected is not None
            distance = np.array([np.abs(expected - row).max(axis=1).min() for row in part[::7]])
            # Between two points of the recording a value may be met half-way.
            assert np.quantile(distance, 0.99) < step + 0.04, (stream, name, distance.max())
    spec = link.spec(blocks[0].stream)
    assert spec is not None
    if profile in ("homestretch", "capture2go"):
        assert Event.CLOCK in kinds
