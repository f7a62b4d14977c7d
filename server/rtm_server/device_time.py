"""When samples were taken, from what the chunks carry for ever: raw device ticks and arrivals.

Within one boot the device's own clock says how far samples are apart; the gateway's fit at sealing time does not, since
it was still learning (samples that drain from a sensor's memory faster than real time moved it chunk by chunk).
The offset to UTC is the lower envelope: no sample arrives before it was taken, so the smallest of arrival - tick is the
sensor's offset plus the shortest delay of the way. Drift of the crystal is not fitted here: at 50 ppm it is 60 ms after
20 minutes, which moves no day and no repetition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from rtm_signal import chunk as chunks
from rtm_signal.recording import FloatArray

VERSION = 1
"""Of this way to compute, beside a result that rests on it."""


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """Sample index of one boot -> Unix time.

    index, device_s: (m,) float64, increasing: anchors; offset_s: Unix time of the device's zero; period_s: of a sample.
    """

    index: FloatArray
    device_s: FloatArray
    offset_s: float
    period_s: float

    def at(self, index: FloatArray, origin_s: float) -> FloatArray:
        """(n,) float64, s after `origin_s` (Unix time), of the samples `index`."""
        device_s = np.interp(index, self.index, self.device_s)
        device_s += np.minimum(index - self.index[0], 0) * self.period_s
        device_s += np.maximum(index - self.index[-1], 0) * self.period_s
        return device_s + (self.offset_s - origin_s)


def fit(stored: Sequence[chunks.Chunk]) -> DeviceTime | None:
    """The device's time over chunks of one stream and boot; None where the sensor sends no ticks."""
    ticking = [chunk for chunk in stored if chunk.tick_hz > 0 and len(chunk.anchors)]
    if len(ticking) < len(stored) or not ticking:
        return None
    index = np.concatenate([chunk.first + chunk.anchors.offset for chunk in ticking]).astype(np.float64)
    device_s = np.concatenate([chunk.anchors.tick.astype(np.float64) / chunk.tick_hz for chunk in ticking])
    arrival_s = np.concatenate(_arrivals(ticking))
    index, first_of = np.unique(index, return_index=True)
    offset_s = float(np.min(arrival_s - device_s))
    return DeviceTime(index, device_s[first_of], offset_s, 1.0 / ticking[0].rate_hz)


def _arrivals(ticking: Sequence[chunks.Chunk]) -> list[FloatArray]:
    """Unix time of each anchor's arrival, by the latest word of the gateway's wall clock in each of its boots.

    A gateway without a battery-backed clock begins in 1970 and learns the time later: its last pair holds for the boot.
    """
    pairs: dict[UUID, tuple[int, int]] = {}
    for chunk in sorted(ticking, key=lambda each: each.mono_ns):
        pairs[chunk.gateway_boot] = (chunk.mono_ns, chunk.wall_us)
    arrivals = []
    for chunk in ticking:
        mono_ns, wall_us = pairs[chunk.gateway_boot]
        # In integers first: Unix nanoseconds do not fit a float to better than 0.2 us.
        behind_ns = chunk.anchors.arrival_ns.astype(np.int64) - mono_ns
        arrivals.append(behind_ns / 1e9 + wall_us / 1e6)
    return arrivals
