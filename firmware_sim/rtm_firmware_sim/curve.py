"""Smooth curves through knots, evaluated at any time: what muscles do between two rests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Curve:
    """Minimum-jerk pieces between knots (Flash & Hogan 1985): twice continuously differentiable, at rest at
    every knot."""

    def __init__(self, start: float = 0.0) -> None:
        self._t: list[float] = [0.0]
        self._v: list[float] = [start]

    @property
    def value(self) -> float:
        """At the last knot."""
        return self._v[-1]

    def to(self, at: float, value: float) -> None:
        """Rest until nothing else is said, then be at `value` at time `at`."""
        if at > self._t[-1]:
            self._t.append(at)
            self._v.append(value)

    def hold(self, until: float) -> None:
        """Stay at the present value."""
        self.to(until, self._v[-1])

    def __call__(self, t: FloatArray) -> FloatArray:
        times, values = np.array(self._t), np.array(self._v)
        if times.size == 1:
            return np.full(t.shape, values[0])
        i = np.clip(np.searchsorted(times, t, side="right") - 1, 0, times.size - 2)
        s = np.clip((t - times[i]) / (times[i + 1] - times[i]), 0.0, 1.0)
        eased = s * s * s * (10.0 + s * (6.0 * s - 15.0))
        return np.asarray(values[i] + (values[i + 1] - values[i]) * eased)


class Waver:
    """A sum of slow sines with random phases: sway, tremor, handling. rms 1."""

    def __init__(self, rng: np.random.Generator, low_hz: float, high_hz: float, waves: int = 5) -> None:
        self._w = 2.0 * np.pi * rng.uniform(low_hz, high_hz, waves)
        self._phase = rng.uniform(0.0, 2.0 * np.pi, waves)

    def __call__(self, t: FloatArray) -> FloatArray:
        total = np.zeros(t.shape)
        for w, phase in zip(self._w, self._phase, strict=True):
            total += np.sin(w * t + phase)
        return np.asarray(total * np.sqrt(2.0 / self._w.size))
