"""SBEM, the container of a Movesense log, read as it comes: descriptors tell what the data chunks hold.

After an eight-byte header `SBEM....` come chunks: id u8, length u8, payload; FF in either place says that the
value follows as u16 (id) or u32 (length). Chunk 0 describes another: its u16 id, then a text, `<PTH>path` and
`<FRM>type` of a value or `<GRP>ids` of a group. A pair of the sensor's clock and UTC dates the log.
Descriptors that a sensor does not send cannot be guessed: data chunks without one are counted in `unknown` and
passed over.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_HEADER_BYTES: Final = 8
_ESCAPE: Final = 0xFF
_MAX_CHUNK: Final = 1 << 16  # a data chunk holds some samples: a longer one is garbage
_MAX_MEMBERS: Final = 4096
_DEEPEST: Final = 4  # groups of groups
_FORMATS: Final = {
    "bool": "?",
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
_ARRAYS: Final = ("ArrayAcc", "ArrayGyro", "ArrayMagn")


class SbemError(ValueError):
    """The bytes are no log of this kind."""


class LogSamples(NamedTuple):
    """Samples of one data chunk: the sensor's ms at the first; (n, 3) float32 of each array, by its name."""

    stamp_ms: int
    arrays: dict[str, NDArray[np.float32]]


class _Layout(NamedTuple):
    """What a data chunk holds: its format, and the path of each of its values."""

    format: struct.Struct
    paths: tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class SbemReader:
    """Reads one log from its first byte on; `feed` may be given pieces cut anywhere."""

    unknown: int = 0
    """Data chunks that no descriptor, or none that is understood, belongs to."""
    _pair: tuple[int, int] | None = None
    _buffer: bytearray = field(default_factory=bytearray)
    _begun: bool = False
    _texts: dict[int, str] = field(default_factory=dict)
    _layouts: dict[int, _Layout | None] = field(default_factory=dict)

    def feed(self, data: bytes) -> list[LogSamples]:
        """The samples of every chunk that is whole now. Raises SbemError; what was read before it is right."""
        self._buffer += data
        if not self._begun:
            if len(self._buffer) < _HEADER_BYTES:
                return []
            if not self._buffer.startswith(b"SBEM"):
                raise SbemError("it does not begin with SBEM")
            del self._buffer[:_HEADER_BYTES]
            self._begun = True
        samples: list[LogSamples] = []
        while (chunk := self._next()) is not None:
            number, payload = chunk
            if number == 0:
                self._describe(payload)
                continue
            found = self._samples(number, payload)
            if found is not None:
                samples.append(found)
        return samples

    def utc_ns(self, stamp_ms: int) -> int | None:
        """UTC of the sensor's ms by the pair of clocks in the log; None before one has come."""
        if self._pair is None:
            return None
        relative_ms, utc_us = self._pair
        return utc_us * 1000 + (stamp_ms - relative_ms) * 1_000_000

    def _next(self) -> tuple[int, bytes] | None:
        """(id, payload) of the next whole chunk."""
        buffer, at = self._buffer, 2
        if len(buffer) < at:
            return None
        number, size_at = buffer[0], 1
        if number == _ESCAPE:
            number, size_at, at = int.from_bytes(buffer[1:3], "little"), 3, 4
        if len(buffer) < at:
            return None
        size = buffer[size_at]
        if size == _ESCAPE:
            size, at = int.from_bytes(buffer[at : at + 4], "little"), at + 4
        if size > _MAX_CHUNK and len(buffer) >= at:
            raise SbemError("a chunk of an impossible length")
        if len(buffer) < at + size:
            return None
        payload = bytes(buffer[at : at + size])
        del buffer[: at + size]
        return number, payload

    def _describe(self, payload: bytes) -> None:
        if len(payload) < 2:
            raise SbemError("a descriptor cut short")
        text = payload[2:].split(b"\0")[0].decode("utf-8", "replace")
        self._texts[int.from_bytes(payload[:2], "little")] = text
        self._layouts.clear()

    def _samples(self, number: int, payload: bytes) -> LogSamples | None:
        if number not in self._layouts:
            self._layouts[number] = self._layout(number)
        layout = self._layouts[number]
        if layout is None or layout.format.size != len(payload):
            self.unknown += 1
            return None
        values = layout.format.unpack(payload)
        if self._dated({path[-1]: value for path, value in zip(layout.paths, values, strict=True)}):
            return None
        stamp: int | None = None
        columns: dict[tuple[str, str], list[float]] = {}
        for path, value in zip(layout.paths, values, strict=True):
            if path[-1:] == ("Timestamp",) and stamp is None and isinstance(value, int):
                stamp = value
            elif len(path) > 1 and path[-2] in _ARRAYS:
                columns.setdefault((path[-2], path[-1]), []).append(float(value))
        arrays = {}
        for name in _ARRAYS:
            axes = [columns.get((name, axis), []) for axis in "xyz"]
            if axes[0] and len({len(axis) for axis in axes}) == 1:
                arrays[name] = np.array(axes, np.float32).T.copy()
        if stamp is None or not arrays:
            self.unknown += 1
            return None
        return LogSamples(stamp, arrays)

    def _dated(self, named: Mapping[str, object]) -> bool:
        """Whether these are a pair of clocks, noted if so."""
        relative, utc = named.get("relativeTime"), named.get("utcTime")
        if not isinstance(relative, int) or not isinstance(utc, int):
            return False
        self._pair = relative, utc
        return True

    def _layout(self, number: int) -> _Layout | None:
        """The values of a chunk in order; None where a descriptor is missing or not understood."""
        members = self._members(number, 0)
        if members is None or not 0 < len(members) <= _MAX_MEMBERS:
            return None
        return _Layout(
            struct.Struct("<" + "".join(kind for kind, _ in members)), tuple(path for _, path in members)
        )

    def _members(self, number: int, depth: int) -> list[tuple[str, tuple[str, ...]]] | None:
        text = self._texts.get(number, "") if depth <= _DEEPEST else ""
        group = re.search(r"<GRP>([\d,]+)", text)
        if group is not None:
            return self._group([int(member) for member in group[1].split(",") if member], depth)
        path = re.search(r"<PTH>([^\n<]*)", text)
        kind = re.search(r"<FRM>(\w+)", text)
        if path is None:
            return None
        if kind is None and path[1].strip() in ("[", "]"):  # the ends of an array hold nothing
            return []
        if kind is None or kind[1] not in _FORMATS:
            return None
        return [(_FORMATS[kind[1]], tuple(re.split(r"[.+]", path[1].strip())))]

    def _group(self, members: list[int], depth: int) -> list[tuple[str, tuple[str, ...]]] | None:
        found: list[tuple[str, tuple[str, ...]]] = []
        for member in members:
            part = self._members(member, depth + 1)
            if part is None or len(found) > _MAX_MEMBERS:
                return None
            found += part
        return found
