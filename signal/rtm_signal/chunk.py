"""The chunk: some seconds of one stream's samples, as sent and as stored, for ever.

`docs/reference/chunk.md` gives every byte. A chunk is named by sample index (`ChunkKey`), never by a computed
time; what a clock fit said is beside it, and the anchors (raw device tick and arrival) let anyone compute a
better one. A decoder never goes away: the golden files prove it, `tests/signal/golden/`.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Final, NamedTuple
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from rtm_signal.chunk_codec import (
    MAX_SAMPLES,
    Anchors,
    ChunkError,
    Values,
    decode_anchors,
    decode_values,
    encode_anchors,
    encode_values,
)

__all__ = [
    "CHANNELS",
    "MAX_CHANNELS",
    "MAX_SAMPLES",
    "UNITS",
    "UNKNOWN_UNCERTAINTY",
    "Anchors",
    "Channel",
    "Chunk",
    "ChunkError",
    "ChunkHeader",
    "ChunkKey",
    "decode",
    "encode",
    "peek",
    "stream_id",
    "to_si",
]

MAX_CHANNELS: Final = 32
UNKNOWN_UNCERTAINTY: Final = 0xFFFF_FFFF
"""Uncertainty not known, in the uncertainty's own field (us)."""

_MAGIC: Final = b"HSC\x01"  # the fourth byte is the version of the layout
_HEADER: Final = struct.Struct("<4sHBB 16s16s16s IIQ qqdIHBB ddI Qq II")
_RUN: Final = struct.Struct("<BBBd")  # first channel, how many, unit, scale
_CRC: Final = struct.Struct("<I")
_KEY: Final = re.compile(
    r"c:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(\d{1,20}):(\d{1,20}):(\d{1,20}):(-?\d{1,20})"
)
_NO_BOOT: Final = UUID(int=0)

CHANNELS: Final = (
    *("ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz"),
    *("qw", "qx", "qy", "qz", "temperature"),
)
"""Channel names; a channel's id on the wire is its place in this tuple. Only ever appended to."""
_CHANNEL_ID: Final = {name: number for number, name in enumerate(CHANNELS)}

_STANDARD_GRAVITY = 9.80665  # m/s2, BIPM, The International System of Units, 9th edition
_UNITS: Final = (
    ("1", 1.0),
    ("m/s2", 1.0),
    ("g", _STANDARD_GRAVITY),
    ("rad/s", 1.0),
    ("deg/s", math.pi / 180.0),
    ("uT", 1.0),  # magnetometers stay in microtesla, as in the recording file
    ("degC", 1.0),
)
_UNIT_ID: Final = {name: number for number, (name, _) in enumerate(_UNITS)}
UNITS: Final[Mapping[str, float]] = MappingProxyType(dict(_UNITS))
"""Unit -> factor to the unit that `to_si` returns. A unit's id is its place; only ever appended to."""


class ChunkKey(NamedTuple):
    """The name of a chunk within its tenant. `t_key`: us UTC, stamped once when the chunk was sealed."""

    stream: UUID
    boot: int
    first: int
    n: int
    t_key: int

    def __str__(self) -> str:
        return f"c:{self.stream}:{self.boot}:{self.first}:{self.n}:{self.t_key}"

    @staticmethod
    def parse(text: str) -> ChunkKey:
        """The key that `str` wrote."""
        found = _KEY.fullmatch(text)
        if found is None:
            raise ChunkError("This is not the key of a chunk.")
        stream, *numbers = found.groups()
        return ChunkKey(UUID(stream), *map(int, numbers))


