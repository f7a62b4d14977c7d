"""From a recording to its result: sets, repetitions, range of motion, and what is withheld and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtm_signal import catalogue, sensor_choice
from rtm_signal.alignment import rest_biases
from rtm_signal.analysis_angle import angle_name, measure, reasons
from rtm_signal.analysis_quality import qualities
from rtm_signal.angle import Angle
from rtm_signal.features import Motion, motion
from rtm_signal.movement import Movement
from rtm_signal.orientation import Orientation
from rtm_signal.placement import misplaced
from rtm_signal.recording import FloatArray, Recording, RecordingError
from rtm_signal.repetitions import find_sets, learn
from rtm_signal.repetitions_count import CountedSet, settle, total_range
from rtm_signal.repetitions_prescribed import Prior, prior_of
from rtm_signal.repetitions_timing import Timing, timings
from rtm_signal.result import (
    Analysis,
    AngleName,
    AngleSeries,
    Quality,
    RangeOfMotion,
    Repetition,
    RepetitionSet,
    Withheld,
)
from rtm_signal.slip import slipped
from rtm_signal.synchrony import on_one_clock, with_one_clock_each
from rtm_signal.time_grid import GriddedRecording, to_grid
from rtm_signal.units_check import check_units

PIPELINE_VERSION = "1.3"
"""Changes whenever a result may change."""


TOGETHER = 0.3
"""Share of the shorter sensor's samples at which the other measured too, below which they are no pair."""
WALKING = "All that repeats is walking, whose strides count only where walking is the exercise."


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
    _worn_together(grid, choice.of)
    own = with_one_clock_each(grid, choice.of)
    grid = own.grid
    doubts = [d for d in check_units(grid) if d.sensor in choice.of]
    grid = _without_gyroscopes(grid, {d.sensor for d in doubts if d.channel == "gyr"})
    still = _matching(pose, choice.of)
    biases = {} if still is None else rest_biases(still)
    both, oriented = on_one_clock(grid, choice.of, biases)
    grid = both.grid
    moved = motion([oriented.get(name, grid.sensors[name]) for name in choice.of])
    calibrated, shown = _matching(calibration, choice.of), dict[str, Orientation]()
    if calibrated is not None:
        together, shown = on_one_clock(calibrated, choice.of, biases)
        calibrated = together.grid
    prior = prior_of(entry)
    known = _learn(calibrated, shown, calibration_repetitions, set(oriented), prior)
    found = find_sets(moved, trimmed=trimmed, known=known, prior=prior)
    counted = [settle(one, moved, trimmed=trimmed, known=known) for one in found.sets]
    withheld = [Withheld("rom_deg", doubt.why) for doubt in doubts] or reasons(choice, entry, oriented)
    withheld = withheld or [Withheld("rom_deg", why) for why in (*own.doubts, *both.doubts)]
    if not withheld and len(choice.of) == 1 and choice.of[0] in shown:
        worn = misplaced([oriented[choice.of[0]]], [shown[choice.of[0]]], choice.of)
        withheld += [] if worn is None else [Withheld("rom_deg", worn)]
    angle = None
    if not withheld:
        inside = _inside(counted, grid.t)
        slip = slipped(moved, _spans(counted), one_exercise=entry.id != catalogue.GENERIC.id)
        angle = measure(choice, entry, oriented, shown, still, inside, slip)
        withheld += angle.withheld
    withheld += [Withheld("samples", remark) for remark in (*grid.remarks, *own.remarks, *both.remarks)]
    if found.walking:
        withheld.append(Withheld("repetitions", WALKING))
    tempo = None if entry.id == catalogue.GENERIC.id else entry.tempo_s
    sets = tuple(_set(one, moved, angle, known, tempo) for one in counted)
    return Analysis(
        exercise=entry.id,
        duration_s=float(grid.t[-1] - grid.t[0]),
        repetitions=sum(len(s.repetitions) for s in sets),
        repetitions_range=total_range(counted),
        angle=AngleName(angle_name(choice, entry), choice.of),
        sets=sets,
        rom_deg=_range_of_motion(sets, angle),
        withheld=tuple(withheld),
        pipeline_version=PIPELINE_VERSION,
        angle_series=_unsaid(grid.t) if angle is None else angle.series(),
    )


