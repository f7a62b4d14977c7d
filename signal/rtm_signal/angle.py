"""An angle over time, with what is known of its error and where it is withheld."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rtm_signal.recording import FloatArray
from rtm_signal.result import AngleSeries, Withheld

EXCURSION = float(np.radians(5.0))
"""From zero: a clear one, where the whole movement is large; smaller ones are sway and setting off."""


@dataclass(frozen=True, slots=True)
class Angle:
    """An angle over time, radians.

    t: (n,) s; angle: (n,) rad, unwrapped, finite everywhere but meaningless where not valid;
    sigma: (n,) rad, standard uncertainty; valid: (n,) bool; name, of: what was measured, on which placements;
    rom_sigma: (2,) standard uncertainty of a range of motion R, rad: hypot(rom_sigma[0], rom_sigma[1] R).
    withheld: the spans and quantities that are not said, with reasons.
    """

    t: FloatArray
    angle: FloatArray
    sigma: FloatArray
    valid: NDArray[np.bool_]
    name: str
    of: tuple[str, ...] = ()
    rom_sigma: tuple[float, float] = (0.0, 0.0)
    withheld: tuple[Withheld, ...] = ()

    def rom_half_interval_deg(self, rom_deg: float) -> float:
        """Half of the 95 % interval of a range of motion, degrees."""
        return float(1.96 * np.hypot(np.degrees(self.rom_sigma[0]), self.rom_sigma[1] * rom_deg))

    def extended(self, t: FloatArray, why: str) -> Angle:
        """To the longer grid t (n,), withheld for the reason `why` beyond its own end."""
        more = len(t) - len(self.t)
        if more <= 0:
            return self
        return replace(
            self,
            t=t,
            angle=np.concatenate([self.angle, np.full(more, self.angle[-1])]),
            sigma=np.concatenate([self.sigma, np.full(more, self.sigma[-1])]),
            valid=np.concatenate([self.valid, np.zeros(more, dtype=bool)]),
            withheld=(*self.withheld, Withheld(self.name, why, float(t[-more]), float(t[-1]))),
        )

    def series(self) -> AngleSeries:
        """In degrees, NaN where withheld; the uncertainty is half of the 95 % interval."""
        return AngleSeries(
            self.t,
            np.where(self.valid, np.degrees(self.angle), np.nan),
            self.valid,
            1.96 * np.degrees(self.sigma),
        )


def excursion_sign(angle: FloatArray, *, largest: bool = False) -> float:
    """+1 or -1, so that the first clear excursion from zero (or the largest one) is positive; angle: (n,) rad."""
    size = np.abs(angle)
    most = float(size.max(initial=0.0))
    clear = size >= (most if largest else max(0.3 * most, min(EXCURSION, 0.5 * most)))
    return -1.0 if size.size and angle[int(np.argmax(clear))] < 0 else 1.0


def spans(flag: NDArray[np.bool_], t: FloatArray) -> list[tuple[float, float]]:
    """From and to (s) of each stretch where flag (n,) holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flag, [False]]).astype(np.int8)))
    return [(float(t[a]), float(t[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)]
