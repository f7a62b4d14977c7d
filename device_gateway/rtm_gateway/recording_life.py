"""A recording's life: opened by Start, a button, motion or a sensor's memory; closed by Stop, idleness,
removal.

Pure: the recorder tells it what happens and stores its state in the outbox, in the transaction that
stores the samples, so that a gateway killed in mid-recording goes on with the same recording and still
sends its manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from rtm_gateway.clock import TRUSTED_AFTER_NS
from rtm_gateway.stored_spans import StreamKey
from rtm_gateway.unwrap import Coverage
from rtm_signal.chunk import stream_id
from rtm_signal.wire import Manifest, ManifestStream

IDLE_S: Final = 300.0
"""Five minutes without movement close a recording (docs/architecture.md)."""
_TRUSTED: Final = datetime.fromtimestamp(TRUSTED_AFTER_NS // 10**9, UTC)
_KEPT: Final = 20
"""Closed recordings that late data or losses may still revise."""


@dataclass(slots=True)
class _Share:
    """What one stream of one boot gives to a recording: indices first .. end - 1."""

    placement: str
    first: int
    end: int
    lost: list[tuple[int, int]] = field(default_factory=list)  # first, end


@dataclass(slots=True)
class _Recording:
    id: UUID
    exercise: str | None
    opened_by: str
    opened_at: datetime
    closed_at: datetime | None = None
    closed_by: str = ""
    revision: int = 0
    opened_s: float | None = None  # monotonic; None after a restart of the gateway
    calibration: bool = False
    shares: dict[StreamKey, _Share] = field(default_factory=dict)


class RecordingLife:
    """The open recording and the last closed ones. Times: aware datetimes, and s on the monotonic clock."""

    def __init__(
        self, tenant: UUID, gateway: UUID, state: bytes | None = None, *, now_s: float = 0.0
    ) -> None:
        self._tenant = tenant
        self._gateway = gateway
        self._moved_s = now_s
        self._open: _Recording | None = None
        self._closed: list[_Recording] = []
        if state is not None:
            raw = json.loads(state)
            self._open = None if raw["open"] is None else _load(raw["open"])
            self._closed = [_load(each) for each in raw["closed"]]

    @property
    def recording(self) -> UUID | None:
        """The open recording."""
        return None if self._open is None else self._open.id

    @property
    def exercise(self) -> str | None:
        """The open recording's exercise, None when free or not open."""
        return None if self._open is None else self._open.exercise

    @property
    def opened_by(self) -> str | None:
        """start, button, motion or memory; None when nothing is open."""
        return None if self._open is None else self._open.opened_by

    @property
    def is_calibration(self) -> bool:
        """The open recording is one."""
        return self._open is not None and self._open.calibration

    def was_closed(self, recording: UUID) -> bool:
        """Whether a recording of this name is among the last that were closed."""
        return any(each.id == recording for each in self._closed)

    def another(self, state: bytes | None = None) -> RecordingLife:
        """A life beside this one, of the same gateway, from what its own `state` was."""
        return RecordingLife(self._tenant, self._gateway, state, now_s=self._moved_s)

    def state(self) -> bytes:
        """Everything, for the outbox."""
        opened = None if self._open is None else _dump(self._open)
        return json.dumps({"open": opened, "closed": [_dump(each) for each in self._closed]}).encode()

    def open(
        self,
        by: str,
        at: datetime,
        now_s: float,
        *,
        exercise: str | None = None,
        recording: UUID | None = None,
        calibration: bool = False,
    ) -> UUID:
        """Open a recording; one that is open already goes on (Start may still name its exercise)."""
        self._moved_s = now_s
        if self._open is None:
            self._open = _Recording(
                recording or uuid4(), exercise, by, at, opened_s=now_s, calibration=calibration
            )
        elif exercise is not None and self._open.exercise is None:
            self._open.exercise = exercise
        return self._open.id

    def moved(self, now_s: float) -> None:
        """Somebody moves: the five idle minutes begin anew."""
        self._moved_s = max(self._moved_s, now_s)

    def is_idle(self, now_s: float, limit_s: float = IDLE_S) -> bool:
        """Open, and nobody moved for limit_s."""
        return self._open is not None and now_s - self._moved_s >= limit_s

    def add(self, key: StreamKey, placement: str, first: int, end: int) -> bool:
        """Samples first .. end - 1 came: they belong to the open recording, unless to a closed one.

        True when they are the first of their stream's boot.
        """
        if self._open is None:
            return False
        share = self._open.shares.get(key)
        if (share is None or first < share.first) and self.was_recorded(key, first, end):
            return False
        if share is None:
            self._open.shares[key] = _Share(placement, first, end)
            return True
        share.first, share.end = min(share.first, first), max(share.end, end)
        return False

    def was_recorded(self, key: StreamKey, first: int, end: int) -> bool:
        """Do all these samples lie within a closed recording?"""
        shares = [each.shares.get(key) for each in self._closed]
        return any(share is not None and share.first <= first and end <= share.end for share in shares)

    def lose(self, key: StreamKey, holes: Iterable[tuple[int, int]]) -> list[Manifest]:
        """Spans (first, end) that will never come. Returns the new revisions of closed recordings."""
        spans = list(holes)
        revised: list[Manifest] = []
        if self._open is not None:
            _stretch(self._open, key, spans)
        for each in [*self._closed, *([self._open] if self._open is not None else [])]:
            share = each.shares.get(key)
            if share is None:
                continue
            if (0, share.first) in spans and any(_began_before(other, key) for other in each.shares):
                share.first = 0  # the sensor restarted during the recording: what is lost since is part of it
            lost = Coverage(share.lost)
            new = [
                part
                for first, end in spans
                for part in lost.add(max(first, share.first), min(end, share.end))
            ]
            share.lost = lost.spans
            if new and each.closed_at is not None:
                revised.append(self._manifest(each, each.closed_at))
        return revised

    def close(self, by: str, at: datetime, now_s: float | None = None) -> Manifest | None:
        """Close the open recording: its manifest, None when nothing is open. Empty ones leave no trace.

        One that was opened before the gateway's clock was set (a machine without a battery clock starts in
        1970) is dated back from `at` by the monotonic clock, or by as little as can be if that was lost.
        """
        recording, self._open = self._open, None
        if recording is None or not recording.shares:
            return None
        recording.closed_at, recording.closed_by = at, by
        if recording.opened_at < _TRUSTED <= at:
            now_s, opened_s = now_s or 0.0, recording.opened_s
            lasted_s = 0.0 if opened_s is None else max(now_s - opened_s, 0.0)
            recording.opened_at = at - timedelta(seconds=lasted_s)
        self._closed = [*self._closed[-_KEPT + 1 :], recording]
        return self._manifest(recording, at)

    def spans(self) -> list[tuple[StreamKey, int, int]]:
        """(stream, first, end) of the open recording."""
        shares = {} if self._open is None else self._open.shares
        return [(key, share.first, share.end) for key, share in shares.items()]

    def _manifest(self, recording: _Recording, closed_at: datetime) -> Manifest:
        recording.revision += 1
        return Manifest(
            tenant=self._tenant,
            recording=recording.id,
            revision=recording.revision,
            gateway=self._gateway,
            exercise=recording.exercise,
            opened_at=recording.opened_at,
            closed_at=closed_at,
            closed_by=recording.closed_by,
            streams=tuple(
                ManifestStream(
                    sensor=key.sensor,
                    stream=stream_id(key.sensor, key.name),
                    name=key.name,
                    placement=share.placement,
                    boot=key.boot,
                    first=share.first,
                    last=share.end - 1,
                    lost=tuple((first, end - 1) for first, end in share.lost),
                )
                for key, share in recording.shares.items()
            ),
            calibration=recording.calibration,
        )