class Channel(NamedTuple):
    """One column of the values: value x scale is the measurement in `unit` (a name of `UNITS`)."""

    name: str
    unit: str
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkHeader:
    """Everything of a chunk but its samples and anchors.

    first: index of the first sample, unwrapped, within (stream, boot); n: how many samples.
    t_key: us UTC, part of the key. start_us: us UTC of sample `first` by clock fit number `fit_version`
    (0 = no fit: the time of arrival); period_ns: ns between samples by that fit; uncertainty_us: half of the
    95 % interval of start_us, `UNKNOWN_UNCERTAINTY` if not known. rate_hz: nominal. tick_hz: rate of the
    device's clock, 0 where it has none. mono_ns, wall_us: the gateway's two clocks at the moment of sealing,
    gateway_boot the boot they belong to.
    """

    tenant: UUID
    stream: UUID
    boot: int
    first: int
    n: int
    t_key: int
    channels: tuple[Channel, ...]
    rate_hz: float
    start_us: int
    period_ns: float
    fit_version: int = 0
    uncertainty_us: int = UNKNOWN_UNCERTAINTY
    tick_hz: float = 0.0
    gateway_boot: UUID = _NO_BOOT
    mono_ns: int = 0
    wall_us: int = 0

    @property
    def key(self) -> ChunkKey:
        """The chunk's name within its tenant."""
        return ChunkKey(self.stream, self.boot, self.first, self.n, self.t_key)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk(ChunkHeader):
    """A header with its samples: values (n, channels), int16 or float32, in the channels' raw units."""

    values: Values
    anchors: Anchors = field(default_factory=Anchors.none)


def stream_id(sensor: UUID, name: str) -> UUID:
    """The stream `name` (`imu`, `acc`, `gyr`, `mag`, `imu9`) of a sensor, alike on gateway and server."""
    return uuid5(sensor, name)


def encode(chunk: Chunk) -> bytes:
    """The chunk as bytes. Raises ChunkError for values that do not fit the layout."""
    values = chunk.values
    if values.shape != (chunk.n, len(chunk.channels)):
        raise ChunkError("The chunk's values do not have n rows and one column per channel.")
    _check_size(chunk.n, len(chunk.channels))
    codec, payload = encode_values(values)
    unit_ns, anchors = encode_anchors(chunk.anchors, chunk.n)
    runs = _runs(chunk.channels)
    _check_header(chunk)
    try:
        header = _HEADER.pack(
            _MAGIC,
            _HEADER.size + len(runs),
            codec,
            len(runs) // _RUN.size,
            chunk.tenant.bytes,
            chunk.stream.bytes,
            chunk.gateway_boot.bytes,
            chunk.boot,
            chunk.n,
            chunk.first,
            chunk.t_key,
            chunk.start_us,
            chunk.period_ns,
            chunk.uncertainty_us,
            chunk.fit_version,
            len(chunk.channels),
            0,
            chunk.rate_hz,
            chunk.tick_hz,
            unit_ns,
            chunk.mono_ns,
            chunk.wall_us,
            len(chunk.anchors),
            len(anchors),
        )
    except struct.error as error:
        raise ChunkError("A field of the chunk's header is outside its range.") from error
    body = b"".join((header, runs, anchors, payload))
    return body + _CRC.pack(zlib.crc32(body))


def decode(data: bytes) -> Chunk:
    """The chunk in `data`. Raises ChunkError for anything but what `encode` wrote, whole and unchanged."""
    parsed = _parse(data)
    header, n, c = parsed.header, parsed.header.n, len(parsed.header.channels)
    between = data[parsed.anchors_at : parsed.payload_at]
    return Chunk(
        **{each.name: getattr(header, each.name) for each in fields(ChunkHeader)},
        values=decode_values(parsed.codec, data[parsed.payload_at : -_CRC.size], n, c),
        anchors=decode_anchors(between, parsed.anchor_count, parsed.arrival_unit_ns, n),
    )


def peek(data: bytes) -> ChunkHeader:
    """The header alone: checks the CRC over everything, unpacks no samples."""
    return _parse(data).header


def to_si(chunk: Chunk) -> dict[str, NDArray[np.float64]]:
    """Channel name -> (n,) float64 in m/s2, rad/s, uT (quaternions without a unit, temperature in degC)."""
    return {
        channel.name: chunk.values[:, column].astype(np.float64) * (channel.scale * UNITS[channel.unit])
        for column, channel in enumerate(chunk.channels)
    }


class _Parsed(NamedTuple):
    header: ChunkHeader
    codec: int
    anchor_count: int
    arrival_unit_ns: int
    anchors_at: int
    payload_at: int


