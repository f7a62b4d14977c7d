"""The makers' wearables over the air, with a plain bumble central, against their published behaviour."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.central import Client, until
from rtm_firmware_sim.profiles import capture2go_packages as capture2go
from rtm_firmware_sim.profiles.witmotion import WitMotion
from rtm_firmware_sim.simulate import wear
from rtm_signal.recording import Recording, SensorRecording

Play = Callable[[Coroutine[Any, Any, None]], None]
Moving = Callable[..., SensorRecording]

G = 9.80665
PMD_CONTROL, PMD_DATA = (f"fb005c8{k}-02e7-f387-1cad-8acd2d8df0c8" for k in (1, 2))
GSP_WRITE, GSP_NOTIFY = (f"3480000{k}-7185-4d5d-b431-630e7050e8f0" for k in (1, 2))
WIT_NOTIFY, WIT_WRITE = (f"0000ffe{k}-0000-1000-8000-00805f9a34fb" for k in (4, 9))
C2G_RX, C2G_TX = (f"8003000{k}-e629-4c98-9324-aa7fc0c66de7" for k in (2, 3))


async def put_on(air: Air, profile: str, recording: SensorRecording, **options: Any) -> Any:
    return (await wear(air, profile, Recording({"thigh": recording}), **options))[0]


def near(got: np.ndarray, wanted: np.ndarray | None, lsb: float) -> bool:
    """The same values within half an LSB (and the rounding of a float32)."""
    assert wanted is not None
    return bool(np.abs(got - wanted[: len(got)]).max() <= 0.51 * lsb)


# Polar


async def polar(air: Air, recording: SensorRecording, **options: Any) -> tuple[Client, list[bytes]]:
    sensor = await put_on(air, "polar-pmd", recording, **options)
    client = await Client.connect(air, sensor)
    answers = await client.subscribe(PMD_CONTROL)
    await client.subscribe(PMD_DATA)
    return client, answers


def test_polar_h10(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            recording = moving()
            client, answers = await polar(air, recording, speed=20.0)
            assert (await client.read(PMD_CONTROL))[:2] == b"\x0f\x24"
            reply = await client.ask(PMD_CONTROL, b"\x01\x02", answers)
            wanted = "f0 01 02 00 00 00 04 19 00 32 00 64 00 c8 00 01 01 10 00 02 03 02 00 04 00 08 00"
            assert reply.hex(" ") == wanted
            start = bytes.fromhex("02 02 00 01 64 00 01 01 10 00 02 01 08 00")
            assert (await client.ask(PMD_CONTROL, start, answers)).hex(" ") == "f0 02 02 00 00"
            assert (await client.ask(PMD_CONTROL, start, answers)).hex(" ") == "f0 02 02 06 00"
            box = client.received[PMD_DATA]
            await until(lambda: sum((len(raw) - 10) // 6 for raw in box) == 200)
            assert {(raw[0], raw[9]) for raw in box} == {(2, 1)}
            samples = np.vstack([np.frombuffer(raw[10:], "<i2").reshape(-1, 3) for raw in box])
            assert near(samples * G / 1000, np.clip(recording.acc, -8 * G, 8 * G), G / 1000)
            stamps = [int.from_bytes(raw[1:9], "little") for raw in box]
            # of the last sample, ns; 25 samples a frame at 100 Hz
            assert set(np.diff(stamps)) == {250_000_000}
            assert (await client.ask(PMD_CONTROL, b"\x03\x02", answers)).hex(" ") == "f0 03 02 00 00"

    play(scene())


def test_polar_verity_sense(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            recording = moving(2.0, 52.0)
            client, answers = await polar(air, recording, speed=20.0, name="Polar Sense 12345678")
            start = bytes.fromhex("02 05 00 01 34 00 01 01 10 00 02 01 d0 07 04 01 03")
            reply = await client.ask(PMD_CONTROL, start, answers)
            assert reply[:7].hex(" ") == "f0 02 05 00 00 05 01"
            (factor,) = struct.unpack("<f", reply[7:])
            box = client.received[PMD_DATA]
            got: list[list[int]] = []
            await until(lambda: len(box) == 8)
            for raw in box:
                assert (raw[0], raw[9]) == (5, 0x80)
                got += unpack_deltas(raw[10:])
            assert near(np.radians(np.array(got) * factor), recording.gyr, np.radians(factor))
            assert len(got) == 104

    play(scene())


def unpack_deltas(data: bytes) -> list[list[int]]:
    values = [list(struct.unpack_from("<3h", data))]
    at = 6
    while at < len(data):
        bits, count = data[at], data[at + 1]
        size = (bits * count * 3 + 7) // 8
        packed = int.from_bytes(data[at + 2 : at + 2 + size], "little")
        for k in range(count):
            deltas = [packed >> ((3 * k + axis) * bits) & ((1 << bits) - 1) for axis in range(3)]
            signed = [d - (1 << bits) if d >> (bits - 1) else d for d in deltas]
            values.append([a + b for a, b in zip(values[-1], signed, strict=True)])
        at += 2 + size
    return values


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ("07 02", 1),
        ("01 03", 2),
        ("02 02 00 01 41 00", 8),
        ("02 02 02 01 63 00", 9),
        ("02 02 00", 4),
        ("03 02", 12),
    ],
)
def test_polar_refusals_are_five_bytes(play: Play, moving: Moving, asked: str, error: int) -> None:
    async def scene() -> None:
        async with Air() as air:
            client, answers = await polar(air, moving())
            request = bytes.fromhex(asked)
            assert await client.ask(PMD_CONTROL, request, answers) == bytes([0xF0, *request[:2], error, 0])

    play(scene())


# Movesense


async def movesense(air: Air, recording: SensorRecording, **options: Any) -> tuple[Client, list[bytes]]:
    sensor = await put_on(air, "movesense-gsp", recording, **options)
    assert sensor.name[-12:].isdigit()
    client = await Client.connect(air, sensor)
    return client, await client.subscribe(GSP_NOTIFY)


def test_movesense_commands(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            client, box = await movesense(air, moving())
            hello = await client.ask(GSP_WRITE, b"\x00\x64", box)
            assert hello[:3] == b"\x01\x64\x01"
            assert hello.count(b"\0") == 5
            utc = bytes([8, 0x6C]) + (1_700_000_000_000_000).to_bytes(8, "little")
            assert (await client.ask(GSP_WRITE, utc, box)).hex(" ") == "01 6c c8 00"
            for path in (b"/Mem/DataLogger/State", b"/Mem/DataLogger/State\0"):
                assert (await client.ask(GSP_WRITE, b"\x04\x65" + path, box)).hex(" ") == "01 65 c8 00 02"
            battery = await client.ask(GSP_WRITE, b"\x04\x05/System/Energy/Level\0", box)
            assert (battery[:4].hex(" "), len(battery)) == ("01 05 c8 00", 5)
            assert (await client.ask(GSP_WRITE, b"\x07\x06\x05", box)).hex(" ") == "01 06 ca 00"
            assert (await client.ask(GSP_WRITE, b"\x01\x07/Meas/IMU6/100", box)).hex(" ") == "01 07 94 01"
            assert (await client.ask(GSP_WRITE, b"\x04\x08/Nothing", box)).hex(" ") == "01 08 94 01"

    play(scene())


@pytest.mark.parametrize("mtu", [247, 23])
def test_movesense_stream(play: Play, moving: Moving, mtu: int) -> None:
    async def scene() -> None:
        async with Air() as air:
            recording = moving(2.0, 104.0)
            sensor = await put_on(air, "movesense-gsp", recording, speed=10.0)
            client = await Client.connect(air, sensor, mtu=mtu)
            box = await client.subscribe(GSP_NOTIFY)
            await client.write(GSP_WRITE, b"\x01\x63/Meas/IMU6/104\0")
            await until(lambda: sum(raw[0] == 2 for raw in box) == 26)
            await until(lambda: sum(len(raw) - 2 for raw in box[1:]) == 26 * 196)
            assert box[0].hex(" ") == "01 63 c8 00"
            packets: list[bytes] = []
            for raw in box[1:]:
                assert raw[1] == 0x63
                if raw[0] == 2:
                    packets.append(raw[2:])
                else:
                    assert raw[0] == 3
                    packets[-1] += raw[2:]
            assert {len(packet) for packet in packets} == {196}
            values = np.vstack(
                [np.frombuffer(p[4:], "<f4").reshape(2, 8, 3).transpose(1, 0, 2) for p in packets]
            )
            assert near(values[:, 0], recording.acc, 1e-5)
            assert near(np.radians(values[:, 1]), recording.gyr, 1e-5)
            stamps = [int.from_bytes(p[:4], "little") for p in packets]
            assert stamps[-1] - stamps[0] == pytest.approx(25 * 8 / 104 * 1000, abs=1)
            before = len(box)
            await client.write(GSP_WRITE, b"\x02\x63")
            await until(lambda: len(box) > before)
            assert box[before].hex(" ") == "01 63 c8 00"

    play(scene())


def test_movesense_log(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            recording = moving(1.0, 52.0)
            client, box = await movesense(air, recording, speed=20.0)
            assert (await client.ask(GSP_WRITE, b"\x06\x66/Meas/IMU6/52\0/Time/Detailed\0", box))[
                2:
            ] == b"\xc8\0"
            assert (await client.ask(GSP_WRITE, b"\x09\x67\x03", box))[2:] == b"\xc8\0"
            assert (await client.ask(GSP_WRITE, b"\x04\x65/Mem/DataLogger/State", box))[4:] == b"\x03"
            await asyncio.sleep(0.2)
            assert (await client.ask(GSP_WRITE, b"\x09\x68\x02", box))[2:] == b"\xc8\0"
            entries = await client.ask(GSP_WRITE, b"\x04\x6d/Mem/Logbook/entries\0", box)
            number, _, size = struct.unpack("<IIQ", entries[5:])
            assert number == 1
            before = len(box)
            await client.write(GSP_WRITE, b"\x03\x65" + struct.pack("<I", 1))
            await until(lambda: len(box) > before and box[-1][:2] == b"\x02\x65" and len(box[-1]) == 6)
            log = bytearray(size)
            for raw in box[before + 1 :]:
                at = int.from_bytes(raw[2:6], "little")
                log[at : at + len(raw) - 6] = raw[6:]
            assert log[:8] == b"SBEM0112"
            samples = [part for number, part in chunks(bytes(log[8:])) if number == 94]
            values = np.vstack(
                [np.frombuffer(p[4:], "<f4").reshape(2, 4, 3).transpose(1, 0, 2) for p in samples]
            )
            assert near(values[:, 0], recording.acc, 1e-5)
            assert len(values) == 52
            assert (await client.ask(GSP_WRITE, b"\x05\x6a", box))[2:] == b"\xc8\0"
            assert (await client.ask(GSP_WRITE, b"\x03\x65" + struct.pack("<I", 1), box))[2:] == b"\x94\x01"

    play(scene())


def chunks(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at < len(data):
        number, size = data[at], data[at + 1]
        assert number < 0xAD
        assert size < 0xAD
        found.append((number, data[at + 2 : at + 2 + size]))
        at += 2 + size
    return found


# WitMotion


@pytest.mark.parametrize("framing", ["whole", "split", "merged"])
def test_witmotion_stream(play: Play, moving: Moving, framing: str) -> None:
    async def scene() -> None:
        async with Air() as air:
            recording = moving(1.0)
            sensor = await put_on(air, "witmotion", recording, speed=5.0)
            assert isinstance(sensor, WitMotion)
            assert "WT" in sensor.name
            sensor.framing = framing  # type: ignore[assignment]  # one of the three, from the parameter list
            client = await Client.connect(air, sensor)
            box = await client.subscribe(WIT_NOTIFY)
            await until(lambda: sum(map(len, box)) >= 1980)
            stream = b"".join(box)
            assert {"whole": {20}, "merged": {80}}.get(framing) in (None, {len(raw) for raw in box})
            if framing == "split":
                assert {len(raw) for raw in box} == {13}
            frames = [stream[at : at + 20] for at in range(0, 1980, 20)]
            assert {raw[:2] for raw in frames} == {b"\x55\x61"}
            values = np.array([struct.unpack("<9h", raw[2:]) for raw in frames]) / 32768
            assert near(values[:, :3] * 16 * G, recording.acc, 16 * G / 32768)
            assert near(values[:, 3:6] * np.radians(2000), recording.gyr, np.radians(2000) / 32768)

    play(scene())


def test_witmotion_registers(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, "witmotion", moving(1.0, 52.0, mag=True), loop=True)
            client = await Client.connect(air, sensor)
            box = await client.subscribe(WIT_NOTIFY)
            assert sensor.rate_hz == 50.0  # there is no 52 Hz
            for register in (0x3A, 0x51, 0x64, 0x03):
                await client.write(WIT_WRITE, bytes([0xFF, 0xAA, 0x27, register, 0]), response=False)
            await until(lambda: sum(raw[:2] == b"\x55\x71" for raw in box) == 4)
            replies = {raw[2]: struct.unpack("<8h", raw[4:]) for raw in box if raw[:2] == b"\x55\x71"}
            assert {len(raw) for raw in box} == {20}
            assert np.hypot(*replies[0x51][:2]) <= 32768
            assert 3.3 <= replies[0x64][0] / 100 <= 4.3
            assert replies[0x03][0] == 0x08
            # no unlock: some clients never send it
            await client.write(WIT_WRITE, bytes([0xFF, 0xAA, 0x03, 0x06, 0]), response=False)
            await until(lambda: sensor.rate_hz == 10.0)

    play(scene())


# Capture2Go


class C2g:
    """The plainest reader of the published framing."""

    def __init__(self, client: Client, box: list[bytes]) -> None:
        self._client, self._box = client, box

    def packages(self) -> list[tuple[int, bytes]]:
        real_time: list[tuple[int, bytes]] = []
        stream = b""
        for raw in self._box:
            count, at = 0xFF - raw[0], 1
            assert count <= 3
            for _ in range(count):
                size = 8 + raw[at + 5]
                parsed = capture2go.parse(raw[at : at + size])
                assert parsed is not None
                real_time.append(parsed)
                at += size
            stream += raw[at:]
        found = []
        while len(stream) >= 8 and len(stream) >= 8 + stream[5]:
            parsed = capture2go.parse(stream[: 8 + stream[5]])
            assert parsed is not None
            found.append(parsed)
            stream = stream[8 + stream[5] :]
        return found + real_time

    def of(self, header: int) -> list[bytes]:
        return [payload for number, payload in self.packages() if number == header]

    async def ask(self, header: int, payload: bytes, answer: int) -> bytes:
        before = len(self.of(answer))
        await self._client.write(C2G_RX, capture2go.frame(header, payload))
        await until(lambda: len(self.of(answer)) > before)
        return self.of(answer)[before]


async def connect_c2g(air: Air, recording: SensorRecording, *, mtu: int = 247, **options: Any) -> C2g:
    sensor = await put_on(air, "capture2go", recording, **options)
    assert (sensor.name[:4], len(sensor.name)) == ("IMU_", 10)
    client = await Client.connect(air, sensor, mtu=mtu)
    return C2g(client, await client.subscribe(C2G_TX))


MODE_100HZ_WITHOUT_MAG = bytes(10) + b"\x02" + bytes(3) + b"\x01" + bytes(14) + b"\x01"


@pytest.mark.parametrize("mtu", [247, 23])
def test_capture2go_stream(play: Play, moving: Moving, mtu: int) -> None:
    async def scene() -> None:
        async with Air() as air:
            recording = moving(2.0)
            device = await connect_c2g(air, recording, speed=10.0, mtu=mtu)
            information = await device.ask(0x0070, b"", 0x0071)
            assert (len(information), information[:2]) == (47, b"\x01\x00")
            await until(lambda: device.of(0x0201))
            status = device.of(0x0201)[0]
            assert (len(status), status[8], status[9]) == (19, 1, 2)
            assert await device.ask(0x0170, struct.pack("<q", 5_000_000_000_000), 0x0171) == struct.pack(
                "<q", 5_000_000_000_000
            )
            assert await device.ask(0x0120, MODE_100HZ_WITHOUT_MAG, 0x0122) == MODE_100HZ_WITHOUT_MAG
            assert await device.ask(0x0150, b"", 0x0151) == b""
            await until(lambda: len(device.of(0x0232)) == 25)
            packages = device.of(0x0232)
            assert {len(payload) for payload in packages} == {115}
            stamps = [int.from_bytes(payload[:8], "little") for payload in packages]
            assert set(np.diff(stamps)) == {80_000_000}
            assert stamps[0] == pytest.approx(5_000_000_000_000, abs=2e9 * 10)
            gyr, acc = (
                np.vstack([np.frombuffer(p[at : at + 48], "<i2").reshape(8, 3) for p in packages])
                for at in (8, 56)
            )
            assert near(gyr * np.radians(2000) / 32768, recording.gyr, np.radians(2000) / 32768)
            assert near(acc * 16 * 9.81 / 32768, recording.acc, 16 * 9.81 / 32768)
            assert await device.ask(0x0152, b"", 0x0153) == b""

    play(scene())


def test_capture2go_clock_round_trip_and_errors(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            device = await connect_c2g(air, moving())
            answer = await device.ask(0x0172, struct.pack("<4q", 77, 0, 0, 0), 0x0172)
            sent, received, replied, zero = struct.unpack("<4q", answer)
            assert (sent, zero) == (77, 0)
            assert received <= replied
            assert await device.ask(0x0999, b"", 0xFFFF) == struct.pack("<BH", 253, 0x0999)
            assert await device.ask(0x0120, b"short", 0xFFFF) == struct.pack("<BH", 252, 0x0120)
            assert await device.ask(0x0154, b"", 0xFFFF) == struct.pack("<BH", 249, 0x0154)

    play(scene())


def test_capture2go_file_with_ranged_download(play: Play, moving: Moving) -> None:
    async def scene() -> None:
        async with Air() as air:
            device = await connect_c2g(air, moving(2.0), speed=10.0)
            name = b"walk".ljust(65, b"\0")
            await device.ask(0x0120, MODE_100HZ_WITHOUT_MAG, 0x0122)
            await device.ask(0x0140, bytes(9) + name, 0x0142)
            await device.ask(0x0154, b"", 0x0155)
            await asyncio.sleep(0.3)
            await device.ask(0x0156, b"", 0x0157)
            assert await device.ask(0x0500, b"", 0x0501) == b"\x01\x00"
            size = int.from_bytes((await device.ask(0x0507, name, 0x0508))[65:], "little")
            assert size > 25 * 123
            await device.ask(0x0503, name + struct.pack("<II", 1000, 0), 0x0504)
            await until(lambda: sum(len(p) - 4 for p in device.of(0x0504)) == size - 1000)
            pieces = device.of(0x0504)
            assert [int.from_bytes(p[:4], "little") for p in pieces] == list(range(1000, size, 232))
            assert await device.ask(0x0503, b"none".ljust(65, b"\0") + bytes(8), 0xFFFF) == struct.pack(
                "<BH", 240, 0x0503
            )
            assert await device.ask(0x0509, name, 0x050A) == name
            assert await device.ask(0x0500, b"", 0x0501) == b"\x00\x00"

    play(scene())


@pytest.mark.parametrize("profile", ["polar-pmd", "movesense-gsp", "witmotion", "capture2go"])
def test_a_sensor_advertises_again_after_a_lost_link(play: Play, moving: Moving, profile: str) -> None:
    async def scene() -> None:
        async with Air() as air:
            sensor = await put_on(air, profile, moving())
            client = await Client.connect(air, sensor)
            sensor.drop_link()
            await until(lambda: not client.central.connections)
            again = await Client.connect(air, sensor, central=client.central)
            assert again.connection is not client.connection
            sensor.reboot()
            await until(lambda: not client.central.connections)

    play(scene())


@pytest.mark.parametrize(
    ("profile", "door", "start", "data"),
    [
        ("polar-pmd", PMD_CONTROL, bytes.fromhex("02 02 00 01 64 00 01 01 10 00 02 01 08 00"), PMD_DATA),
        ("movesense-gsp", GSP_WRITE, b"\x01\x63/Meas/IMU6/104", GSP_NOTIFY),
        ("witmotion", WIT_WRITE, b"\xff\xaa\x69\x88\xb5", WIT_NOTIFY),
    ],
)
def test_one_seed_gives_the_same_bytes(
    play: Play, moving: Moving, profile: str, door: str, start: bytes, data: str
) -> None:
    runs: list[bytes] = []

    async def scene(pause: float) -> None:
        async with Air() as air:
            sensor = await put_on(air, profile, moving(1.0), speed=10.0, seed=5)
            client = await Client.connect(air, sensor)
            await asyncio.sleep(pause)
            box = await client.subscribe(data)
            await client.write(door, start)
            await until(lambda: len(b"".join(box)) > 500)
            await asyncio.sleep(0.4)
            runs.append(b"".join(box))

    play(scene(0.0))
    play(scene(0.13))
    both = min(map(len, runs))  # how much has come by now is the machine's affair
    assert runs[0][:both] == runs[1][:both]
