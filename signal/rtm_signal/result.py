"""What an analysis says: sets of repetitions, range of motion, and what was withheld and why.

The JSON of `rtm analyze` is these classes, field by field (`docs/reference/analyze.md`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Quality:
    """How a repetition compares with its set.

    regularity: 0..1, correlation with the set's mean cycle; smoothness: SPARC (<= 0, Balasubramanian 2012);
    amplitude_ratio: its amplitude over the reference amplitude; flags: words such as `small`, `fast`, `gap`.
    """

    regularity: float | None = None
    smoothness: float | None = None
    amplitude_ratio: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repetition:
    """One repetition. Times: s, values of the recording's `t`. rom_deg: max - min within it, None if withheld."""

    start_s: float
    peak_s: float
    end_s: float
    rom_deg: float | None = None
    concentric_s: float | None = None
    eccentric_s: float | None = None
    hold_s: float | None = None
    peak_velocity_deg_s: float | None = None
    quality: Quality = field(default_factory=Quality)


@dataclass(frozen=True, slots=True)
class RepetitionSet:
    """Consecutive repetitions of one exercise."""

    start_s: float
    end_s: float
    repetitions: tuple[Repetition, ...] = ()


@dataclass(frozen=True, slots=True)
class Withheld:
    """What is not said, and why, over which span (s, values of `t`; None = the whole recording)."""

    what: str
    why: str
    from_s: float | None = None
    to_s: float | None = None


@dataclass(frozen=True, slots=True)
class AngleName:
    """Which angle was measured: `knee_flexion` of ("thigh", "shank"), `inclination` of ("wrist",)."""

    name: str
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AngleSeries:
    """The angle on the analysis grid.

    t: (n,) float64, s; angle_deg: (n,) float64, degrees, NaN where withheld; valid: (n,) bool;
    uncertainty_deg: (n,) float64, half of the 95 % interval.
    """

    t: NDArray[np.float64]
    angle_deg: NDArray[np.float64]
    valid: NDArray[np.bool_]
    uncertainty_deg: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RangeOfMotion:
    """Over all counted repetitions, degrees; uncertainty is half of the 95 % interval; None when unknown."""

    median: float | None = None
    max: float | None = None
    uncertainty: float | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """The result of one recording. `angle_series` is not part of the JSON."""

    exercise: str
    duration_s: float
    repetitions: int
    repetitions_range: tuple[int, int]
    angle: AngleName | None
    sets: tuple[RepetitionSet, ...]
    rom_deg: RangeOfMotion
    withheld: tuple[Withheld, ...]
    pipeline_version: str
    angle_series: AngleSeries | None = None
