"""How far the clocks of two sensors on one joint stand apart, from the movement itself.

Both segments share the joint's centre, and both orientations know the vertical. So the vertical acceleration of the
centre, seen from either side, is one signal: f_1(t) - X_1(t) r_1 = f_2(t) - X_2(t) r_2, with f the vertical specific
force of a sensor without gravity, X the effect of a lever arm on it (Seel, Schauer and Raisch 2012) and r the lever
arms. No heading, axis or calibration is needed, and how the two segments move together does not matter: only at the
right lag do the two sides agree, whatever the movement. For every lag of a bounded range the lever arms are found
anew (six unknowns, from correlations by FFT); the profile likelihood of the lag shows where the two sides agree, how
surely, and whether elsewhere nearly as well. Windows along the recording tell a drift.

Where the joint itself hardly moves, the forces tell little. Then it helps that two segments of a joint move at the
same time, give or take `_COUPLED_S`: how well their turning speeds go together counts too, without a preference
within that span, and never so much that it would decide alone how large a lag is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from rtm_signal import quaternion
from rtm_signal.filters import band_pass
from rtm_signal.gravity import G
from rtm_signal.lag_profile import STEADY, Verdict, read
from rtm_signal.lever_arm import PRIOR_M
from rtm_signal.orientation import Orientation
from rtm_signal.recording import FloatArray

MOST_S = 5.0
"""Lags that are looked for, either way."""
MOST_DRIFT = 300e-6
"""Two quartz clocks, each within 100 parts in a million, and as much for the error of a short recording."""
LEAST_S = 0.03
"""A smaller lag is none: skin and filters of two sensors differ by that much."""
SURE = 3.0
"""Logarithm of the likelihood ratio from which a lag is believed: over 500 recordings with right clocks stay below 1,
but for two at 4 with a lag below 0.08 s, which their uncertainty explains."""
VISIBLE = 4.0
"""The same, from which the clocks disagree though no one lag can be told."""
MOST_SIGMA_S = 0.05
SHORTEST_S = 10.0
_RATE_HZ = 25.0
_BAND_HZ = (0.5, 5.0)
"""Slower is tilt and scale, faster is skin that swings."""
_WINDOW_S = 60.0
"""A clock drifts by 6 ms in it at 100 parts in a million."""
_WINDOWS = 6
"""That are looked at, in as many parts of a long recording: of each the liveliest."""
_NOISE = 0.1
"""m/s2: of the joint's vertical acceleration between two good sensors, in the band."""
_TOLD_HZ = 2.0
"""Independent samples a second in the band: errors of scale and skin last as long as a movement does."""
_DRIFTS = 61
_COUPLED_S = 0.3
_COUPLING_HZ = 0.25
"""Independent samples a second of turning speed, ..."""
_COUPLING_MOST = 12.0
"""... and in all, however long the recording: they say that the two move together, not that they move alike."""


@dataclass(frozen=True, slots=True)
class Lag:
    """By how much the second sensor's stamps must be put later to be those of the first's clock.

    at_s: a moment, s; lag_s: there, s; drift: s per s; sigma_s: standard uncertainty of lag_s.
    """

    at_s: float
    lag_s: float
    drift: float
    sigma_s: float

    def of(self, t: FloatArray) -> FloatArray:
        """(n,) s at the moments t (n,)."""
        return np.asarray(self.lag_s + self.drift * (t - self.at_s))


NONE = Lag(0.0, 0.0, 0.0, np.inf)