def _parse(data: bytes) -> _Parsed:
    if len(data) < _HEADER.size + _CRC.size:
        raise ChunkError("Too short to be a chunk.")
    if data[:3] != _MAGIC[:3]:
        raise ChunkError("This is not a chunk.")
    if data[3] != _MAGIC[3]:
        raise ChunkError(f"Chunk layout version {data[3]} is not known.")
    if zlib.crc32(data[: -_CRC.size]) != _CRC.unpack_from(data, len(data) - _CRC.size)[0]:
        raise ChunkError("The chunk's checksum does not match: it was truncated or changed.")
    (
        _, header_size, codec, run_count,
        tenant, stream, gateway_boot, boot, n, first,
        t_key, start_us, period_ns, uncertainty_us, fit_version, c, reserved,
        rate_hz, tick_hz, arrival_unit_ns, mono_ns, wall_us, anchor_count, anchors_size,
    ) = _HEADER.unpack_from(data)  # fmt: skip
    payload_at = header_size + anchors_size
    if header_size != _HEADER.size + run_count * _RUN.size or payload_at > len(data) - _CRC.size or reserved:
        raise ChunkError("The chunk's parts do not add up to its length.")
    _check_size(n, c)
    header = ChunkHeader(
        tenant=UUID(bytes=tenant),
        stream=UUID(bytes=stream),
        boot=boot,
        first=first,
        n=n,
        t_key=t_key,
        channels=_channels(data[_HEADER.size : header_size], c),
        rate_hz=rate_hz,
        start_us=start_us,
        period_ns=period_ns,
        fit_version=fit_version,
        uncertainty_us=uncertainty_us,
        tick_hz=tick_hz,
        gateway_boot=UUID(bytes=gateway_boot),
        mono_ns=mono_ns,
        wall_us=wall_us,
    )
    _check_header(header)
    return _Parsed(header, codec, anchor_count, arrival_unit_ns, header_size, payload_at)


def _check_size(n: int, c: int) -> None:
    if not 1 <= n <= MAX_SAMPLES or not 1 <= c <= MAX_CHANNELS:
        raise ChunkError(f"A chunk holds 1 to {MAX_SAMPLES} samples of 1 to {MAX_CHANNELS} channels.")


def _check_header(header: ChunkHeader) -> None:
    if not (math.isfinite(header.rate_hz) and header.rate_hz > 0):
        raise ChunkError("The chunk's nominal rate is not a positive number.")
    if not (math.isfinite(header.period_ns) and header.period_ns > 0):
        raise ChunkError("The chunk's sample period is not a positive number.")
    if not (math.isfinite(header.tick_hz) and header.tick_hz >= 0):
        raise ChunkError("The chunk's device clock rate is neither zero nor a positive number.")
    if header.first + header.n > 1 << 64:
        raise ChunkError("The chunk's last sample index does not fit 64 bits.")


def _runs(channels: tuple[Channel, ...]) -> bytes:
    """Consecutive channels of one unit and scale share a run: 22 bytes for six axes instead of 60."""
    runs: list[list[float]] = []
    for channel in channels:
        if channel.name not in _CHANNEL_ID or channel.unit not in _UNIT_ID:
            raise ChunkError(
                f"Channel {channel.name!r} in {channel.unit!r} is not one that a chunk can hold."
            )
        number, unit, scale = _CHANNEL_ID[channel.name], _UNIT_ID[channel.unit], float(channel.scale)
        if not math.isfinite(scale) or scale == 0:
            raise ChunkError(f"The scale of channel {channel.name!r} is not a number other than zero.")
        if runs and (number, unit, scale) == (runs[-1][0] + runs[-1][1], runs[-1][2], runs[-1][3]):
            runs[-1][1] += 1
        else:
            runs.append([number, 1, unit, scale])
    if len({channel.name for channel in channels}) != len(channels):
        raise ChunkError("A channel stands twice in the chunk.")
    return b"".join(_RUN.pack(int(a), int(k), int(unit), scale) for a, k, unit, scale in runs)


def _channels(runs: bytes, c: int) -> tuple[Channel, ...]:
    channels: list[Channel] = []
    for start, count, unit, scale in _RUN.iter_unpack(runs):
        if start + count > len(CHANNELS) or unit >= len(_UNITS) or not math.isfinite(scale) or scale == 0:
            raise ChunkError("The chunk names a channel, unit or scale that is not known.")
        channels += [Channel(name, _UNITS[unit][0], scale) for name in CHANNELS[start : start + count]]
    if len(channels) != c or len({channel.name for channel in channels}) != c:
        raise ChunkError("The chunk's channel table does not name each of its channels once.")
    return tuple(channels)