def _worn_together(grid: GriddedRecording, names: Sequence[str]) -> None:
    """Raises: RecordingError, where the sensors of a pair measured at different times."""
    both = ~np.any([grid.sensors[n].gap for n in names], axis=0)
    each = min(int((~grid.sensors[n].gap).sum()) for n in names)
    if len(names) > 1 and both.sum() < TOGETHER * each:
        raise RecordingError(
            f"The sensors {' and '.join(names)} hardly measured at the same time; their clocks do not agree."
        )


def _spans(counted: Sequence[CountedSet]) -> list[tuple[float, float]]:
    """Start and end of every repetition, s."""
    return [(float(a), float(b)) for one in counted for a, b in zip(one.start_s, one.end_s, strict=True)]


def _inside(counted: Sequence[CountedSet], t: FloatArray) -> NDArray[np.bool_]:
    """(n,) bool, whether a sample lies within a repetition."""
    edges = np.array(_spans(counted))
    if not len(edges):
        return np.zeros(len(t), dtype=bool)
    before = np.searchsorted(edges[:, 0], t, side="right") - 1
    return np.asarray((before >= 0) & (t <= edges[np.maximum(before, 0), 1]))


def _without_gyroscopes(grid: GriddedRecording, names: set[str]) -> GriddedRecording:
    """A gyroscope whose numbers cannot be right is worse than none: the count stands without it."""
    sensors = {n: replace(s, gyr=None) if n in names else s for n, s in grid.sensors.items()}
    return replace(grid, sensors=sensors)


def _matching(other: Recording | None, names: Sequence[str]) -> GriddedRecording | None:
    """The gridded calibration or pose, where it holds the sensors that are analysed, each on one clock."""
    if other is None or not all(n in other.sensors for n in names):
        return None
    return with_one_clock_each(to_grid(Recording({n: other.sensors[n] for n in names})), names).grid


def _learn(
    calibrated: GriddedRecording | None,
    oriented: Mapping[str, Orientation],
    nominal: int | None,
    with_gyroscope: set[str],
    prior: Prior | None,
) -> tuple[Movement, ...]:
    """What the calibration shows; nothing where its features would not compare with the recording's."""
    if calibrated is None or set(oriented) != with_gyroscope:
        return ()
    sources = [oriented.get(name, sensor) for name, sensor in calibrated.sensors.items()]
    return learn(motion(sources), nominal, prior)


def _set(
    one: CountedSet,
    moved: Motion,
    angle: Angle | None,
    known: Sequence[Movement],
    tempo_s: tuple[float, float] | None,
) -> RepetitionSet:
    phases = timings(_around(moved, one), one.start_s, one.end_s)
    if len(phases) == 1:
        # A lone repetition has no other to be told from: all its movement belongs to it.
        lone = phases[0]
        start, end = min(lone.start_s, float(one.start_s[0])), max(lone.end_s, float(one.end_s[0]))
        phases = [replace(lone, start_s=start, end_s=end)]
    judged = qualities(one, phases, moved, known, None, tempo_s)
    repetitions = tuple(_repetition(timing, angle, q) for timing, q in zip(phases, judged, strict=True))
    return RepetitionSet(repetitions[0].start_s, repetitions[-1].end_s, repetitions)


def _around(moved: Motion, one: CountedSet) -> Motion:
    """A set and as much on either side as it lasts: what its timing looks at."""
    start, end = float(one.start_s[0]), float(one.end_s[-1])
    reach = end - start + 1.0
    first, last = np.searchsorted(moved.t, [start - reach, end + reach])
    return moved.part(int(first), int(last))


def _repetition(timing: Timing, angle: Angle | None, quality: Quality) -> Repetition:
    rom = velocity = None
    if angle is not None:
        first, last = np.searchsorted(angle.t, [timing.start_s, timing.end_s])
        inside = slice(int(first), int(last) + 1)
        if angle.valid[inside].all() and len(angle.angle[inside]) > 1:
            course = np.degrees(angle.angle[inside])
            rom = float(np.ptp(course))
            velocity = float(np.max(np.abs(np.diff(course) / np.diff(angle.t[inside]))))
        else:
            quality = replace(quality, flags=(*quality.flags, "gap"))
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
    median = float(np.median(roms))
    return RangeOfMotion(median, float(max(roms)), angle.rom_half_interval_deg(median))


def _unsaid(t: FloatArray) -> AngleSeries:
    nothing = np.full(len(t), np.nan)
    return AngleSeries(t, nothing, np.zeros(len(t), dtype=bool), nothing)


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
