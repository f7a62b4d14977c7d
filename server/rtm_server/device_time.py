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

# 2025-01-01, as the gateway has it: a clock before it has never been set.
_TRUSTED_US = 1_735_689_600_000_000

VERSION = 2
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
    device_s = np.concatenate([_device_s(chunk) for chunk in ticking])
    index, first_of = np.unique(index, return_index=True)
    return DeviceTime(index, device_s[first_of], _offset_s(ticking), 1.0 / ticking[0].rate_hz)


def _offset_s(ticking: Sequence[chunks.Chunk]) -> float:
    """Unix time of the device's zero: the smallest of arrival - tick over the gateway boots that knew the time.

    A gateway without a battery-backed clock begins in 1970 and learns the time later: the last of a boot's pairs that
    can be true holds for all of the boot. A boot that never learned it says nothing as long as another does.
    """
    walls: dict[UUID, tuple[bool, int, int]] = {}
    for chunk in ticking:
        pair = (chunk.wall_us >= _TRUSTED_US, chunk.mono_ns, chunk.wall_us)
        walls[chunk.gateway_boot] = max(walls.get(chunk.gateway_boot, pair), pair)
    known = any(trusted for trusted, _, _ in walls.values())
    offsets = []
    for chunk in ticking:
        trusted, mono_ns, wall_us = walls[chunk.gateway_boot]
        if trusted is known:
            # In integers first: Unix nanoseconds do not fit a float to better than 0.2 us.
            behind_ns = chunk.anchors.arrival_ns.astype(np.int64) - mono_ns
            offsets.append(np.min(behind_ns / 1e9 + wall_us / 1e6 - _device_s(chunk)))
    return float(min(offsets))


def _device_s(chunk: chunks.Chunk) -> FloatArray:
    return chunk.anchors.tick.astype(np.float64) / chunk.tick_hz