def _stretch(recording: _Recording, key: StreamKey, lost: Iterable[tuple[int, int]]) -> None:
    """What an open recording has lost is part of it: the end of a boot, or all of one that began during it."""
    for first, end in lost:
        share = recording.shares.get(key)
        earlier = next(
            (known for other, known in recording.shares.items() if _began_before(other, key)), None
        )
        if share is not None and share.first <= first <= share.end:  # what was seen may not have been stored
            share.end = max(share.end, end)
        elif share is None and first == 0 and earlier is not None:
            recording.shares[key] = _Share(earlier.placement, first, end)


def _began_before(other: StreamKey, key: StreamKey) -> bool:
    return (other.sensor, other.name) == (key.sensor, key.name) and other.boot < key.boot


def _dump(recording: _Recording) -> dict[str, Any]:
    return {
        "id": str(recording.id),
        "exercise": recording.exercise,
        "opened_by": recording.opened_by,
        "opened_at": recording.opened_at.isoformat(),
        "closed_at": recording.closed_at and recording.closed_at.isoformat(),
        "closed_by": recording.closed_by,
        "revision": recording.revision,
        "calibration": recording.calibration,
        "shares": [
            [str(key.sensor), key.name, key.boot, share.placement, share.first, share.end, share.lost]
            for key, share in recording.shares.items()
        ],
    }


def _load(raw: Mapping[str, Any]) -> _Recording:
    return _Recording(
        id=UUID(raw["id"]),
        exercise=raw["exercise"],
        opened_by=raw["opened_by"],
        opened_at=datetime.fromisoformat(raw["opened_at"]),
        closed_at=raw["closed_at"] and datetime.fromisoformat(raw["closed_at"]),
        closed_by=raw["closed_by"],
        revision=raw["revision"],
        calibration=raw.get("calibration", False),  # absent in what an earlier release wrote
        shares={
            StreamKey(UUID(sensor), name, boot): _Share(
                placement, first, end, [(low, high) for low, high in lost]
            )
            for sensor, name, boot, placement, first, end, lost in raw["shares"]
        },
    )
