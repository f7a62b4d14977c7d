"""Published clients of these wearables, unchanged, against the simulated ones.

They use bleak as on any computer; only bleak's choice of a back end is made for them. The clients are no part
of this project: `uv sync --extra all --group clients` installs them, and without one its tests are skipped.
Movesense's and WitMotion's own clients are not on PyPI; their exchange is reproduced from the published
protocols.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import bleak
import numpy as np
import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.simulate import wear
from rtm_gateway.bumble_backend import BumbleClient, BumbleScanner
from rtm_gateway.radio import BumbleRadio, open_radio
from rtm_signal.recording import Recording, SensorRecording

MISSING = "this published client is not installed; `uv sync --extra all --group clients` installs it"
G = 9.80665


def still() -> Recording:
    """A sensor that lies still and turns at half a radian a second: every sample is known."""
    t = np.arange(0, 30, 0.005)
    acc = np.tile([0.5 * G, -0.25 * G, G], (len(t), 1))
    gyr = np.tile([0.5, -0.25, 1.0], (len(t), 1))
    mag = np.tile([20.0, -5.0, 40.0], (len(t), 1))
    return Recording({"wrist": SensorRecording(t, acc, gyr, mag)})


@contextlib.asynccontextmanager
async def simulated(
    monkeypatch: pytest.MonkeyPatch, profile: str, name: str | None = None
) -> AsyncIterator[Any]:
    """A simulated wearable, and a bleak whose default back end reaches it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])
    async with Air(seed=5) as air:
        (sensor,) = await wear(air, profile, still(), seed=5, name=name, loop=True)
        await air.serve(f"tcp-server:127.0.0.1:{port}")
        radio = open_radio(f"bumble:tcp-client:127.0.0.1:{port}")
        assert isinstance(radio, BumbleRadio)
        adapter = radio.adapter

        class Client(BumbleClient):
            def __init__(self, place: BLEDevice | str, **options: Any) -> None:
                super().__init__(place, **{**options, "radio": adapter})

        class Scanner(BumbleScanner):
            def __init__(self, *places: Any, **options: Any) -> None:
                super().__init__(*places, **{**options, "radio": adapter})

        monkeypatch.setattr(bleak, "get_platform_client_backend_type", lambda: (Client, "bumble"))
        monkeypatch.setattr(bleak, "get_platform_scanner_backend_type", lambda: (Scanner, "bumble"))
        try:
            async with asyncio.timeout(45):
                yield sensor
        finally:
            await radio.close()


async def found(end_of_name: str) -> BLEDevice:
    device = await BleakScanner.find_device_by_filter(
        lambda device, _: (device.name or "").endswith(end_of_name), timeout=10
    )
    assert device is not None, "the wearable does not advertise the name its clients look for"
    return device


def test_bleakheart_reads_an_h10(monkeypatch: pytest.MonkeyPatch) -> None:
    bleakheart = pytest.importorskip("bleakheart", reason=MISSING)

    async def story() -> None:
        async with simulated(monkeypatch, "polar-pmd") as sensor:
            device = await BleakScanner.find_device_by_filter(
                lambda device, _: bool(device.name) and "polar" in str(device.name).lower()
            )
            assert device is not None
            async with BleakClient(device) as client:
                assert 0 < await bleakheart.BatteryLevel(client).read() <= 100
                queue: asyncio.Queue[Any] = asyncio.Queue()
                pmd = bleakheart.PolarMeasurementData(client, acc_queue=queue)
                assert "ACC" in await pmd.available_measurements()
                settings = await pmd.available_settings("ACC")
                assert settings["SAMPLE_RATE"] == [25, 50, 100, 200]
                error, words, _ = await pmd.start_streaming("ACC", sample_rate=100, range=8)
                assert error == 0, words
                frames = [await queue.get() for _ in range(5)]
                assert await pmd.stop_streaming("ACC") == (0, "SUCCESS")
                beats: asyncio.Queue[Any] = asyncio.Queue()
                heart = bleakheart.HeartRate(client, queue=beats)
                await heart.start_notify()
                assert (await beats.get())[0] == "HR"
            assert all(kind == "ACC" for kind, _, _ in frames)
            assert {row for _, _, rows in frames for row in rows} == {(500, -250, 1000)}
            # The stamp is that of the last sample: it advances by the samples of its own frame.
            for (_, before, _), (_, after, rows) in pairwise(frames):
                assert after - before == pytest.approx(len(rows) * 1e7, rel=0.01)
            assert not sensor.streaming("2")

    asyncio.run(story())


