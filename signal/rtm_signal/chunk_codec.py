"""What stands inside a chunk: samples and anchors to bytes and back, lossless, bounded on the way in.

A codec id never changes its meaning and never goes away (`docs/reference/chunk.md`):
0 raw int16, 1 zstd of delta + zigzag + byte-shuffled int16, 2 zstd of byte-shuffled float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import zstandard
from numpy.typing import NDArray

Values = NDArray[np.int16] | NDArray[np.float32]

MAX_SAMPLES: Final = 1 << 16
"""Samples in a chunk: 5 s at 833 Hz are 4165; fifteen times that is room, and a decode stays below 8 MiB."""
RAW, INT16, FLOAT32 = 0, 1, 2
_ZSTD_LEVEL: Final = 3  # 19 saves 1 to 2.5 % at about twenty times the time


class ChunkError(ValueError):
    """Bytes or values that are no chunk; the message is one plain sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """What was seen of the device's clock, one entry per notification that gave samples to the chunk.

    offset: (m,) int64, sample index minus the chunk's `first`; negative where the notification began earlier.
    tick: (m,) uint64, the device's own clock at that sample, unwrapped, in 1/tick_hz s.
    arrival_ns: (m,) uint64, ns on the gateway's monotonic clock (of the boot `gateway_boot`) when it arrived.
    """

    offset: NDArray[np.int64]
    tick: NDArray[np.uint64]
    arrival_ns: NDArray[np.uint64]

    def __len__(self) -> int:
        return int(self.offset.shape[0])

    @staticmethod
    def none() -> Anchors:
        """No anchors: nothing is known of when the samples came."""
        return Anchors(np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.uint64))


def encode_values(values: Values) -> tuple[int, bytes]:
    """(codec id, payload) of (n, c) int16 or float32."""
    if values.dtype == np.int16:
        payload = _compress(_delta_shuffle(np.asarray(values, np.int16)))
        if len(payload) < values.nbytes:
            return INT16, payload
        return RAW, np.ascontiguousarray(values, "<i2").tobytes()  # noise that zstd only makes longer
    if values.dtype == np.float32:
        return FLOAT32, _compress(_shuffle(np.ascontiguousarray(values.T, "<f4").view("<u4")))
    raise ChunkError("The chunk's values are neither int16 nor float32.")


def decode_values(codec: int, payload: bytes, n: int, c: int) -> Values:
    """(n, c) values of a payload; the bits are those that were encoded, NaN payloads too."""
    if codec == RAW:
        if len(payload) != n * c * 2:
            raise ChunkError("The chunk's payload does not have the length its header declares.")
        return np.frombuffer(payload, "<i2").reshape(n, c).astype(np.int16)
    if codec == INT16:
        return _undelta_unshuffle(_decompress(payload, n * c * 2), n, c)
    if codec == FLOAT32:
        words = _unshuffle(_decompress(payload, n * c * 4), 4).view("<u4").reshape(c, n)
        return np.ascontiguousarray(words.T).astype(np.uint32, copy=False).view(np.float32)
    raise ChunkError(f"Chunk codec {codec} is not known.")


def _shuffle(words: NDArray[np.unsignedinteger]) -> bytes:
    """Byte 0 of every word, then byte 1, ...: high bytes of small numbers compress to nothing."""
    return np.ascontiguousarray(
        words.reshape(-1).view(np.uint8).reshape(-1, words.dtype.itemsize).T
    ).tobytes()


def _unshuffle(planes: bytes, size: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(size, -1).T).reshape(-1)


def _delta_shuffle(values: NDArray[np.int16]) -> bytes:
    """Channel after channel: differences modulo 2^16 (the first from zero), zigzag, low bytes, high bytes."""
    delta = np.array(values.T, "<i2", order="C")
    delta[:, 1:] -= delta[:, :-1].copy()
    zigzag = (delta << 1) ^ (delta >> 15)
    return _shuffle(zigzag.view("<u2"))


def _undelta_unshuffle(planes: bytes, n: int, c: int) -> NDArray[np.int16]:
    zigzag = _unshuffle(planes, 2).view("<u2").reshape(c, n)
    delta = (zigzag >> 1) ^ (~(zigzag & 1) + np.uint16(1))
    return np.ascontiguousarray(np.cumsum(delta, axis=1, dtype=np.uint16).T).view(np.int16)


def encode_anchors(anchors: Anchors, n: int) -> tuple[int, bytes]:
    """(unit of the arrivals in ns, bytes). Lossless: the unit divides every difference of arrivals."""
    m = len(anchors)
    if [a.dtype.str[1:] for a in (anchors.offset, anchors.tick, anchors.arrival_ns)] != ["i8", "u8", "u8"]:
        raise ChunkError("The chunk's anchors are not int64 offsets with uint64 ticks and arrivals.")
    if anchors.tick.shape != (m,) or anchors.arrival_ns.shape != (m,):
        raise ChunkError("The chunk's anchors do not have one offset, tick and arrival each.")
    if m == 0:
        return 1, b""
    _check_anchors(anchors.offset, n)
    steps = np.diff(anchors.arrival_ns.view(np.int64))
    divisor = int(np.gcd.reduce(steps)) if m > 1 else 1
    unit = divisor if 0 < divisor < 1 << 32 else 1
    table = np.empty((3, m), np.int64)
    for row, column in enumerate((anchors.offset, anchors.tick, anchors.arrival_ns)):
        table[row, 0] = column.view(np.int64)[0]
        table[row, 1:] = np.diff(column.view(np.int64))
    table[2, 1:] = steps // unit
    zigzag = (table << 1) ^ (table >> 63)
    return unit, _compress(_shuffle(zigzag.astype("<i8").view("<u8")))


def decode_anchors(data: bytes, m: int, unit_ns: int, n: int) -> Anchors:
    if m == 0:
        if data:
            raise ChunkError("The chunk declares no anchors but carries some.")
        return Anchors.none()
    if m > MAX_SAMPLES or unit_ns == 0:
        raise ChunkError("The chunk declares more anchors than it can hold.")
    zigzag = _unshuffle(_decompress(data, 3 * 8 * m), 8).view("<u8").reshape(3, m)
    table = (zigzag >> np.uint64(1)) ^ (~(zigzag & np.uint64(1)) + np.uint64(1))
    table[2, 1:] *= np.uint64(unit_ns)
    columns = np.cumsum(table, axis=1, dtype=np.uint64)
    offset = columns[0].view(np.int64)
    _check_anchors(offset, n)
    return Anchors(offset, columns[1].copy(), columns[2].copy())


def _check_anchors(offset: NDArray[np.int64], n: int) -> None:
    if len(offset) > MAX_SAMPLES or int(offset.max()) >= n:
        raise ChunkError("An anchor of the chunk lies beyond its last sample.")


def _compress(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=False).compress(data)


def _decompress(data: bytes, size: int) -> bytes:
    """`size` bytes, known from the header: a frame that declares another size is not unpacked at all."""
    try:
        if zstandard.get_frame_parameters(data).content_size != size:
            raise ChunkError("A part of the chunk does not unpack to the size its header declares.")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ChunkError("A part of the chunk cannot be unpacked.") from error
