"""Which sample indices need never be fetched again, and which may be forgotten by their sensor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from rtm_gateway.unwrap import Coverage

Spans = list[tuple[int, int]]
_BOOTS: Final = 64
"""Boots remembered of a sensor; a sensor's memory holds a few."""


class StreamKey(NamedTuple):
    """One stream of one boot of a sensor."""

    sensor: UUID
    name: str
    boot: int


class StoredSpans:
    """Per stream: `seen`, taken over or passed by in this process; `kept`, safe in the outbox or passed by.

    Spans are (first, end). `kept` is what the outbox remembers, written in the transaction of the samples.
    """

    def __init__(self) -> None:
        self._seen: dict[StreamKey, Coverage] = {}
        self._kept: dict[StreamKey, Coverage] = {}

    def load(self, sensor: UUID, state: bytes | None) -> None:
        """What `states` wrote for this sensor."""
        for name, boot, spans in json.loads(state) if state else []:
            key = StreamKey(sensor, name, boot)
            pairs = [(first, end) for first, end in spans]
            self._seen[key], self._kept[key] = Coverage(pairs), Coverage(pairs)

    def see(self, key: StreamKey, first: int, end: int) -> Spans:
        """Samples came: the spans of them that are new."""
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = Coverage()
            self._kept[key] = Coverage()
        return seen.add(first, end)

    def pass_by(self, key: StreamKey, first: int, end: int) -> None:
        """Samples that are not stored and never will be: of no recording, or lost."""
        self.see(key, first, end)
        self._kept[key].add(first, end)

    def missing(self, key: StreamKey, first: int, end: int) -> Spans:
        """What of first .. end - 1 never came."""
        seen = self._seen.get(key)
        return [(first, end)] if seen is None else seen.missing(first, end)

    def have(self, sensor: UUID) -> dict[tuple[str, int], Sequence[tuple[int, int]]]:
        """(stream, boot) -> spans that need not be fetched."""
        return {(key.name, key.boot): seen.spans for key, seen in self._seen.items() if key.sensor == sensor}

    def boots(self, sensor: UUID) -> set[int]:
        """Numbers of the sensor's boots that are known."""
        return {key.boot for key in self._seen if key.sensor == sensor}

    def states(
        self, sensors: Iterable[UUID], stored: Iterable[tuple[StreamKey, int, int]]
    ) -> dict[str, bytes]:
        """What to write for these sensors if the spans `stored` are written in the same transaction."""
        extra: dict[StreamKey, Spans] = {}
        for key, first, end in stored:
            extra.setdefault(key, []).append((first, end))
        states: dict[str, bytes] = {}
        for sensor in set(sensors) | {key.sensor for key in extra}:
            keys = [key for key in self._kept if key.sensor == sensor][-_BOOTS:]
            rows = [
                (key.name, key.boot, Coverage(self._kept[key].spans + extra.get(key, [])).spans)
                for key in keys
            ]
            states[f"kept:{sensor}"] = json.dumps(rows).encode()
        return states

    def keep(self, stored: Iterable[tuple[StreamKey, int, int]]) -> set[StreamKey]:
        """These spans are safe. Returns their streams."""
        touched = set()
        for key, first, end in stored:
            self._kept[key].add(first, end)
            touched.add(key)
        return touched

    def safe_below(self, key: StreamKey) -> int:
        """Everything of the stream's boot below this index is safe or passed by."""
        kept = self._kept[key]
        holes = kept.missing(0, kept.end)
        return holes[0][0] if holes else kept.end
