"""Recordings that sensors made by themselves, fetched as files from their memories: each is a recording of its own,
beside whatever is being recorded live.

A file may take several links to come, or several starts of the gateway: its recording stays open meanwhile. Its
samples are known by a boot number that follows from the file (`drivers.stored_file`), so none is stored twice.
A sensor may write a file while it streams: what was recorded live at the same time is not recorded again, or the
same minutes would be counted twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from rtm_gateway.recording_life import RecordingLife
from rtm_gateway.stored_spans import StreamKey
from rtm_signal.wire import Manifest

WAIT_S: Final = 3600.0
"""A file whose sensor stays away so long is closed as far as it came; the rest will be a recording of its own."""
_BRIDGED_S: Final = 5.0
"""Live samples this far apart are of one stretch of time."""
_WRITE_EVERY_S: Final = 10.0
_SPANS: Final = 500
"""Stretches of live recording remembered: months of exercise."""


def state_name(sensor: UUID) -> str:
    """The outbox's name for what is remembered of a sensor's files."""
    return f"files:{sensor}"


def passed_by(files: Mapping[str, int]) -> bytes:
    """What to remember of files (name -> bytes) that are not to be fetched."""
    return json.dumps({"fetched": dict(files), "life": None, "live": []}).encode()


class _Sensor:
    """One sensor: files that came whole (name -> bytes), the life of what is coming, when it was recorded live."""

    def __init__(self, raw: bytes | None, life_of: Callable[[bytes | None], RecordingLife]) -> None:
        state = json.loads(raw or passed_by({}))
        self.fetched: dict[str, int] = state["fetched"]
        life = state["life"]
        self.life = life_of(None if life is None else json.dumps(life).encode())
        self.live: list[list[float]] = state["live"]  # begin, end: s UTC
        self.written_s = 0.0

    def state(self) -> bytes:
        self.written_s = self.live[-1][1] if self.live else 0.0
        return json.dumps(
            {"fetched": self.fetched, "life": json.loads(self.life.state()), "live": self.live[-_SPANS:]}
        ).encode()


class FileRecordings:
    """Per sensor: which files have come whole, and the recording of the one that is coming.

    life_of makes a recording's life from its remembered state; recall gives what the outbox remembers.
    """

    def __init__(
        self, life_of: Callable[[bytes | None], RecordingLife], recall: Callable[[str], bytes | None]
    ) -> None:
        self._life_of = life_of
        self._recall = recall
        self._sensors: dict[UUID, _Sensor] = {}
        self._changed: set[UUID] = set()

    def add_sensor(self, sensor: UUID) -> None:
        """A sensor whose memory keeps files: remember what earlier starts fetched from it."""
        self._sensors[sensor] = _Sensor(self._recall(state_name(sensor)), self._life_of)

    def fetched(self, sensor: UUID) -> dict[str, int]:
        """Files that need not be asked for: name -> bytes."""
        known = self._sensors.get(sensor)
        return {} if known is None else dict(known.fetched)

    @property
    def changed(self) -> bool:
        """Is there something to remember?"""
        return bool(self._changed)

    def live(self, sensor: UUID, begin_s: float, end_s: float) -> None:
        """Samples of these seconds (UTC) are recorded as they come."""
        known = self._sensors.get(sensor)
        if known is None:
            return
        if known.live and known.live[-1][0] <= begin_s <= known.live[-1][1] + _BRIDGED_S:
            known.live[-1][1] = max(known.live[-1][1], end_s)
        else:
            known.live.append([begin_s, end_s])
        if end_s - known.written_s > _WRITE_EVERY_S:
            self._changed.add(sensor)

    def is_known(self, sensor: UUID, utc_ns: int | None) -> bool:
        """Was this moment recorded live?"""
        known = self._sensors.get(sensor)
        if utc_ns is None or known is None:
            return False
        at_s = utc_ns * 1e-9
        return any(begin <= at_s <= end for begin, end in known.live)

    def add(self, key: StreamKey, placement: str, first: int, end: int, now_s: float) -> None:
        """Samples first .. end - 1 of a file came."""
        life = self._sensors[key.sensor].life
        life.open("memory", datetime.now(UTC), now_s)
        life.add(key, placement, first, end)
        self._changed.add(key.sensor)

    def close(self, sensor: UUID, now_s: float) -> Manifest | None:
        """What comes next of this sensor's memory is another recording."""
        self._changed.add(sensor)
        return self._sensors[sensor].life.close("idle", datetime.now(UTC), now_s)

    def come(self, sensor: UUID, file: str, size: int, now_s: float) -> Manifest | None:
        """A file is here as a whole: its recording is closed."""
        self._sensors[sensor].fetched[file] = size
        return self.close(sensor, now_s)

    def given_up(self, now_s: float) -> list[UUID]:
        """Sensors of whose file nothing came for an hour."""
        return [sensor for sensor, known in self._sensors.items() if known.life.is_idle(now_s, WAIT_S)]

    def states(self) -> tuple[set[UUID], dict[str, bytes]]:
        """(sensors, what to write) since the last call; `unwritten` takes sensors back."""
        sensors, self._changed = self._changed, set()
        return sensors, {state_name(sensor): self._sensors[sensor].state() for sensor in sensors}

    def unwritten(self, sensors: Iterable[UUID]) -> None:
        """What `states` gave for these could not be written."""
        self._changed |= set(sensors)