def clock_lag(first: Orientation, second: Orientation) -> tuple[Verdict, Lag]:
    """What is known of the lag between two sensors on one grid that wear one joint between them."""
    n, rate = first.t.size, first.rate_hz
    if n < SHORTEST_S * rate:
        return Verdict.AGREE, NONE
    most_s = min(MOST_S, 0.4 * n / rate)
    margin = int(np.ceil(most_s * rate))
    middles, rows = [], []
    windows = _windows(first, second)
    for start, end in windows:
        a, b = max(0, start - margin), min(n, end + margin)
        mine, fine = _seen(first, a, b)
        other, _ = _seen(second, a, b)
        step = round(rate / fine)
        count, most = (end - start) // step, int(most_s * fine)
        before = (start - a) // step
        missing = (most - before, most - (len(other) - before - count))
        other = np.pad(other, ((max(0, missing[0]), max(0, missing[1])), (0, 0)))
        other = other[max(0, -missing[0]) :][: count + 2 * most]
        lags = np.arange(-most, most + 1) / fine
        forces = _likelihood(mine[before : before + count, :4], other[:, :4], fine)
        rows.append(forces + _together(mine[before : before + count, 4], other[:, 4], fine, len(windows)))
        middles.append(0.5 * (start + end) / rate)
    at = np.array(middles)
    drift, total = _along(lags, np.array(rows), at - at.mean())
    peak = read(lags, total)
    peak = replace(peak, over_none=float(total.max() - np.sum(rows, axis=0)[len(lags) // 2]))
    verdict = peak.verdict(
        sure=SURE,
        visible=VISIBLE,
        least_s=LEAST_S - abs(drift) * n / rate / 2,
        most_sigma_s=MOST_SIGMA_S,
    )
    return verdict, Lag(float(first.t[0] + at.mean()), peak.lag_s, drift, peak.sigma_s)


def _windows(first: Orientation, second: Orientation) -> list[tuple[int, int]]:
    """From and to of the samples that are looked at: all of a short recording, the liveliest minutes of a long one."""
    n, width = first.t.size, int(_WINDOW_S * first.rate_hz)
    if n < 2 * width:
        return [(0, n)]
    speed = np.einsum("ni,ni->n", first.gyr, first.gyr) + np.einsum("ni,ni->n", second.gyr, second.gyr)
    starts = np.linspace(0, n - width, max(2, round(n / width)), dtype=int)
    power = np.add.reduceat(speed, starts) if len(starts) > 1 else np.zeros(1)
    parts = np.array_split(np.arange(len(starts)), min(_WINDOWS, len(starts)))
    return [
        (int(starts[k]), int(starts[k]) + width)
        for k in (part[int(np.argmax(power[part]))] for part in parts)
    ]


def _along(lags: FloatArray, rows: FloatArray, at: FloatArray) -> tuple[float, FloatArray]:
    """The drift, s per s, and with it the likelihood (l,) of the lag in the middle; rows: (w, l), at: (w,) s."""
    steady = np.asarray(rows.sum(axis=0))
    if len(rows) < 2:
        return 0.0, steady
    curves = [CubicSpline(lags, row) for row in rows]
    drifts = np.linspace(-MOST_DRIFT, MOST_DRIFT, _DRIFTS)

    def with_drift(drift: float) -> FloatArray:
        moved = [np.clip(lags + drift * t, lags[0], lags[-1]) for t in at]
        return np.asarray(np.sum([curve(where) for curve, where in zip(curves, moved, strict=True)], axis=0))

    best = np.array([with_drift(drift).max() for drift in drifts])
    peak = read(drifts, best)
    told = peak.inside and peak.over_none > SURE and abs(peak.lag_s) > STEADY * peak.sigma_s
    return (peak.lag_s, with_drift(peak.lag_s)) if told else (0.0, steady)


def _seen(o: Orientation, first: int, last: int) -> tuple[FloatArray, float]:
    """(m, 5) of the samples first to last: the vertical specific force without gravity, m/s2, and what a lever arm of
    1 m along each axis makes of it, in the band; and the turning speed, rad/s. And the rate, Hz."""
    rows = slice(first, last)
    up, gyr = quaternion.third_column(o.quat[rows]), o.gyr[rows]
    slope = np.gradient(gyr, 1.0 / o.rate_hz, axis=0)
    power = np.einsum("ni,ni->n", gyr, gyr)
    seen = np.empty((len(gyr), 5))
    seen[:, 0] = np.einsum("ni,ni->n", o.acc[rows], up) - G
    seen[:, 1:4] = np.einsum("ni,ni->n", gyr, up)[:, None] * gyr - power[:, None] * up + np.cross(up, slope)
    seen[:, 4] = np.sqrt(power)
    seen[(o.gap | o.saturated)[rows]] = 0.0
    step = max(1, int(o.rate_hz // _RATE_HZ))
    thin = np.asarray(uniform_filter1d(seen, step, axis=0)[step // 2 :: step]) if step > 1 else seen
    rate = o.rate_hz / step
    thin[:, :4] = band_pass(thin[:, :4], _BAND_HZ, rate, padding_s=3.0)
    thin[:, 4] = uniform_filter1d(thin[:, 4], max(3, round(_COUPLED_S * rate)))
    return thin, rate


def _together(mine: FloatArray, other: FloatArray, rate: float, windows: int) -> FloatArray:
    """(l,) logarithm of the likelihood that two turning speeds, (n,) and (n + l - 1,), belong together."""
    n, lags = len(mine), len(other) - len(mine) + 1
    mine = mine - mine.mean()
    size = 1 << int(np.ceil(np.log2(len(other))))
    between = np.fft.irfft(np.conj(np.fft.rfft(mine, size)) * np.fft.rfft(other, size), size)[:lags]
    sums, squares = (np.concatenate([[0.0], np.cumsum(other**k)]) for k in (1, 2))
    power = (squares[n:] - squares[:lags]) - (sums[n:] - sums[:lags]) ** 2 / n
    share = np.clip(between, 0.0, None) ** 2 / np.maximum(power * (mine @ mine), 1e-9)
    told = min(_COUPLING_HZ * n / rate, _COUPLING_MOST / windows)
    likely = -0.5 * told * np.log(1.0 - np.minimum(share, 0.999))
    return np.asarray(maximum_filter1d(likely[::-1], 2 * round(_COUPLED_S * rate) + 1, mode="nearest"))


def _likelihood(mine: FloatArray, other: FloatArray, rate: float) -> FloatArray:
    """(l,) over the lags; mine (n, 4), other (n + l - 1, 4), which begins most before mine and ends most after it."""
    n, total = len(mine), len(other)
    lags = total - n + 1
    size = 1 << int(np.ceil(np.log2(total)))
    a, b = np.fft.rfft(mine, size, axis=0), np.fft.rfft(other, size, axis=0)
    between = np.fft.irfft(np.conj(a)[:, :, None] * b[:, None, :], size, axis=0)[:lags][::-1]  # (l, 4, 4)
    own = mine.T @ mine
    sums = np.concatenate([np.zeros((1, 4, 4)), np.cumsum(np.einsum("ni,nj->nij", other, other), axis=0)])
    theirs = (sums[n:] - sums[:lags])[::-1]  # (l, 4, 4)
    prior = _NOISE**2 / PRIOR_M**2 * rate / _TOLD_HZ
    normal = np.empty((lags, 6, 6))
    normal[:, :3, :3], normal[:, 3:, 3:] = own[1:, 1:], theirs[:, 1:, 1:]
    normal[:, :3, 3:], normal[:, 3:, :3] = -between[:, 1:, 1:], -np.swapaxes(between[:, 1:, 1:], 1, 2)
    normal += prior * np.eye(6)
    right = np.concatenate([own[1:, 0] - between[:, 1:, 0], theirs[:, 1:, 0] - between[:, 0, 1:]], axis=1)
    energy = own[0, 0] + theirs[:, 0, 0] - 2 * between[:, 0, 0]
    left = energy - np.einsum("li,li->l", right, np.linalg.solve(normal, right[:, :, None])[:, :, 0])
    alone = _alone(own[None], prior) + _alone(theirs, prior)
    ratio = (np.maximum(left, 0.0) / n + _NOISE**2) / (np.maximum(alone, 0.0) / n + _NOISE**2)
    return np.asarray(-0.5 * _TOLD_HZ * n / rate * np.log(ratio))


def _alone(own: FloatArray, prior: float) -> FloatArray:
    """(l,) what a lever arm about a resting joint leaves of a sensor's own signal; own: (l, 4, 4) products."""
    part = np.linalg.solve(own[:, 1:, 1:] + prior * np.eye(3), own[:, 1:, :1])[:, :, 0]
    return np.asarray(own[:, 0, 0] - np.einsum("li,li->l", own[:, 1:, 0], part))
