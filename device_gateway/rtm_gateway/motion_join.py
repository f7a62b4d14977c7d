"""Accelerations and angular rates that a sensor sends as two streams (Polar), put together for the live count.

Nothing here is stored: chunks keep the streams as they came, and the server joins them by its own means.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rtm_gateway.drivers.driver import SampleBlock, StreamSpec, spec_channels
from rtm_signal.chunk import UNITS
from rtm_signal.recording import FloatArray

ACC: Final = ("ax", "ay", "az")
GYR: Final = ("gx", "gy", "gz")
_WAIT_S: Final = 2.0
"""So long one stream waits for the other: frames hold up to a second, and a lost one is not waited for."""


class _Held:
    """One of the two streams: what has come of it and is still needed. t in s of the sensor's clock."""

    def __init__(self) -> None:
        self.boot = -1
        self.t: FloatArray = np.zeros(0)
        self.values: FloatArray = np.zeros((0, 3))
        self.index = np.zeros(0, np.int64)

    def add(self, block: SampleBlock, values: FloatArray, rate_hz: float) -> None:
        """Samples in order; a new boot or a step back of the clock begins anew."""
        if block.tick is None:
            return
        k = np.arange(len(values))
        t = block.tick / block.tick_hz + k / rate_hz
        if block.boot != self.boot or (self.t.size and t[0] < self.t[0]):
            self.drop(self.t.size)
            self.boot = block.boot
        fresh = t > self.t[-1] if self.t.size else np.ones(t.size, bool)
        self.t = np.concatenate([self.t, t[fresh]])
        self.values = np.concatenate([self.values, values[fresh]])
        self.index = np.concatenate([self.index, (block.first + k)[fresh]])

    def drop(self, n: int) -> None:
        """Forget the n oldest."""
        self.t, self.values, self.index = self.t[n:], self.values[n:], self.index[n:]


class MotionJoin:
    """One sensor's two streams. `feed` gives blocks of specific force and angular rate, SI, at the gyroscope's
    samples."""

    def __init__(self) -> None:
        self._acc = _Held()
        self._gyr = _Held()
        self._spec = _spec(0.0, 0.0)

    def feed(self, spec: StreamSpec, block: SampleBlock) -> tuple[StreamSpec, SampleBlock] | None:
        """Add a block of either stream; None while the other has not come as far. A whole stream goes through."""
        names = [channel.name for channel in spec.channels]
        if set(names).issuperset(ACC + GYR):
            return spec, block
        for axes, held in ((ACC, self._acc), (GYR, self._gyr)):
            if set(names).issuperset(axes):
                channels = [spec.channels[names.index(axis)] for axis in axes]
                scales = np.array([channel.scale * UNITS[channel.unit] for channel in channels])
                values = block.values[:, [names.index(axis) for axis in axes]] * scales
                held.add(block, values, spec.rate_hz)
        if set(names).issuperset(GYR) and spec.rate_hz != self._spec.rate_hz:
            self._spec = _spec(spec.rate_hz, block.tick_hz)
        joined = self._join(block)
        return None if joined is None else (self._spec, joined)

    def _join(self, block: SampleBlock) -> SampleBlock | None:
        """The angular rates that have accelerations on both sides, with these between them."""
        acc, gyr = self._acc, self._gyr
        if not acc.t.size or not gyr.t.size:
            self._forget()
            return None
        gyr.drop(int(np.searchsorted(gyr.t, acc.t[0])))
        ready = int(np.searchsorted(gyr.t, acc.t[-1], side="right"))
        # A block's samples are consecutive: a hole ends it, and the rest comes with the next.
        holes = np.flatnonzero(np.diff(gyr.index[:ready]) != 1)
        ready = int(holes[0]) + 1 if holes.size else ready
        if ready == 0:
            self._forget()
            return None
        t, rates, first = gyr.t[:ready], gyr.values[:ready], int(gyr.index[0])
        force = np.stack([np.interp(t, acc.t, acc.values[:, axis]) for axis in range(3)], axis=1)
        values = np.hstack([force, rates]).astype(np.float32)
        tick = round(float(t[0]) * block.tick_hz)
        gyr.drop(ready)
        acc.drop(max(int(np.searchsorted(acc.t, t[-1], side="right")) - 1, 0))
        return SampleBlock("imu", gyr.boot, first, values, tick, block.tick_hz, block.arrival_ns, block.flags)

    def _forget(self) -> None:
        """Whoever's other half does not come is not kept for ever."""
        for held in (self._acc, self._gyr):
            if held.t.size:
                held.drop(int(np.searchsorted(held.t, held.t[-1] - _WAIT_S)))


def _spec(rate_hz: float, tick_hz: float) -> StreamSpec:
    channels = spec_channels("ax ay az", "m/s2", 1.0) + spec_channels("gx gy gz", "rad/s", 1.0)
    return StreamSpec("imu", channels, rate_hz, "float32", tick_hz)
