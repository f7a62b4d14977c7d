"""Encoders of the makers' protocols against bytes written by hand from their published descriptions."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from bumble.core import UUID
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_firmware_sim.errors import SimulatorError
from rtm_firmware_sim.peripheral import advertisement, static_address
from rtm_firmware_sim.profiles import capture2go_packages as capture2go
from rtm_firmware_sim.profiles import movesense_gsp, polar_pmd, sbem, witmotion


def test_polar_header_and_raw_frame() -> None:
    # ACC, one second after 2000-01-01 in ns, frame type 1
    assert polar_pmd.header(2, 1_000_000_000, 1).hex(" ") == "02 00 ca 9a 3b 00 00 00 00 01"


def test_polar_delta_frame_by_hand() -> None:
    samples = np.array([[1, -2, 3], [2, -4, 3], [3, -3, 1]], dtype=np.int16)
    data, used = polar_pmd.compress(samples, 100)
    # reference 1 -2 3; deltas (1 -2 0) (1 1 -2): 2 bits each, 2 of them, least significant bit first:
    # 01 10 00 01 01 10 -> 0b10_01_01_00_10_01 = 0x949
    assert (data.hex(" "), used) == ("01 00 fe ff 03 00 02 02 49 09", 3)


@given(
    st.lists(st.tuples(*[st.integers(-32768, 32767)] * 3), min_size=1, max_size=60),
    st.integers(12, 234),
)
@settings(max_examples=60, deadline=None)
def test_polar_delta_frames_hold_every_sample_and_keep_within_the_room(
    rows: list[tuple[int, int, int]], room: int
) -> None:
    samples = np.array(rows, dtype=np.int16)
    got: list[list[int]] = []
    while len(got) < len(samples):
        data, used = polar_pmd.compress(samples[len(got) :], room)
        assert len(data) <= room
        assert used >= 1
        got += expand(data)
    assert got == samples.tolist()


def expand(data: bytes) -> list[list[int]]:
    """The plainest reading of the published description."""
    values = [list(struct.unpack_from("<3h", data))]
    at = 6
    while at < len(data):
        bits, count = data[at], data[at + 1]
        size = (bits * count * 3 + 7) // 8
        text = "".join(f"{byte:08b}"[::-1] for byte in data[at + 2 : at + 2 + size])
        for k in range(count):
            row = []
            for axis in range(3):
                place = (3 * k + axis) * bits
                value = int(text[place : place + bits][::-1], 2)
                value -= (1 << bits) if value >> (bits - 1) else 0
                row.append(values[-1][axis] + value)
            values.append(row)
        at += 2 + size
    return values


def test_polar_settings() -> None:
    asked = bytes.fromhex("00 01 34 00 01 01 10 00 02 01 08 00 04 01 03")
    assert polar_pmd.parse_settings(asked) == {0: 52, 1: 16, 2: 8, 4: 3}
    assert polar_pmd.parse_settings(asked[:-1]) is None
    assert polar_pmd.parse_settings(b"\x09\x01\x00") is None
    assert polar_pmd.parse_settings(b"") == {}


def test_witmotion_frames() -> None:
    g, dps = 9.80665, np.radians(1.0)
    frame = witmotion.data_frame(
        np.array([g, 0.0, -16.0 * g]), np.array([1000.0, 0.0, 0.0]) * dps, np.array([90.0, -180.0, 0.0])
    )
    assert frame.hex(" ") == "55 61 00 08 00 00 00 80 00 40 00 00 00 00 00 40 00 80 00 00"
    reply = witmotion.register_frame(0x3A, [1, -1, 2, 0, 0, 0, 0, 0])
    assert reply.hex(" ") == "55 71 3a 00 01 00 ff ff 02 00 00 00 00 00 00 00 00 00 00 00"


def test_capture2go_frame() -> None:
    raw = capture2go.frame(0x0070)
    assert raw.hex(" ") == "02 " + struct.pack("<I", zlib.crc32(b"\x70\x00")).hex(" ") + " 00 70 00"
    assert capture2go.parse(raw) == (0x0070, b"")
    assert capture2go.parse(raw[:-1]) is None
    assert capture2go.parse(bytes([*raw[:-1], raw[-1] ^ 1])) is None
    assert capture2go.MODE.size == 30


def test_capture2go_identity_quaternion() -> None:
    # w is left out (index 0); x, y, z are 0: (0 + 1/sqrt 2) * FFFFF / sqrt 2 = 524287.5, rounded to even
    assert capture2go.pack_quaternion(np.array([1.0, 0.0, 0.0, 0.0])) == 0x0_80000_80000_80000
    assert capture2go.pack_quaternion(np.array([0.0, 0.0, 1.0, 0.0]), rest=True) >> 60 == 0b0110


@given(st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4).filter(lambda q: sum(v * v for v in q) > 0.01))
@settings(max_examples=60, deadline=None)
def test_capture2go_quaternions_unpack_to_the_same_rotation(values: list[float]) -> None:
    q = np.array(values) / np.linalg.norm(values)
    packed = capture2go.pack_quaternion(q)
    index = packed >> 60 & 3
    got = np.zeros(4)
    for k in (1, 2, 3):
        raw = packed >> (20 * (3 - k)) & 0xFFFFF
        got[(index + k) % 4] = raw * 2**0.5 / 0xFFFFF - 2**-0.5
    got[index] = np.sqrt(max(0.0, 1.0 - np.sum(got**2)))
    assert abs(got @ q) == pytest.approx(1.0, abs=1e-5)


def test_movesense_packet_is_198_bytes_for_eight_samples_of_imu6() -> None:
    arrays = [np.full((8, 3), 1.0), np.full((8, 3), -2.0)]
    packet = bytes([2, 99]) + movesense_gsp.measurement(0x01020304, arrays)
    assert len(packet) == 198
    assert packet[:10].hex(" ") == "02 63 04 03 02 01 00 00 80 3f"
    assert packet[6 + 96 : 6 + 100].hex(" ") == "00 00 00 c0"


def test_sbem_chunks() -> None:
    assert sbem.chunk(13, b"ab").hex(" ") == "0d 02 61 62"
    assert sbem.chunk(300, bytes(256))[:8].hex(" ") == "ff 2c 01 ff 00 01 00 00"
    assert sbem.begin("MeasIMU6", ("ArrayAcc", "ArrayGyro")).startswith(b"SBEM0112\x00")
    data = sbem.data_chunk(7, [np.zeros((4, 3)), np.zeros((4, 3))])
    assert (data[0], data[1], len(data)) == (sbem.GROUP_ID, 100, 102)


def test_advertisement_fits_and_keeps_name_and_service_together() -> None:
    service = UUID("80030001-e629-4c98-9324-aa7fc0c66de7")
    short, long = advertisement("HS-1234", [service]), advertisement("IMU_1234ab", [service])
    assert (len(short), short[:3]) == (30, b"\x02\x01\x06")
    assert (len(long), long[:2]) == (30, b"\x11\x07")
    # Too long for both: the name stays.
    assert advertisement("Movesense 123456789012", [service])[3:5] == b"\x17\x09"
    with pytest.raises(SimulatorError, match="too long"):
        advertisement("x" * 30)


def test_addresses_are_random_static_and_follow_from_the_sensor() -> None:
    address = static_address("homestretch", 1, "thigh")
    assert address == static_address("homestretch", 1, "thigh")
    assert address != static_address("homestretch", 1, "shank")
    assert address.is_static
