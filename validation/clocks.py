"""Clocks that disagree: lags put into recordings on purpose, and recordings whose clocks are right.

Run: `RTM_SHARED_DATA=... python validation/clocks.py [--every K]`: minutes; not part of `make validate`. The figures
stand in docs/explanation/joint-angles.md. The simulated body needs no shared data; without it the rest is left out.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from validation.counting_sets import shoulder_sets, therapy_sessions
from validation.shared_data import NOT_SET, data_dir, knee_clips, orientation_trials, rig_trials

from rtm_firmware_sim.body import exercise
from rtm_signal.analysis import analyze
from rtm_signal.catalogue import EXERCISES, Exercise
from rtm_signal.inclination import inclination
from rtm_signal.joint_angle import joint_angle
from rtm_signal.orientation import orient
from rtm_signal.recording import Recording, SensorRecording
from rtm_signal.result import Analysis
from rtm_signal.time_grid import to_grid

RATE_HZ = 50.0
BETWEEN_S = (0.1, -0.3, 1.0, -3.0)
DRIFT = 80e-6
WITHIN_S = (0.1, -0.2, 0.4)
MOST_SHARE = 0.2
"""Of a recording: a longer lag is not put into it."""
_SAID = re.compile(
    r"(?:(\w+): the gyroscope|the clock of (\w+)) was (?:stamped )?([\d.]+) s (behind|ahead|too late|too early)"
)
_LATER = {"behind": -1.0, "ahead": 1.0, "too late": 1.0, "too early": -1.0}
Named = Iterable[tuple[str, Recording]]


@dataclass
class Tally:
    """Of recordings of one kind: errors_s of the lags that were put right; how many were left as they are, and how
    many withheld; ranges of motion against that of the sound recording, degrees: as stamped, and as analysed."""

    errors_s: list[float] = field(default_factory=list)
    untouched: int = 0
    withheld: int = 0
    as_stamped_deg: list[float] = field(default_factory=list)
    as_said_deg: list[float] = field(default_factory=list)

    def take(self, result: Analysis, stamped: Recording, true_s: float, sound_deg: float) -> None:
        told = [w.why for w in result.withheld if w.what == "samples" and w.why.endswith("aligned.")]
        if told:
            self.errors_s += [min(abs(_said_s(one, stamped) - true_s) for one in told)]
        elif any("same time" in w.why or "clocks" in w.why for w in result.withheld):
            self.withheld += 1
        else:
            self.untouched += 1
        if true_s and np.isfinite(sound_deg):
            self.as_stamped_deg.append(abs(_range_as_stamped(stamped) - sound_deg))
            self.as_said_deg.append(abs(_range(result) - sound_deg))

    def line(self, what: str) -> str:
        n = len(self.errors_s) + self.untouched + self.withheld
        parts = [f"{what}: {n} recordings, {len(self.errors_s)} put right"]
        if self.errors_s:
            far = 1000 * np.percentile(self.errors_s, [50, 90, 100])
            parts.append(
                f"off by {far[0]:.0f} / {far[1]:.0f} / {far[2]:.0f} ms (median, 90th percentile, worst)"
            )
        parts.append(f"{self.untouched} left, {self.withheld} withheld")
        if self.as_stamped_deg:
            before, after = (np.array(v) for v in (self.as_stamped_deg, self.as_said_deg))
            said = after[np.isfinite(after)]
            parts.append(
                f"range of motion off by {np.nanmedian(before):.1f} / {np.nanpercentile(before, 90):.1f} deg as "
                f"stamped, {np.median(said):.1f} / {np.percentile(said, 90):.1f} deg as analysed"
            )
        return "; ".join(parts)


def _said_s(remark: str, recording: Recording) -> float:
    """By how much the last sensor of the recording, or its gyroscope, was stamped too late, s, as the remark says."""
    said = _SAID.search(remark)
    if said is None:
        return np.nan
    own, other, lag, way = said.groups()
    return _LATER[way] * float(lag) * (1.0 if (own or other) == list(recording.sensors)[-1] else -1.0)


def pairs(folder: Path | None, entries: Sequence[Exercise]) -> Iterator[tuple[str, Named]]:
    """Kinds of recordings of two sensors."""
    if folder is not None:
        yield "rig", [(trial.key, trial.recording) for trial in rig_trials(folder)]
        yield "knee", [(clip.key, clip.recording) for clip in knee_clips(folder) if clip.exercise != "Pose"]
    for context, name in (
        (True, "simulated, walking and handling around"),
        (False, "simulated, nothing around"),
    ):
        found = [
            (one.id, exercise(one.id, repetitions=8, rate_hz=RATE_HZ, seed=7, context=context).recording)
            for one in entries
        ]
        yield name, found


def singles(folder: Path | None, entries: Sequence[Exercise]) -> Iterator[tuple[str, Named]]:
    """Kinds of recordings of one sensor."""
    if folder is not None:
        yield "orientation trials", [(trial.key, trial.recording) for trial in orientation_trials(folder)]
        yield "shoulder", [(one.key, one.recording) for one in shoulder_sets(folder)]
        yield "therapy", [(one.key, one.recording) for one in therapy_sessions(folder)]
    for kind, found in pairs(None, entries):
        yield kind, [(key, _second(recording)) for key, recording in found]


def between(recording: Recording, lag_s: float, drift: float = 0.0) -> Recording:
    """The second sensor stamped so much too late."""
    (first, one), (second, other) = recording.sensors.items()
    late = replace(other, t=other.t + lag_s + drift * (other.t - other.t.mean()))
    return Recording({first: one, second: late})


def within(recording: Recording, lag_s: float) -> Recording:
    """Of one sensor the gyroscope stamped so much too late."""
    ((name, one),) = recording.sensors.items()
    assert one.gyr is not None
    rows = round(lag_s / float(np.median(np.diff(one.t))))
    late, early = max(0, rows), max(0, -rows)
    n = one.t.size
    cut = SensorRecording(one.t[: n - late - early], one.acc[late : n - early], one.gyr[early : n - late])
    return Recording({name: cut})


def _second(recording: Recording) -> Recording:
    name = list(recording.sensors)[-1]
    return Recording({name: recording.sensors[name]})


def _range(result: Analysis) -> float:
    series = result.angle_series
    return (
        float(np.ptp(series.angle_deg[series.valid])) if series is not None and series.valid.any() else np.nan
    )


def _range_as_stamped(recording: Recording) -> float:
    """Range of the angle, degrees, without a look at the clocks."""
    oriented = [orient(sensor) for sensor in to_grid(recording).sensors.values()]
    angle = joint_angle(*oriented) if len(oriented) == 2 else inclination(oriented[0])
    return float(np.degrees(np.ptp(angle.angle[angle.valid]))) if angle.valid.any() else np.nan


def _say(what: str, tally: Tally) -> None:
    sys.stdout.write(tally.line(what) + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="only every k-th recording")
    asked = parser.parse_args()
    folder = data_dir()
    if folder is None:
        sys.stderr.write(NOT_SET + "\n")
    entries = list(EXERCISES.values())
    for kinds, lags, wrong in (
        (pairs(folder, entries), BETWEEN_S, between),
        (singles(folder, entries), WITHIN_S, within),
    ):
        for kind, found in kinds:
            recordings = [recording for _, recording in list(found)[:: asked.every]]
            sound, lagging = Tally(), Tally()
            for i, recording in enumerate(recordings):
                base = analyze(recording, "generic")
                sound.take(base, recording, 0.0, np.nan)
                lag_s = lags[i % len(lags)]
                if abs(lag_s) > MOST_SHARE * base.duration_s:
                    continue
                shifted = wrong(recording, lag_s)
                lagging.take(analyze(shifted, "generic"), shifted, lag_s, _range(base))
            _say(f"{kind}, right clocks", sound)
            _say(f"{kind}, {'between' if wrong is between else 'within'}", lagging)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
