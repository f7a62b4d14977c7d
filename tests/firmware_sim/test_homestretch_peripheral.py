"""The homestretch profile over the air, against its page in docs/reference, byte by byte."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import struct
import zlib
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
from bumble import att, core, hci
from bumble.pairing import PairingConfig, PairingDelegate

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.central import Client, until
from rtm_firmware_sim.firmware import Battery
from rtm_firmware_sim.flash import FlashRing
from rtm_firmware_sim.profiles.homestretch import Homestretch, frame
from rtm_firmware_sim.simulate import wear
from rtm_signal.recording import Recording, SensorRecording

Play = Callable[[Coroutine[Any, Any, None]], None]
Moving = Callable[..., SensorRecording]


def uuid(number: int) -> str:
    return f"4ef8{number:04x}-139d-493c-9069-c0b6411e52e4"


INFORMATION, CONTROL, DATA, FLASH, EVENT = (uuid(k) for k in (2, 3, 4, 5, 6))


async def put_on(air: Air, recording: SensorRecording, **options: Any) -> Homestretch:
    (sensor,) = await wear(air, "homestretch", Recording({"thigh": recording}), **options)
    assert isinstance(sensor, Homestretch)
    return sensor


async def paired(air: Air, sensor: Homestretch, *, mtu: int = 247) -> Client:
    client = await Client.connect(air, sensor, mtu=mtu)
    await client.connection.pair()
    for key in (CONTROL, DATA, FLASH, EVENT):
        await client.subscribe(key)
    return client


async def command(client: Client, op: int, ref: int, arguments: bytes = b"") -> tuple[int, bytes]:
    answer = await client.ask(CONTROL, bytes([op, ref]) + arguments, client.received[CONTROL])
    assert answer[:2] == bytes([op | 0x80, ref])
    return answer[2], answer[3:]


def opened(raw: bytes, boot: int) -> tuple[int, int, np.ndarray]:
    """(sequence, tick, samples) of a frame whose check is right."""
    assert binascii.crc_hqx(struct.pack("<I", boot) + raw[:-2], 0xFFFF) == int.from_bytes(raw[-2:], "little")
    sequence, tick = struct.unpack_from("<HI", raw)
    return sequence, tick, np.frombuffer(raw[6:-2], "<i2").reshape(-1, 6)


def expected(recording: SensorRecording) -> np.ndarray:
    assert recording.gyr is not None
    acc = np.rint(recording.acc / (16 * 9.80665 / 32768))
    gyr = np.rint(recording.gyr / (np.radians(2000) / 32768))
    return np.hstack([acc, gyr]).astype(np.int16)


def test_the_frame_of_the_page() -> None:
    samples = np.array([[0, 0, 4096, 1, -1, 2]], dtype=np.int16)
    wanted = "01 00 00 80 00 00 00 00 00 00 00 10 01 00 ff ff 02 00 c7 ba"
    assert frame(7, 1, 32768, samples).hex(" ") == wanted
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1


def test_nothing_is_read_written_or_subscribed_before_encryption(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            client = await Client.connect(air, await put_on(air, moving()))
            for attempt in (
                client.read(INFORMATION),
                client.write(CONTROL, bytes([5, 0])),
                client.subscribe(DATA),
            ):
                with pytest.raises(att.ATT_Error) as refused:
                    await attempt
                assert refused.value.error_code == att.ATT_INSUFFICIENT_ENCRYPTION_ERROR
            await client.connection.pair()
            assert len(await client.read(INFORMATION)) == 48

    play(scene())


def test_legacy_pairing_is_refused(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving())
            client = await Client.connect(air, sensor)
            client.central.pairing_config_factory = lambda _connection: PairingConfig(sc=False, mitm=False)
            with contextlib.suppress(core.ProtocolError, core.InvalidStateError, asyncio.CancelledError):
                await client.connection.pair()
            await until(lambda: not client.central.connections)

    play(scene())


@pytest.mark.parametrize(("entered", "right"), [(123456, True), (654321, False)])
def test_a_printed_passkey(play: Play, moving: Moving, entered: int, right: bool) -> None:
    class Person(PairingDelegate):
        async def get_number(self) -> int:
            return entered

    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving())
            sensor.passkey = 123456
            client = await Client.connect(air, sensor)
            person = Person(PairingDelegate.IoCapability.KEYBOARD_INPUT_ONLY)
            client.central.pairing_config_factory = lambda _connection: PairingConfig(delegate=person)
            if right:
                await client.connection.pair()
                assert len(await client.read(INFORMATION)) == 48
            else:
                with pytest.raises(core.ProtocolError):
                    await client.connection.pair()

    play(scene())


def test_a_lost_bond_is_a_missing_key(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving())
            client = await paired(air, sensor)
            await sensor.forget_bonds()
            sensor.drop_link()
            await until(lambda: not client.central.connections)
            again = await Client.connect(air, sensor, central=client.central)
            with pytest.raises(hci.HCI_Error) as error:
                await again.connection.encrypt()
            assert error.value.error_code == hci.HCI_ErrorCode.PIN_OR_KEY_MISSING_ERROR

    play(scene())


def test_information(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving())
            client = await paired(air, sensor, mtu=23)  # three reads
            raw = await client.read(INFORMATION)
            assert raw[:4] == bytes([1, 1, 3, 0])
            assert raw[4:16].rstrip(b"\0").decode() == sensor.firmware.serial
            boot, tick_hz, rate, acc, gyr, g, dps, capacity = struct.unpack_from("<IIIffHHI", raw, 20)
            assert (boot, tick_hz, rate, g, dps) == (sensor.firmware.boot, 32768, 100_000, 16, 2000)
            assert (acc, gyr) == pytest.approx((16 * 9.80665 / 32768, np.radians(2000) / 32768))
            assert capacity == sensor.firmware.flash.capacity

    play(scene())


@pytest.mark.parametrize(
    ("mtu", "batch", "size"), [(23, 0, 1), (23, 10, 1), (247, 1, 1), (247, 10, 10), (247, 0, 19)]
)
def test_the_recording_arrives_whole_at_any_mtu(
    play: Play, moving: Moving, mtu: int, batch: int, size: int
) -> None:
    async def scene() -> None:
        async with Air() as air:
            recording = moving()
            sensor = await put_on(air, recording, speed=20.0)
            client = await paired(air, sensor, mtu=mtu)
            status, data = await command(client, 1, 9, bytes([batch]))
            boot, first, tick = struct.unpack("<III", data)
            assert (status, boot, first) == (0, sensor.firmware.boot, 0)
            await until(lambda: not sensor.firmware.sampling and sensor.firmware.next_index == 200)
            box = client.received[DATA]
            await until(lambda: sum((len(raw) - 8) // 12 for raw in box) == 200)
            frames = [opened(raw, boot) for raw in box]
            assert {len(samples) for _, _, samples in frames[:-1]} == {size}
            assert [sequence for sequence, _, _ in frames] == list(range(0, 200, size))
            assert np.array_equal(np.vstack([samples for _, _, samples in frames]), expected(recording))
            for sequence, at, _ in frames:
                assert at == tick + round(sequence / 100 * 32768)

    play(scene())


def test_one_seed_gives_the_same_bytes_whenever_it_is_started(play: Play, moving: Moving) -> None:
    runs: list[list[bytes]] = []

    async def scene(pause: float) -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(1.0), speed=20.0, seed=3)
            client = await paired(air, sensor)
            await asyncio.sleep(pause)
            await command(client, 1, 1, b"\x0a")
            await until(lambda: len(client.received[DATA]) == 10)
            runs.append(client.received[DATA])

    play(scene(0.0))
    play(scene(0.17))
    assert runs[0] == runs[1]


def test_a_second_start_begins_anew_and_the_index_goes_on(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(0.5), speed=10.0)
            client = await paired(air, sensor)
            box = client.received[DATA]
            await command(client, 1, 1, b"\x0a")
            await until(lambda: len(box) == 5)
            _, data = await command(client, 1, 2, b"\x0a")
            assert struct.unpack("<III", data)[1] == 50
            await until(lambda: len(box) == 10)
            boot = sensor.firmware.boot
            assert [opened(raw, boot)[0] for raw in box] == list(range(0, 100, 10))
            assert box[0][6:-2] == box[5][6:-2]
            assert opened(box[5], boot)[1] > opened(box[4], boot)[1]

    play(scene())


def test_a_hole_in_the_recording_is_a_hole_in_the_index(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        whole = moving()
        keep = np.ones(200, dtype=bool)
        keep[55:83] = False
        assert whole.gyr is not None
        holed = SensorRecording(whole.t[keep], whole.acc[keep], whole.gyr[keep])
        async with Air() as air:
            sensor = await put_on(air, holed, speed=20.0)
            client = await paired(air, sensor)
            await command(client, 1, 1, b"\x0a")
            await until(lambda: sum((len(raw) - 8) // 12 for raw in client.received[DATA]) == keep.sum())
            indices = [
                sequence + k
                for raw in client.received[DATA]
                for sequence, _, samples in [opened(raw, sensor.firmware.boot)]
                for k in range(len(samples))
            ]
            assert indices == np.flatnonzero(keep).tolist()

    play(scene())


def test_a_lost_link_loses_nothing_that_flash_has(play: Play, moving: Moving) -> None:
    """Drop in mid-stream, come back, read the rest by index, compare with the recording; then free it."""

    async def scene() -> None:
        async with Air() as air:
            recording = moving(4.0)
            sensor = await put_on(air, recording, speed=10.0)
            client = await paired(air, sensor)
            _, data = await command(client, 1, 1, b"\x01")
            boot = int.from_bytes(data[:4], "little")
            await until(lambda: len(client.received[DATA]) > 60)
            sensor.drop_link()
            await until(lambda: sensor.connection is None and not client.central.connections)
            got = [opened(raw, boot) for raw in client.received[DATA]]
            have = len(got)
            await asyncio.sleep(0.5)  # the rest of the recording passes while nobody is connected

            again = await Client.connect(air, sensor, central=client.central)
            await again.connection.encrypt()
            for key in (CONTROL, DATA, FLASH):
                await again.subscribe(key)
            status, data = await command(again, 5, 2)
            state, battery, same_boot, oldest, following = struct.unpack("<BBIII", data)
            assert (status, state, same_boot, oldest, following) == (0, 0, boot, 0, 400)
            assert 0 < battery <= 100

            status, data = await command(again, 6, 3, struct.pack("<III", boot, have, 1000))
            assert (status, data) == (0, struct.pack("<II", have, 400 - have))
            await until(lambda: again.received[CONTROL][-1][:2] == bytes([0xC6, 3]))
            stored = [opened(raw, boot) for raw in again.received[FLASH]]
            samples = np.vstack([s for _, _, s in got + stored])
            assert np.array_equal(samples, expected(recording))
            sent, crc = struct.unpack("<II", again.received[CONTROL][-1][3:])
            assert sent == 400 - have
            assert crc == zlib.crc32(b"".join(raw[6:-2] for raw in again.received[FLASH]))

            status, data = await command(again, 8, 4, struct.pack("<II", boot, 390))
            assert (status, data) == (0, struct.pack("<I", 390))
            assert (await command(again, 6, 5, struct.pack("<III", boot, 0, 390)))[0] == 4
            status, data = await command(again, 10, 6, b"\0")
            assert (status, struct.unpack("<BIII", data[:13])) == (0, (1, boot, 390, 400))
            await command(again, 8, 7, struct.pack("<II", boot, 400))
            assert await command(again, 10, 8, b"\0") == (2, b"\0")

    play(scene())


def test_a_reboot_has_a_new_boot_and_keeps_the_old_samples(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(4.0), speed=10.0)
            client = await paired(air, sensor)
            await command(client, 1, 1, b"\x01")
            await until(lambda: len(client.received[DATA]) > 20)
            old = sensor.firmware.boot
            sensor.reboot()
            await until(lambda: sensor.connection is None)
            again = await Client.connect(air, sensor, central=client.central)
            await again.connection.encrypt()
            await again.subscribe(CONTROL)
            await again.subscribe(DATA)
            assert struct.unpack_from("<I", await again.read(INFORMATION), 20) == (old + 1,)
            status, data = await command(again, 10, 1, b"\0")
            assert status == 0
            assert struct.unpack_from("<BII", data) == (1, old, 0)
            _, data = await command(again, 1, 2, b"\x01")
            assert struct.unpack("<III", data)[:2] == (old + 1, 0)

    play(scene())


def test_the_whole_tick_of_what_is_stored(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(), loop=True)
            client = await paired(air, sensor)
            await command(client, 1, 1, b"\x01")
            await until(lambda: len(client.received[DATA]) > 3)
            boot = sensor.firmware.boot
            held = sensor.firmware.flash.read(boot, 2, 1)
            assert held is not None
            status, data = await command(client, 12, 2, struct.pack("<II", boot, 2))
            assert (status, struct.unpack("<IQ", data)) == (0, (2, int(held.ticks[0])))
            await command(client, 8, 3, struct.pack("<II", boot, 3))
            status, data = await command(client, 12, 4, struct.pack("<II", boot, 0))
            assert (status, struct.unpack("<IQ", data)[0]) == (0, 3)
            assert await command(client, 12, 5, struct.pack("<II", boot + 1, 0)) == (4, b"")

    play(scene())


def test_time_and_settings(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(), loop=True, speed=1.0)
            client = await paired(air, sensor)
            ticks = []
            for ref in range(3):
                status, data = await command(client, 9, ref)
                tick, hold = struct.unpack("<QI", data)
                assert status == 0
                assert tick + hold <= sensor.firmware.clock.tick()
                ticks.append(tick)
            assert sorted(ticks) == ticks
            assert await command(client, 3, 7, struct.pack("<I", 47_000)) == (0, struct.pack("<I", 50_000))
            assert await command(client, 4, 8, struct.pack("<HH", 5, 900)) == (0, struct.pack("<HH", 8, 1000))
            assert (await client.read(INFORMATION))[28:32] == struct.pack("<I", 50_000)
            await command(client, 1, 1, b"\x01")
            assert await command(client, 3, 7, struct.pack("<I", 100_000)) == (3, b"")
            assert await command(client, 11, 2, b"\x05") == (0, b"")
            status, data = await command(client, 2, 3)
            assert struct.unpack("<II", data)[1] == sensor.firmware.next_index

    play(scene())


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (bytes([0x55, 1]), 1),
        (bytes([1, 1]), 2),
        (bytes([5, 1, 0]), 2),
        (bytes([6, 1, 0]), 2),
        (bytes([3, 1, 0, 0, 0, 0]), 2),
        (bytes([6, 1]) + struct.pack("<III", 99, 0, 10), 4),
        (b"\x05", 2),
    ],
)
def test_wrong_commands_are_answered(play: Play, moving: Moving, request_bytes: bytes, status: int) -> None:
    async def scene() -> None:
        async with Air() as air:
            client = await paired(air, await put_on(air, moving()))
            answer = await client.ask(CONTROL, request_bytes, client.received[CONTROL])
            assert answer[2] == status

    play(scene())


def test_the_button_begins_and_ends_a_run(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(), loop=True)
            client = await paired(air, sensor)
            await sensor.press_button()
            await sensor.press_button()
            await until(lambda: len(client.received[EVENT]) == 4)
            assert [raw[:2] for raw in client.received[EVENT]] == [b"\1\1", b"\4\0", b"\1\1", b"\5\0"]
            assert {len(raw) for raw in client.received[EVENT]} == {14}

    play(scene())


def test_events_of_battery_flash_and_the_recordings_end(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(1.0), speed=10.0)
            sensor.firmware.flash = FlashRing(110)
            sensor.firmware.battery = Battery(lambda: 0.0, percent=9.0)
            client = await paired(air, sensor)
            await command(client, 1, 1, b"\x0a")
            await until(lambda: len(client.received[EVENT]) == 3)
            kinds = [(raw[0], raw[1]) for raw in client.received[EVENT]]
            assert kinds[0] == (2, 9)
            assert sorted(kind for kind, _ in kinds) == [2, 3, 5]
            assert struct.unpack_from("<I", client.received[EVENT][0], 2)[0] == sensor.firmware.boot

    play(scene())


def test_a_stream_that_falls_behind_the_flash_skips_and_goes_on(play: Play, moving: Moving) -> None:
    """On a slow machine the link took longer than the flash held: the stream then waited for what was gone."""

    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(), loop=True, speed=200.0)
            sensor.firmware.flash = FlashRing(60)
            client = await paired(air, sensor)
            plain, slow = sensor.notify, 2

            async def late(characteristic: Any, value: bytes) -> None:
                nonlocal slow
                slow -= 1
                await asyncio.sleep(0.5 if slow >= 0 else 0.0)  # ten thousand samples
                await plain(characteristic, value)

            await command(client, 1, 1, b"\x01")
            sensor.notify = late  # type: ignore[method-assign]  # the slow link
            boot = sensor.firmware.boot

            def has_skipped() -> bool:
                first = np.array([opened(raw, boot)[0] for raw in client.received[DATA]])
                return bool(first.size > 1 and np.max(np.diff(first)) > 60)

            await until(has_skipped)
            assert slow < 0

    play(scene())


def test_without_a_subscription_it_only_samples(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, moving(), loop=True)
            client = await paired(air, sensor)
            await command(client, 1, 1, b"\x01")
            await until(lambda: len(client.received[DATA]) > 3)
            await client.unsubscribe(DATA)
            _, data = await command(client, 5, 2)
            assert data[0] == 0b001  # sampling, not streaming
            sensor.firmware.told_rate_hz = 50.0  # a liar
            assert struct.unpack_from("<I", await client.read(INFORMATION), 28)[0] == 50_000
            same = sensor.firmware.boot
            sensor.reboot(boot=same)
            assert sensor.firmware.boot == same

    play(scene())


def test_two_sensors_started_apart_share_the_recordings_time(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            recording = Recording({"thigh": moving(), "shank": moving()})
            sensors = await wear(air, "homestretch", recording, speed=4.0)
            clients = []
            for sensor in sensors:
                assert isinstance(sensor, Homestretch)
                client = await paired(air, sensor)
                clients.append(client)
                await command(client, 1, 1, b"\x0a")
                await asyncio.sleep(0.1)
            await until(lambda: all(len(client.received[DATA]) == 20 for client in clients))
            anchors = {
                sensor.firmware.flash.runs[0].begin for sensor in sensors if isinstance(sensor, Homestretch)
            }
            assert anchors == {0}
            assert clients[0].received[DATA][0][6:-2] == clients[1].received[DATA][0][6:-2]

    play(scene())
