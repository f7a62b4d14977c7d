"""What travels to and from a Capture2Go: frames, packed quaternions, the measurement mode, the data packages."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtm_firmware_sim.playback import Block
from rtm_firmware_sim.profiles.polar_pmd import quantise

START_BYTE = 0x02
MOST_PAYLOAD = 236
SAMPLES_A_PACKAGE, QUATERNIONS_A_PACKAGE = 8, 20
ACC_LSB = 16.0 * 9.81 / 32768.0
"""The maker's scale is built on 9.81, not on standard gravity."""
GYR_LSB = float(np.radians(2000.0)) / 32768.0
MAG_LSB = 1.0 / 16.0
RATES_HZ = {1: 200.0, 2: 100.0, 3: 50.0, 4: 25.0, 5: 10.0, 6: 1.0}
TIME_GAP = 1


MODE = struct.Struct("<q8BHBQ???")


def frame(header: int, payload: bytes = b"") -> bytes:
    """02, crc32 over header and payload, size of the payload, header, payload."""
    checked = struct.pack("<H", header) + payload
    return struct.pack("<BIB", START_BYTE, zlib.crc32(checked), len(payload)) + checked


def parse(data: bytes) -> tuple[int, bytes] | None:
    """(header, payload) of one frame; None where it is not one or its CRC is wrong."""
    if len(data) < 8 or data[0] != START_BYTE or len(data) != 8 + data[5]:
        return None
    if zlib.crc32(data[6:]) != int.from_bytes(data[1:5], "little"):
        return None
    return int.from_bytes(data[6:8], "little"), data[8:]


def pack_quaternion(q: NDArray[np.float64], *, rest: bool = False, disturbed: bool = False) -> int:
    """Smallest three at 20 bits: the largest component i is left out, then i+1, i+2, i+3, the last one
    lowest."""
    left_out = int(np.argmax(np.abs(q)))
    signed = q if q[left_out] >= 0.0 else -q
    packed = (int(disturbed) << 3 | int(rest) << 2 | left_out) << 60
    for k in (1, 2, 3):
        value = (float(signed[(left_out + k) % 4]) + 2.0**-0.5) * 0xFFFFF / 2.0**0.5
        packed |= min(max(round(value), 0), 0xFFFFF) << (20 * (3 - k))
    return packed


@dataclass(frozen=True, slots=True)
class Mode:
    """The measurement mode as set: 30 bytes, echoed."""

    raw: bytes

    @property
    def fields(self) -> tuple[int, ...]:
        return MODE.unpack(self.raw)

    @property
    def status_s(self) -> int:
        return self.fields[7]

    @property
    def with_mag(self) -> bool:
        return not self.fields[-1]

    def packages(self) -> Iterator[tuple[str, int, float]]:
        """(kind, header, rate) of every package switched on."""
        _, _, fixed, packed, _, quat_fixed, quat_packed, *_ = self.fields
        families = (
            ("packed", packed, 0x220 if self.with_mag else 0x230),
            ("fixed", fixed, 0x240 if self.with_mag else 0x250),
            ("quat_packed", quat_packed, 0x270),
            ("quat_fixed", quat_fixed, 0x280),
        )
        for kind, code, base in families:
            if code in RATES_HZ:
                yield kind, base + code, RATES_HZ[code]


DEFAULT_MODE = Mode(MODE.pack(0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, False, False, False))


def samples_in(kind: str) -> int:
    """Samples a package of a kind holds."""
    return {"packed": SAMPLES_A_PACKAGE, "quat_packed": QUATERNIONS_A_PACKAGE}.get(kind, 1)


def raw_samples(block: Block, *, with_mag: bool) -> bytes:
    """Gyroscope, accelerometer and, where wanted, magnetometer, each x y z interleaved."""
    channels = [quantise(block.gyr, GYR_LSB), quantise(block.acc, ACC_LSB)]
    if with_mag:
        mag = np.zeros_like(block.acc) if block.mag is None else block.mag
        channels.append(quantise(mag, MAG_LSB))
    return b"".join(channel.astype("<i2").tobytes() for channel in channels)
