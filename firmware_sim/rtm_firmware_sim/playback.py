"""A recording turned back into sampling instants: who samples what, and when.

`Track` is one sensor's samples on an index grid. `Playback` is the time they share: sensors of one recording
that are started one after the other still move together. `Sampler` hands out what is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtm_firmware_sim.errors import SimulatorError
from rtm_signal.recording import FloatArray, SensorRecording

GAP_FACTOR = 1.5
"""A step longer than this many nominal periods has lost samples in it."""
SAME_RATE = 0.005
"""Rates nearer than this share are the same rate: nothing is resampled."""


@dataclass(frozen=True, slots=True)
class Track:
    """Samples of one sensor: t (n,) s from the first; index (n,) int64, jumps where samples are missing; acc,
    gyr, mag (n, 3)."""

    rate_hz: float
    t: FloatArray
    index: NDArray[np.int64]
    acc: FloatArray
    gyr: FloatArray
    mag: FloatArray | None

    @property
    def period_s(self) -> float:
        """Length of one turn of a loop."""
        return float(self.t[-1]) + 1.0 / self.rate_hz

    def at_rate(self, rate_hz: float) -> Track:
        """The same movement sampled at another rate (linear interpolation, holes kept); itself where the rate
        is its own."""
        if abs(rate_hz / self.rate_hz - 1.0) < SAME_RATE:
            return self
        index = np.arange(max(int(self.t[-1] * rate_hz) + 1, 1))
        t = index / rate_hz
        right = np.clip(np.searchsorted(self.t, t), 1, max(self.t.size - 1, 1))
        hole = (np.diff(self.index, append=self.index[-1] + 1) > 1)[right - 1]
        on_sample = np.isclose(t, self.t[right - 1], atol=1e-9)
        kept = ~hole | on_sample
        index, t = index[kept], t[kept]

        def channel(values: FloatArray) -> FloatArray:
            return np.stack([np.interp(t, self.t, values[:, i]) for i in range(3)], axis=1)

        mag = None if self.mag is None else channel(self.mag)
        return Track(rate_hz, t, index, channel(self.acc), channel(self.gyr), mag)


def track_of(sensor: SensorRecording, *, name: str = "the sensor", begins_at: float | None = None) -> Track:
    """Put a recorded sensor on its index grid; samples with a missing value become holes.

    begins_at: the recording's time of index 0 (the earliest sample of all its sensors), default its own
    first. Raises SimulatorError where fewer than two samples can be replayed.
    """
    gyr = np.zeros_like(sensor.acc) if sensor.gyr is None else sensor.gyr
    columns = [sensor.acc, gyr] if sensor.mag is None else [sensor.acc, gyr, sensor.mag]
    good = np.isfinite(sensor.t) & np.isfinite(np.hstack(columns)).all(axis=1)
    good[1:] &= np.diff(sensor.t) > 0  # of samples with one time the first
    t = sensor.t[good]
    if t.size < 2:
        raise SimulatorError(f"The recording of {name} has fewer than two usable samples.")
    steps = np.diff(t)
    within = steps < GAP_FACTOR * np.median(steps)
    rate = float(within.sum() / steps[within].sum())
    index = np.concatenate([[0], np.cumsum(np.maximum(np.round(steps * rate), 1.0))]).astype(np.int64)
    start = t[0] if begins_at is None else begins_at
    mag = None if sensor.mag is None else sensor.mag[good]
    return Track(rate, t - start, index, sensor.acc[good], gyr[good], mag)


class Playback:
    """The time a recording's sensors share; runs `speed` times as fast as the wall's.

    wall: monotonic seconds, the event loop's unless told.
    """

    def __init__(
        self, *, speed: float = 1.0, loop: bool = False, wall: Callable[[], float] | None = None
    ) -> None:
        if not speed > 0.0:
            raise SimulatorError(f"The speed must be above 0, not {speed:g}.")
        self.speed, self.loop = speed, loop
        self._wall = wall or asyncio.get_running_loop().time
        self._origin = self._wall()
        self._anchor = 0.0
        self._active: set[str] = set()
        self._seen: set[str] = set()

    def now(self) -> float:
        """Simulated time, s."""
        return (self._wall() - self._origin) * self.speed

    def join(self, sensor: str) -> tuple[float, bool]:
        """A sensor starts: (simulated time of the recording's beginning, whether it may start at that
        beginning).

        The first to start sets the beginning. One that comes later gets what it missed at once, as from a
        FIFO that was filling; one that was stopped and comes back goes on at the present.
        """
        if not self._active:
            self._anchor = self.now()
            self._seen.clear()
        from_beginning = sensor not in self._seen
        self._active.add(sensor)
        self._seen.add(sensor)
        return self._anchor, from_beginning

    def leave(self, sensor: str) -> None:
        """A sensor stops; when all have, the next to start begins anew."""
        self._active.discard(sensor)

    async def until(self, moment: float) -> None:
        """Sleep until a simulated time."""
        await asyncio.sleep(max(0.0, (moment - self.now()) / self.speed))


@dataclass(frozen=True, slots=True)
class Block:
    """Samples in a row: index (n,) int64 consecutive; at (n,) simulated time, s; acc, gyr, mag (n, 3)."""

    index: NDArray[np.int64]
    at: FloatArray
    acc: FloatArray
    gyr: FloatArray
    mag: FloatArray | None

    @property
    def size(self) -> int:
        return self.index.size


class Sampler:
    """One run through a track, from where `Playback.join` says. Positions count the track's samples, loops
    included."""

    def __init__(self, track: Track, playback: Playback, sensor: str) -> None:
        self.track, self._playback, self._sensor = track, playback, sensor
        self._period_index = int(track.index[-1]) + 1
        self.anchor, from_beginning = playback.join(sensor)
        self.position = 0 if from_beginning else self.due()

    def due(self) -> int:
        """Positions whose instant has come."""
        elapsed = self._playback.now() - self.anchor
        turn, within = divmod(elapsed, self.track.period_s) if self._playback.loop else (0.0, elapsed)
        return int(turn) * self.track.t.size + int(np.searchsorted(self.track.t, within, side="right"))

    @property
    def exhausted(self) -> bool:
        """Nothing will come any more."""
        return not self._playback.loop and self.position >= self.track.t.size

    def instant(self, position: int) -> float:
        """Simulated time of a position; infinite past the end."""
        turn, k = divmod(position, self.track.t.size)
        if turn and not self._playback.loop:
            return float("inf")
        return self.anchor + float(self.track.t[k]) + turn * self.track.period_s

    def take(self, most: int) -> Block:
        """At least one sample in a row from the present position, at most `most`; ends before a hole and at a
        loop's end."""
        turn, k = divmod(self.position, self.track.t.size)
        track = self.track
        index = track.index[k : k + most]
        jumps = np.flatnonzero(np.diff(index) != 1)
        n = int(jumps[0]) + 1 if jumps.size else index.size
        part = slice(k, k + n)
        self.position += n
        return Block(
            track.index[part] + turn * self._period_index,
            track.t[part] + (self.anchor + turn * track.period_s),
            track.acc[part],
            track.gyr[part],
            None if track.mag is None else track.mag[part],
        )

    async def blocks(self, most: int) -> AsyncIterator[Block]:
        """Blocks of `most` samples (fewer before a hole and at the end), each when its last sample is due."""
        while not self.exhausted:
            size = self.track.t.size
            last = min(self.position + most, (self.position // size + 1) * size) - 1
            await self._playback.until(self.instant(last))
            yield self.take(last - self.position + 1)
        self.stop()

    def stop(self) -> None:
        """Leave the playback."""
        self._playback.leave(self._sensor)
