"""SBEM, the container of a Movesense log: a header, descriptor chunks, data chunks.

A chunk is id, length, payload; an id or length of 255 or more is escaped with FF. A data chunk of this module
is the time stamp and `GROUP` samples of each sensor. A published reader takes AD for the escape, so nothing
here is between.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

HEADER = b"SBEM0112"
ESCAPE = 0xFF
GROUP = 4
RELATIVE_ID, UTC_ID, TIME_ID, BEGIN_ID, END_ID = 10, 11, 12, 54, 55
TIMESTAMP_ID, SINGLE_ID, GROUP_ID = 13, 92, 94
FIRST_AXIS_ID, FIRST_VECTOR_ID = 39, 89


def chunk(number: int, payload: bytes) -> bytes:
    """One chunk."""
    head = bytes([number]) if number < ESCAPE else struct.pack("<BH", ESCAPE, number)
    size = len(payload)
    return head + (bytes([size]) if size < ESCAPE else struct.pack("<BI", ESCAPE, size)) + payload


def descriptor(number: int, text: str) -> bytes:
    """A chunk that says what the data chunks of an id hold."""
    return chunk(0, struct.pack("<H", number) + text.encode() + b"\0")


def begin(resource: str, arrays: tuple[str, ...]) -> bytes:
    """Header and descriptors of a log of one resource (`MeasIMU6`) with arrays (`ArrayAcc`, `ArrayGyro`)."""
    out = HEADER
    out += descriptor(RELATIVE_ID, "<PTH>Samples+Array.TimeDetailed.relativeTime\n<FRM>uint32")
    out += descriptor(UTC_ID, "<PTH>Samples.Array.TimeDetailed.utcTime\n<FRM>int64")
    out += descriptor(TIME_ID, f"<GRP>{RELATIVE_ID},{UTC_ID}")
    out += descriptor(TIMESTAMP_ID, f"<PTH>Samples+Array.{resource}.Timestamp\n<FRM>uint32")
    for n, array in enumerate(arrays):
        axes = [FIRST_AXIS_ID + 3 * n + k for k in range(3)]
        for number, mark, axis in zip(axes, "+..", "xyz", strict=True):
            out += descriptor(number, f"<PTH>Samples.Array.{resource}.{array}{mark}{axis}\n<FRM>float32")
        out += descriptor(FIRST_VECTOR_ID + n, "<GRP>" + ",".join(map(str, axes)))
    out += descriptor(BEGIN_ID, "<PTH>[") + descriptor(END_ID, "<PTH>]")
    for number, size in ((SINGLE_ID, 1), (GROUP_ID, GROUP)):
        members = [TIMESTAMP_ID]
        for n in range(len(arrays)):
            members += [BEGIN_ID, *[FIRST_VECTOR_ID + n] * size, END_ID]
        out += descriptor(number, "<GRP>" + ",".join(map(str, members)))
    return out


def time_chunk(relative_ms: int, utc_us: int) -> bytes:
    """The pair that ties the sensor's clock to UTC."""
    return chunk(TIME_ID, struct.pack("<Iq", relative_ms & 0xFFFFFFFF, utc_us))


def data_chunk(timestamp_ms: int, arrays: list[NDArray[np.float64]]) -> bytes:
    """`GROUP` samples, or one, of each array (n, 3)."""
    number = GROUP_ID if len(arrays[0]) == GROUP else SINGLE_ID
    values = b"".join(array.astype("<f4").tobytes() for array in arrays)
    return chunk(number, struct.pack("<I", timestamp_ms & 0xFFFFFFFF) + values)