def test_polar_python_reads_a_verity_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    polar = pytest.importorskip("polar_python", reason=MISSING)
    constants = pytest.importorskip("polar_python.constants", reason=MISSING)

    async def story() -> None:
        async with simulated(monkeypatch, "polar-pmd", "Polar Sense 0A1B2C3D"):
            device = await found("0A1B2C3D")
            acc: asyncio.Queue[Any] = asyncio.Queue()
            gyr: asyncio.Queue[Any] = asyncio.Queue()
            mag: asyncio.Queue[Any] = asyncio.Queue()
            kinds = constants.PmdMeasurementType
            async with polar.PolarDevice(device) as client:
                features = await client.get_available_features()
                assert {kinds.ACC, kinds.GYRO, kinds.MAG} == set(features)
                told = await client.request_stream_settings(kinds.GYRO)
                assert {s.type: s.values for s in told.settings}[constants.PmdSettingType.SAMPLE_RATE] == [52]
                await client.start_acc_stream(
                    acc.put_nowait, sample_rate=52, resolution=16, range=8, channels=3
                )
                await client.start_gyro_stream(
                    gyr.put_nowait, sample_rate=52, resolution=16, range=2000, channels=3
                )
                await client.start_mag_stream(
                    mag.put_nowait, sample_rate=50, resolution=16, range=50, channels=3
                )
                accelerations = [await acc.get() for _ in range(3)]
                rates = [await gyr.get() for _ in range(3)]
                fields = await mag.get()
                await client.stop_acc_stream()
                await client.stop_gyro_stream()
        for frame in accelerations:
            assert (
                np.abs(np.array(frame.data) - [500, -250, 1000]).max() <= 1.5
            )  # mg, truncated by the client
        for frame in rates:
            assert np.abs(np.array(frame.data) - np.degrees([0.5, -0.25, 1.0])).max() < 0.07
        measured = [(sample.x, sample.y, sample.z) for sample in fields.data]
        assert np.abs(np.array(measured) - [0.2, -0.05, 0.4]).max() < 0.002  # gauss

    asyncio.run(story())


