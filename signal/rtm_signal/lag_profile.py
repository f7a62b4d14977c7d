"""Reading a likelihood over lags: where it is highest, how surely, and whether that says anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from rtm_signal.recording import FloatArray

ELSEWHERE_S = 0.25
"""A peak this far from the best one is another reading."""
STEADY = 5.0
"""Standard uncertainties by which a lag must differ from none, ..."""
LARGE_S = 0.1
"""... where it is no larger: skin that follows late looks like a small lag, never like a large one."""


class Verdict(Enum):
    """AGREE: no lag, or none that can be told; KNOWN: a lag, well determined; UNCLEAR: some lag, not which."""

    AGREE = "agree"
    KNOWN = "known"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Peak:
    """lag_s, sigma_s: the best lag and its standard uncertainty, s; over_none, over_next: logarithms of its likelihood
    over that of no lag and over that of the next best reading; inside: it does not lie on the edge of the search."""

    lag_s: float
    sigma_s: float
    over_none: float
    over_next: float
    inside: bool

    def verdict(self, *, sure: float, visible: float, least_s: float, most_sigma_s: float) -> Verdict:
        """sure: logarithm of a likelihood ratio from which a lag is believed; visible: from which some lag is, though
        it may be another; least_s: a smaller lag is none."""
        if self.over_none < sure:
            return Verdict.AGREE
        if not self.inside or self.over_next < sure or self.sigma_s > most_sigma_s:
            return Verdict.UNCLEAR if self.over_none >= visible else Verdict.AGREE
        small = abs(self.lag_s) < max(least_s, min(LARGE_S, STEADY * self.sigma_s))
        return Verdict.AGREE if small else Verdict.KNOWN


def read(lags: FloatArray, likelihood: FloatArray) -> Peak:
    """lags: (l,) s, evenly spaced about 0; likelihood: (l,) its logarithm."""
    best, middle = int(np.argmax(likelihood)), len(lags) // 2
    top, step = float(likelihood[best]), float(lags[1] - lags[0])
    inner = likelihood[1:-1]
    crest = np.r_[True, (inner >= likelihood[:-2]) & (inner >= likelihood[2:]), True]
    others = likelihood[crest & (np.abs(lags - lags[best]) > ELSEWHERE_S)]
    over_next = top - float(others.max(initial=-np.inf))
    over_none = top - float(likelihood[middle])
    if best in (0, len(lags) - 1):
        return Peak(float(lags[best]), np.inf, over_none, over_next, inside=False)
    before, after = float(likelihood[best - 1]), float(likelihood[best + 1])
    bend = max(2 * top - before - after, 1e-9)  # of a parabola through the three
    off = 0.5 * (after - before) / bend * step
    return Peak(float(lags[best]) + off, step / float(np.sqrt(bend)), over_none, over_next, inside=True)
