"""From a recording to its result: sets, repetitions, range of motion, and what is withheld and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rtm_signal import catalogue, sensor_choice
from rtm_signal.analysis_angle import angle_name, measure
from rtm_signal.analysis_quality import qualities
from rtm_signal.features import Motion, motion
from rtm_signal.inclination import Angle
from rtm_signal.orientation import Orientation, orient
from rtm_signal.recording import Recording
from rtm_signal.repetitions import Movement, find_sets, learn
from rtm_signal.repetitions_count import CountedSet, settle
from rtm_signal.repetitions_timing import Timing, timings
from rtm_signal.result import (
    Analysis,
    AngleName,
    AngleSeries,
    RangeOfMotion,
    Repetition,
    RepetitionSet,
    Withheld,
)
from rtm_signal.time_grid import GriddedRecording, to_grid

PIPELINE_VERSION = "1.0"
"""Changes whenever a result may change."""


def analyze(
    recording: Recording,
    exercise: str,
    *,
    calibration: Recording | None = None,
    calibration_repetitions: int | None = None,
    pose: Recording | None = None,
    trimmed: bool = False,
) -> Analysis:
    """Analyse one recording.

    exercise: a catalogue id or `generic`. calibration: a few supervised repetitions (nominally
    `calibration_repetitions`) with the sensors worn alike. pose: still, in the exercise's neutral pose.
    trimmed: the recording is one set and begins and ends at its edges.

    Raises: RecordingError, UnknownExercise.
    """
    entry = catalogue.get(exercise)
    grid = to_grid(recording)
    choice = sensor_choice.choose(grid.sensors, entry)
    oriented = _orientations(grid, choice.of)
    moved = motion([oriented.get(name, grid.sensors[name]) for name in choice.of])
    calibrated = _matching(calibration, choice.of)
    known = _learn(calibrated, choice.of, calibration_repetitions, moved)
    found = find_sets(moved, trimmed=trimmed, known=known)
    counted = [settle(one, moved, trimmed=trimmed, known=known) for one in found]
    withheld = [Withheld("samples", remark) for remark in grid.remarks]
    angle: Angle | None = None
    if len(oriented) == len(choice.of):
        angle, reasons = measure(choice, entry, oriented, calibrated, _matching(pose, choice.of))
        withheld += [*reasons, *angle.withheld]
    else:
        missing = " and ".join(n for n in choice.of if n not in oriented)
        withheld.append(Withheld("rom_deg", f"The sensor {missing} has no gyroscope: repetitions only."))
    unsaid = angle is None or any(w.what == "rom_deg" and w.from_s is None for w in withheld)
    sets = tuple(
        _set(one, moved, None if unsaid else angle, known, entry if entry.id != "generic" else None)
        for one in counted
    )
    return Analysis(
        exercise=entry.id,
        duration_s=float(grid.t[-1] - grid.t[0]),
        repetitions=sum(len(s.repetitions) for s in sets),
        repetitions_range=(sum(c.low for c in counted), sum(c.high for c in counted)),
        angle=AngleName(angle_name(choice, entry), choice.of),
        sets=sets,
        rom_deg=_range_of_motion(sets, angle),
        withheld=tuple(withheld),
        pipeline_version=PIPELINE_VERSION,
        angle_series=None if angle is None else _series(angle, unsaid),
    )


def _orientations(grid: GriddedRecording, names: Sequence[str]) -> dict[str, Orientation]:
    return {n: orient(grid.sensors[n]) for n in names if grid.sensors[n].gyr is not None}


def _matching(other: Recording | None, names: Sequence[str]) -> GriddedRecording | None:
    """The gridded calibration or pose, where it holds the sensors that are analysed."""
    if other is None or not all(n in other.sensors for n in names):
        return None
    return to_grid(Recording({n: other.sensors[n] for n in names}))


def _learn(
    calibrated: GriddedRecording | None, names: Sequence[str], nominal: int | None, moved: Motion
) -> tuple[Movement, ...]:
    if calibrated is None:
        return ()
    oriented = _orientations(calibrated, names)
    shown = motion([oriented.get(n, calibrated.sensors[n]) for n in names])
    return learn(shown, nominal) if shown.posture.shape[1] == moved.posture.shape[1] else ()


def _set(
    one: CountedSet,
    moved: Motion,
    angle: Angle | None,
    known: Sequence[Movement],
    entry: catalogue.Exercise | None,
) -> RepetitionSet:
    phases = timings(moved, one.start_s, one.end_s)
    judged = qualities(one, phases, moved, known, None, entry.tempo_s if entry else None)
    repetitions = tuple(
        _repetition(timing, angle, quality) for timing, quality in zip(phases, judged, strict=True)
    )
    return RepetitionSet(repetitions[0].start_s, repetitions[-1].end_s, repetitions)


def _repetition(timing: Timing, angle: Angle | None, quality: Any) -> Repetition:
    rom = velocity = None
    if angle is not None:
        first, last = np.searchsorted(angle.t, [timing.start_s, timing.end_s])
        inside = slice(int(first), int(last) + 1)
        if angle.valid[inside].all() and len(angle.angle[inside]) > 1:
            course = np.degrees(angle.angle[inside])
            rom = float(np.ptp(course))
            velocity = float(np.max(np.abs(np.diff(course) / np.diff(angle.t[inside]))))
    return Repetition(
        start_s=timing.start_s,
        peak_s=timing.peak_s,
        end_s=timing.end_s,
        rom_deg=rom,
        concentric_s=timing.concentric_s,
        eccentric_s=timing.eccentric_s,
        hold_s=timing.hold_s,
        peak_velocity_deg_s=velocity,
        quality=quality,
    )


def _range_of_motion(sets: Sequence[RepetitionSet], angle: Angle | None) -> RangeOfMotion:
    roms = [r.rom_deg for s in sets for r in s.repetitions if r.rom_deg is not None]
    if not roms or angle is None:
        return RangeOfMotion()
    # The range is a difference of two angles; their errors are taken as independent.
    uncertainty = 1.96 * np.sqrt(2) * np.degrees(float(np.median(angle.sigma[angle.valid])))
    return RangeOfMotion(float(np.median(roms)), float(max(roms)), float(uncertainty))


def _series(angle: Angle, unsaid: bool) -> AngleSeries:
    valid = np.zeros_like(angle.valid) if unsaid else angle.valid
    degrees = np.where(valid, np.degrees(angle.angle), np.nan)
    return AngleSeries(angle.t, degrees, valid, 1.96 * np.degrees(angle.sigma))


def to_json(analysis: Analysis) -> dict[str, Any]:
    """The document that `rtm analyze --json` prints."""
    name = analysis.angle
    return {
        "exercise": analysis.exercise,
        "duration_s": analysis.duration_s,
        "repetitions": analysis.repetitions,
        "repetitions_range": list(analysis.repetitions_range),
        "angle": None if name is None else {"name": name.name, "of": list(name.of)},
        "sets": [
            {
                "start_s": s.start_s,
                "end_s": s.end_s,
                "repetitions": [_repetition_json(r) for r in s.repetitions],
            }
            for s in analysis.sets
        ],
        "rom_deg": {
            "median": analysis.rom_deg.median,
            "max": analysis.rom_deg.max,
            "uncertainty": analysis.rom_deg.uncertainty,
        },
        "withheld": [
            {"what": w.what, "why": w.why, "from_s": w.from_s, "to_s": w.to_s} for w in analysis.withheld
        ],
        "pipeline_version": analysis.pipeline_version,
    }


def _repetition_json(r: Repetition) -> dict[str, Any]:
    return {
        "start_s": r.start_s,
        "peak_s": r.peak_s,
        "end_s": r.end_s,
        "rom_deg": r.rom_deg,
        "concentric_s": r.concentric_s,
        "eccentric_s": r.eccentric_s,
        "hold_s": r.hold_s,
        "quality": {
            "regularity": r.quality.regularity,
            "smoothness": r.quality.smoothness,
            "amplitude_ratio": r.quality.amplitude_ratio,
            "flags": list(r.quality.flags),
        },
    }