def test_polar_python_asks_the_gyroscope_range_of_its_own_documentation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its docstring says 2, where the sensor tells 2000 (degrees/s)."""
    polar = pytest.importorskip("polar_python", reason=MISSING)

    async def story() -> None:
        async with simulated(monkeypatch, "polar-pmd", "Polar Sense 0A1B2C3D"):
            gyr: asyncio.Queue[Any] = asyncio.Queue()
            async with polar.PolarDevice(await found("0A1B2C3D")) as client:
                await client.start_gyro_stream(
                    gyr.put_nowait, sample_rate=52, resolution=16, range=2, channels=3
                )
                assert (await gyr.get()).data

    asyncio.run(story())


def capture2go_mode(c2g: Any) -> Any:
    off = c2g.pkg.SamplingMode.MODE_DISABLED
    return c2g.pkg.CmdSetMeasurementMode(
        timestamp=0,
        fullFloat200HzEnabled=False,
        fullFixedMode=off,
        fullPackedMode=c2g.pkg.SamplingMode.MODE_100HZ,
        quatFloatMode=off,
        quatFixedMode=off,
        quatPackedMode=off,
        statusMode=1,
        calibDataMode=c2g.pkg.CalibrationDataMode.CALIB_DATA_DISABLED,
        processExtensionMode=c2g.pkg.ProcessExtensionMode.NO_EXTENSION,
        syncMode=c2g.pkg.SyncMode.NO_SYNC,
        syncId=0,
        disableBiasEstimation=False,
        disableMagDistRejection=False,
        disableMagData=False,
    )


def test_capture2go_streams_compares_clocks_records_and_downloads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    c2g = pytest.importorskip("capture2go", reason=MISSING)

    async def story() -> None:
        async with simulated(monkeypatch, "capture2go") as sensor:
            (imu,) = await c2g.connect([sensor.name])
            await imu.init(setTime=True, abortRecording=True, abortStreaming=True)
            assert imu.name == sensor.name
            pkg = c2g.pkg
            assert await imu.sendAndAwaitAck(capture2go_mode(c2g), pkg.DataMeasurementMode)
            ack = await imu.sendAndAwaitAck(pkg.CmdStartStreaming(), pkg.AckStartStreaming)
            assert isinstance(ack, pkg.AckStartStreaming)
            packages: list[Any] = []
            async for package in imu:
                if isinstance(package, pkg.DataFullPacked100Hz):
                    packages.append(package.parse())
                if len(packages) == 4:
                    break
            trip = await imu.sendAndAwaitAck(pkg.DataClockRoundtrip(), pkg.DataClockRoundtrip)
            assert 0 < trip.sensorReceiveTimestamp <= trip.sensorSendTimestamp
            await imu.sendAndAwaitAck(pkg.CmdStopStreaming(), pkg.AckStopStreaming)
            for package in packages:
                assert np.abs(package["acc"] - [0.5 * G, -0.25 * G, G]).max() < 0.003
                assert np.abs(package["gyr"] - [0.5, -0.25, 1.0]).max() < 0.0006
                assert np.abs(package["mag"] - [20.0, -5.0, 40.0]).max() < 0.04
            name = b"squat"
            config = {name: 0 for name, _ in pkg.CmdSetRecordingConfig._fields_ if name != "filename"}
            await imu.sendAndAwaitAck(
                pkg.CmdSetRecordingConfig(**{**config, "filename": name}), pkg.DataRecordingConfig
            )
            await imu.sendAndAwaitAck(pkg.CmdStartRecording(), pkg.AckStartRecording)
            await asyncio.sleep(1.0)
            await imu.sendAndAwaitAck(pkg.CmdStopRecording(), pkg.AckStopRecording)
            size = await imu.sendAndAwaitAck(pkg.CmdFsGetSize(filename=name), pkg.DataFsSize)
            await imu.send(pkg.CmdFsGetBytes(filename=name, startPos=0, endPos=0))
            data = b""
            async for package in imu:
                if isinstance(package, pkg.DataFsBytes):
                    assert package.offset == len(data)
                    data += package.payload
                if len(data) == size.fileSize:
                    break
            await imu.disconnect()
            path = tmp_path / "squat.bin"
            path.write_bytes(data)
            recorded = c2g.loadBinaryFile(path)["DataFullPacked100Hz"]
            assert len(recorded["timestamp"]) >= 10
            assert (np.diff(recorded["timestamp"], axis=0) > 0).all()

    asyncio.run(story())


# Exchanges of clients that are not on PyPI


def test_a_movesense_client_by_address_and_end_of_name(monkeypatch: pytest.MonkeyPatch) -> None:
    write, notify = (f"3480000{n}-7185-4d5d-b431-630e7050e8f0" for n in (1, 2))

    async def story() -> None:
        async with simulated(monkeypatch, "movesense-gsp") as sensor:
            device = await found(sensor.serial)
            got: asyncio.Queue[bytes] = asyncio.Queue()
            async with BleakClient(device.address) as client:  # its clients keep the address only
                await client.start_notify(notify, lambda _, data: got.put_nowait(bytes(data)))

                async def ask(command: bytes) -> bytes:
                    await client.write_gatt_char(write, command, response=True)
                    while (answer := await got.get())[:2] != bytes((1, command[1])):
                        pass
                    return answer

                assert (
                    await ask(b"\x08\x6c" + struct.pack("<Q", 1_700_000_000_000_000)) == b"\x01\x6c\xc8\x00"
                )
                hello = await ask(b"\x00\x63")
                assert hello[3:].split(b"\0")[0] == sensor.serial.encode()
                assert len(hello[3:].split(b"\0")) == 6, "five strings, each ended by NUL"
                assert await ask(b"\x04\x05/Mem/DataLogger/State\0") == b"\x01\x05\xc8\x00\x02"
                assert (await ask(b"\x04\x06/System/Energy/Level"))[:4] == b"\x01\x06\xc8\x00"
                assert await ask(b"\x07\x07\x05") == b"\x01\x07\xca\x00"
                for path in (b"/Meas/IMU6/104\0", b"/Meas/IMU6/104"):
                    assert await ask(b"\x01\x11" + path) == b"\x01\x11\xc8\x00"
                    packets = [await got.get() for _ in range(3)]
                    assert [len(packet) for packet in packets] == [198] * 3
                    assert all(packet[:2] == b"\x02\x11" for packet in packets)
                    floats = np.frombuffer(packets[0], "<f4", 48, 6).reshape(2, 8, 3)
                    assert np.allclose(floats[0], [0.5 * G, -0.25 * G, G], atol=1e-4)
                    assert np.allclose(floats[1], np.degrees([0.5, -0.25, 1.0]), atol=1e-3)
                    assert await ask(b"\x02\x11") == b"\x01\x11\xc8\x00"

                assert await ask(b"\x06\x20/Meas/IMU6/52\0/Time/Detailed\0") == b"\x01\x20\xc8\x00"
                assert await ask(b"\x09\x21\x03") == b"\x01\x21\xc8\x00"
                await asyncio.sleep(1.0)
                assert await ask(b"\x09\x21\x02") == b"\x01\x21\xc8\x00"
                entries = await ask(b"\x04\x22/Mem/Logbook/entries\0")
                assert len(entries) == 5 + 16
                number, _, size = struct.unpack_from("<IIQ", entries, 5)
                await client.write_gatt_char(write, b"\x03\x23" + struct.pack("<I", number), response=True)
                log = b""
                while True:
                    packet = await got.get()
                    if packet[:2] != b"\x02\x23":
                        continue
                    assert struct.unpack_from("<I", packet, 2) == (len(log),)
                    if len(packet) == 6:
                        break
                    log += packet[6:]
                assert len(log) == size
                assert log.startswith(b"SBEM")

    asyncio.run(story())


def test_a_witmotion_client_that_subscribes_late_and_never_unlocks(monkeypatch: pytest.MonkeyPatch) -> None:
    notify, write = (f"0000ffe{n}-0000-1000-8000-00805f9a34fb" for n in (4, 9))

    async def story() -> None:
        async with simulated(monkeypatch, "witmotion"):
            device = await BleakScanner.find_device_by_filter(lambda device, _: "WT" in (device.name or ""))
            assert device is not None
            async with BleakClient(device) as client:
                await asyncio.sleep(3.0)
                buffer, header = bytearray(), b"\x55"
                frames: list[bytes] = []

                def received(_: Any, data: bytearray) -> None:
                    for byte in data:  # as the maker's client does: byte by byte from the header on
                        buffer.append(byte)
                        if not header.startswith(buffer[:1]) or bytes(buffer[1:2]) not in (b"", b"a", b"q"):
                            del buffer[0]
                        elif len(buffer) == 20:
                            frames.append(bytes(buffer))
                            buffer.clear()

                await client.start_notify(notify, received)
                await client.write_gatt_char(write, b"\xff\xaa\x03\x08\x00", response=False)
                for register in (0x3A, 0x51, 0x64):
                    await client.write_gatt_char(
                        write, bytes((0xFF, 0xAA, 0x27, register, 0)), response=False
                    )
                    await asyncio.sleep(0.2)
                while len(frames) < 60:
                    await asyncio.sleep(0.05)
            values = {f[2]: struct.unpack("<8h", f[4:]) for f in frames if f[1] == 0x71}
            assert np.abs(np.array(values[0x3A][:3]) / 120 - [20.0, -5.0, 40.0]).max() < 0.02
            assert np.sum((np.array(values[0x51][:4]) / 32768) ** 2) == pytest.approx(1.0, abs=1e-3)
            assert 3.0 < values[0x64][0] / 100 < 4.5
            samples = np.array([struct.unpack("<9h", f[2:]) for f in frames if f[1] == 0x61])
            assert np.abs(samples[:, :3] / 32768 * 16 - [0.5, -0.25, 1.0]).max() < 0.0005
            assert np.abs(samples[:, 3:6] / 32768 * 2000 - np.degrees([0.5, -0.25, 1.0])).max() < 0.04

    asyncio.run(story())
