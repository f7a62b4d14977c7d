"""The clock computed anew from what was stored: every anchor of a sensor's boot at once, past and future.

Unlike the fit that ran with the data it knows what came later, so that a recording whose first minutes
arrived in a rush (buffered samples draining) is laid out at the sensor's own pace, ending when it arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtm_gateway.clock import (
    DRIFT_WINDOW_S,
    FIT_VERSION,
    MAX_DRIFT,
    ONE_WAY_DELAY_S,
    SETTLED_DRIFT,
    TRUSTED_AFTER_NS,
    WANDER,
    WallPair,
)
from rtm_gateway.drivers.driver import FourStamp

KNOT_S = 30.0


class Anchor(NamedTuple):
    """One live notification: boot of the gateway, the sensor's tick, arrival by its monotonic clock."""

    gateway_boot: str
    tick: int
    arrival_ns: int


class RefitError(ValueError):
    """The anchors do not tell the time; the sentence says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """tick -> UTC by lines between knots. knots: seconds of the sensor since tick0; offsets: s to UTC."""

    version: int
    tick_hz: float
    tick0: int
    utc0_ns: int
    knots: NDArray[np.float64]
    offsets: NDArray[np.float64]
    uncertainty_s: float

    def utc_us(self, tick: int) -> tuple[float, float]:
        """(us UTC, half of its 95 % interval in us)."""
        at = (tick - self.tick0) / self.tick_hz
        offset = float(np.interp(at, self.knots, self.offsets))
        away = max(self.knots[0] - at, at - self.knots[-1], 0.0)
        return self.utc0_ns / 1e3 + (at + offset) * 1e6, (self.uncertainty_s + away * WANDER) * 1e6


def refit(
    anchors: Sequence[Anchor],
    walls: Mapping[str, Iterable[WallPair]],
    tick_hz: float,
    exchanges: Iterable[tuple[str, FourStamp]] = (),
) -> Fit:
    """A fit for one boot of a sensor. Raises RefitError when no gateway boot ever knew the time.

    A gateway that was restarted begins a new monotonic clock; the sensor's ticks, which went on, carry the
    time over a gateway boot whose wall clock was never set.
    """
    offsets = {boot: found for boot, pairs in walls.items() if (found := _wall_offset(pairs)) is not None}
    usable = [(a.tick, a.arrival_ns + offsets[a.gateway_boot]) for a in anchors if a.gateway_boot in offsets]
    lower = [
        (stamps.t2_tick, stamps.t1_ns + offsets[boot], stamps.t3_tick, stamps.t4_ns + offsets[boot])
        for boot, stamps in exchanges
        if boot in offsets
    ]
    usable += [(t3, t4) for _, _, t3, t4 in lower]
    if not usable:
        raise RefitError("The gateway's clock was never set while this sensor was seen.")
    tick0, utc0 = min(usable)
    at = np.array([(tick - tick0) / tick_hz for tick, _ in usable])
    delay = np.array([(utc - utc0) * 1e-9 for _, utc in usable]) - at
    order = np.argsort(at, kind="stable")
    knots, upper = _envelope(at[order], delay[order])
    uncertainty = ONE_WAY_DELAY_S
    if lower:
        low_at = np.array([(t2 - tick0) / tick_hz for t2, _, _, _ in lower])
        low = np.array([(t1 - utc0) * 1e-9 for _, t1, _, _ in lower]) - low_at
        gap = np.interp(low_at, knots, upper) - low
        window = np.array([gap[np.abs(low_at - k) <= DRIFT_WINDOW_S].min(initial=np.inf) for k in knots])
        least = np.where(np.isfinite(window), window, gap.min())
        upper = upper - np.clip(least, 0.0, None) / 2.0
        uncertainty = float(max(np.max(least) / 2.0, 0.0005))
    return Fit(FIT_VERSION, tick_hz, tick0, utc0, knots, upper, uncertainty)


def _wall_offset(pairs: Iterable[WallPair]) -> int | None:
    """The last believable one: after NTP has answered it holds for the whole boot."""
    good = [pair.wall_ns - pair.mono_ns for pair in pairs if pair.wall_ns >= TRUSTED_AFTER_NS]
    return good[-1] if good else None


def _envelope(
    at: NDArray[np.float64], delay: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots every 30 s on the lower envelope, which neither rises nor falls faster than a clock can drift."""
    group = np.floor(at / KNOT_S).astype(np.int64)
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    best = [part.argmin() + start for start, part in zip(starts, np.split(delay, starts[1:]), strict=True)]
    knots, level = at[best], delay[best].copy()
    slope = _slope(knots, level)
    limit = SETTLED_DRIFT if len(knots) > 10 else MAX_DRIFT
    rest = level - slope * knots
    for k in range(1, len(rest)):
        rest[k] = min(rest[k], rest[k - 1] + limit * (knots[k] - knots[k - 1]))
    for k in range(len(rest) - 2, -1, -1):
        rest[k] = min(rest[k], rest[k + 1] + limit * (knots[k + 1] - knots[k]))
    return knots, rest + slope * knots


def _slope(knots: NDArray[np.float64], level: NDArray[np.float64]) -> float:
    """Median slope over pairs far apart: stalls and rushes do not move it."""
    n = len(knots)
    if n < 4:
        return 0.0
    half = n // 2
    slopes = (level[half:] - level[: n - half]) / (knots[half:] - knots[: n - half])
    return float(np.clip(np.median(slopes), -MAX_DRIFT, MAX_DRIFT))
