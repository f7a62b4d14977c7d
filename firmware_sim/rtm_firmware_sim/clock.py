"""The sensor's crystal: fast or slow by parts per million, wandering with temperature, restarted by a reboot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Crystal:
    """ppm: constant error. thermal_ppm: amplitude of a sinusoidal wander of period `thermal_period_s`.

    A watch crystal is specified to +-20 ppm; body heat moves it by a few more.
    """

    ppm: float = 0.0
    thermal_ppm: float = 0.0
    thermal_period_s: float = 1800.0

    def elapsed(self, true_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the crystal counts, s, after `true_s` seconds: the integral of 1 + error."""
        w = 2.0 * np.pi / self.thermal_period_s
        wander = self.thermal_ppm * 1e-6 * (1.0 - np.cos(w * true_s)) / w
        return np.asarray(true_s * (1.0 + self.ppm * 1e-6) + wander)


class Clock:
    """Device time from simulated time.

    now: simulated time, s. The origin is fixed at the first look: until somebody has seen the clock, when the
    sensor was switched on cannot be known either, and a run is then the same to the byte whenever it is
    started. started_s: device time at that first look.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        crystal: Crystal | None = None,
        tick_hz: int = 32768,
        started_s: float = 60.0,
    ) -> None:
        self.now, self.tick_hz = now, tick_hz
        self._crystal = crystal or Crystal()
        self._started_s = started_s
        self._origin: float | None = None

    def device_s(self, at: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Device time, s, at simulated times `at` (any shape)."""
        moments = np.asarray(at, dtype=np.float64)
        if self._origin is None:
            self._origin = float(moments.flat[0])
        return self._started_s + self._crystal.elapsed(moments - self._origin)

    def ticks(self, at: NDArray[np.float64] | float) -> NDArray[np.uint64]:
        """Device ticks, u64, at simulated times `at`; never below 0."""
        ticks = np.rint(self.device_s(at) * self.tick_hz)
        return np.asarray(np.maximum(ticks, 0.0)).astype(np.uint64)

    def tick(self) -> int:
        """Device ticks now."""
        return int(self.ticks(self.now()))

    def seconds(self) -> float:
        """Device time now, s."""
        return float(self.device_s(self.now()))

    def restart(self) -> None:
        """As after a reboot: counts from 0 again, now."""
        self._origin, self._started_s = self.now(), 0.0
