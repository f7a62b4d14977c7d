"""The radio between simulated sensors and a central: time, loss, range, and bumble's defects."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
from bumble import core, hci
from bumble.device import Device
from bumble.transport import open_transport

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.central import Client, until
from rtm_firmware_sim.link import RadioConditions
from rtm_firmware_sim.profiles import homestretch
from rtm_firmware_sim.profiles.homestretch import Homestretch
from rtm_firmware_sim.simulate import wear
from rtm_signal.recording import Recording, SensorRecording

Play = Callable[[Coroutine[Any, Any, None]], None]
Moving = Callable[..., SensorRecording]

CONTROL, DATA, FLASH = (f"4ef8{k:04x}-139d-493c-9069-c0b6411e52e4" for k in (3, 4, 5))
BAD_RADIO = RadioConditions(interval_s=0.01, loss=0.3, packets_per_event=2, supervision_s=0.3)


async def put_on(air: Air, recording: SensorRecording, **options: Any) -> Homestretch:
    (sensor,) = await wear(air, "homestretch", Recording({"thigh": recording}), **options)
    assert isinstance(sensor, Homestretch)
    return sensor


async def stream(client: Client, batch: int) -> list[bytes]:
    await client.subscribe(CONTROL)
    box = await client.subscribe(DATA)
    await client.write(CONTROL, bytes([1, 0, batch]))
    return box


def test_a_bad_radio_delays_and_never_loses_or_reorders(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air(BAD_RADIO, seed=4) as air:
            sensor = await put_on(air, moving(1.0), speed=2.0)
            client = await Client.connect(air, sensor)
            await client.connection.pair()
            box = await stream(client, 1)
            await until(lambda: len(box) == 100)
            assert [raw[0] for raw in box] == list(range(100))

    play(scene())


@pytest.mark.parametrize("conditions", [None, BAD_RADIO])
def test_range_loss_longer_than_the_supervision_timeout_drops_both_ends(
    play: Play, moving: Moving, conditions: RadioConditions | None
) -> None:
    async def scene() -> None:
        async with Air(conditions) as air:
            sensor = await put_on(air, moving(), loop=True)
            client = await Client.connect(air, sensor)
            reasons: list[int] = []
            client.connection.on("disconnection", reasons.append)
            if conditions is None:
                air.link.conditions = RadioConditions(interval_s=0.0, supervision_s=0.2)
            sensor.lose_range(0.6)
            await until(lambda: reasons and sensor.connection is None)
            assert reasons == [hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR]
            # Back in range it is found again by itself.
            again = await Client.connect(air, sensor, central=client.central)
            assert again.has(DATA)

    play(scene())


def test_a_short_range_loss_holds_packets_back_and_loses_none(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        conditions = RadioConditions(interval_s=0.01, supervision_s=2.0)
        async with Air(conditions) as air:
            sensor = await put_on(air, moving(1.0), speed=1.0)
            client = await Client.connect(air, sensor)
            await client.connection.pair()
            box = await stream(client, 1)
            await until(lambda: len(box) > 10)
            sensor.lose_range(1.2)
            await asyncio.sleep(0.2)
            held = len(box)
            await asyncio.sleep(0.15)
            assert len(box) == held
            await until(lambda: len(box) == 100)
            assert [raw[0] for raw in box] == list(range(100))

    play(scene())


def test_a_link_too_slow_skips_live_frames_and_flash_has_them(
    play: Play, moving: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homestretch, "FIFO_S", 0.3)
    slow = RadioConditions(interval_s=0.04, packets_per_event=1)

    async def scene() -> None:
        async with Air(slow) as air:
            recording = moving(3.0)
            sensor = await put_on(air, recording)
            client = await Client.connect(air, sensor)
            await client.connection.pair()
            await client.subscribe(FLASH)
            box = await stream(client, 1)
            await until(lambda: not sensor.firmware.sampling)
            await asyncio.sleep(0.5)
            indices = [struct.unpack_from("<H", raw)[0] for raw in box]
            assert indices == sorted(set(indices))
            assert max(np.diff(indices)) > 1
            air.link.conditions = None
            ask = bytes([6, 1]) + struct.pack("<III", sensor.firmware.boot, 0, 1000)
            await client.write(CONTROL, ask)
            frames = client.received[FLASH]
            await until(lambda: sum((len(raw) - 8) // 12 for raw in frames) == 300)
            assert [struct.unpack_from("<H", raw)[0] for raw in frames] == list(range(0, 300, 19))

    play(scene())


def test_an_mtu_that_changes_at_reconnection(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(), loop=True)
            client = await Client.connect(air, sensor)
            assert client.connection.att_mtu == 247
            sensor.set_mtu(23)
            sensor.drop_link()
            await until(lambda: not client.central.connections)
            again = await Client.connect(air, sensor, central=client.central)
            assert again.connection.att_mtu == 23

    play(scene())


def test_reconnecting_again_and_again_uses_nothing_up(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(), loop=True)
            client = await Client.connect(air, sensor)
            for _ in range(4):
                sensor.drop_link()
                await until(lambda: not client.central.connections and sensor.connection is None)
                await Client.connect(air, sensor, central=client.central)
            # bumble has 240 advertising sets in all and forgets none
            assert len(sensor.device.extended_advertising_sets) == 1

    play(scene())


def test_a_cancelled_connection_attempt_ends_and_the_next_works(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            central = await air.central()
            with pytest.raises((core.TimeoutError, asyncio.TimeoutError, core.ConnectionError)):
                await central.connect("C0:11:22:33:44:55", transport=core.PhysicalTransport.LE, timeout=0.2)
            sensor = await put_on(air, moving())
            assert (await Client.connect(air, sensor, central=central)).has(DATA)

    play(scene())


def test_centrals_over_tcp_each_get_a_controller_and_leave_as_a_timeout(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(), loop=True)
            port = await free_port()
            await air.serve(f"tcp-server:127.0.0.1:{port}")
            for _ in range(2):  # the second comes after the first has gone without a word
                transport = await open_transport(f"tcp-client:127.0.0.1:{port}")
                device = Device.with_hci(
                    "far", hci.Address("D0:00:00:00:00:09"), transport.source, transport.sink
                )
                await device.power_on()
                client = await Client.connect(air, sensor, central=device)
                await client.connection.pair()
                box = await stream(client, 1)
                await until(lambda box=box: len(box) > 5)  # type: ignore[misc]  # bound for the loop
                await transport.close()
                await until(lambda: sensor.connection is None)

    play(scene())


async def free_port() -> int:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


def test_fifty_sensors_stream_at_once_without_a_gap(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            recording = Recording({f"s{k}": moving(1.0) for k in range(50)})
            sensors = await wear(air, "homestretch", recording, speed=1.0)
            central = await air.central()
            boxes = []
            for sensor in sensors:
                client = await Client.connect(air, sensor, central=central)
                await client.connection.pair()
                boxes.append(await stream(client, 10))
            await until(lambda: all(len(box) == 10 for box in boxes))
            assert {struct.unpack_from("<H", box[k])[0] for box in boxes for k in range(10)} == set(
                range(0, 100, 10)
            )

    play(scene())


def test_one_seed_gives_one_course_of_losses() -> None:
    def draws(seed: int) -> list[float]:
        async def take() -> list[float]:
            async with Air(BAD_RADIO, seed=seed) as air:
                return [air.link._random.random() for _ in range(5)]

        return asyncio.run(take())

    assert draws(1) == draws(1)
    assert np.array(draws(1)).tolist() != draws(2)
