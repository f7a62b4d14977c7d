"""From a recording to its result: sets, repetitions, range of motion, and what is withheld and why."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.signal import butter, find_peaks, sosfiltfilt
from vqf import offlineVQF

from rtm_signal import catalogue
from rtm_signal.recording import FloatArray, Recording, RecordingError, SensorRecording
from rtm_signal.result import (
    Analysis,
    AngleName,
    AngleSeries,
    RangeOfMotion,
    Repetition,
    RepetitionSet,
    Withheld,
)

PIPELINE_VERSION = "0.1"
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

    exercise: a catalogue id or `generic`. calibration: a few supervised repetitions (calibration_repetitions of
    them, nominal) with the sensors worn alike. pose: standing or lying still in the exercise's neutral pose.
    trimmed: the recording is one set and begins and ends at its edges.

    Raises: RecordingError, UnknownExercise.
    """
    entry = catalogue.get(exercise)
    if not recording.sensors:
        raise RecordingError("The recording holds no sensor.")
    placement, sensor = max(recording.sensors.items(), key=lambda item: _rotation(item[1]))
    t, up, gyr = _grid(sensor)
    withheld: list[Withheld] = []
    signal = _principal(up - up.mean(axis=0))
    step = float(np.median(np.diff(t)))
    starts, peaks, ends = _cycles(signal, step)
    angle = np.degrees(np.arccos(np.clip(up @ up[0], -1.0, 1.0)))
    repetitions = tuple(
        Repetition(
            start_s=float(t[a]),
            peak_s=float(t[p]),
            end_s=float(t[b]),
            rom_deg=float(np.ptp(angle[a : b + 1])),
        )
        for a, p, b in zip(starts, peaks, ends, strict=True)
    )
    sets = (RepetitionSet(repetitions[0].start_s, repetitions[-1].end_s, repetitions),) if repetitions else ()
    roms = [r.rom_deg for r in repetitions if r.rom_deg is not None]
    return Analysis(
        exercise=entry.id,
        duration_s=float(t[-1] - t[0]),
        repetitions=len(repetitions),
        repetitions_range=(max(0, len(repetitions) - 1), len(repetitions) + 1),
        angle=AngleName("inclination", (placement,)),
        sets=sets,
        rom_deg=RangeOfMotion(float(np.median(roms)), float(max(roms))) if roms else RangeOfMotion(),
        withheld=tuple(withheld),
        pipeline_version=PIPELINE_VERSION,
        angle_series=AngleSeries(t, angle, np.ones(len(t), bool), np.full(len(t), 2.0)),
    )


def to_json(analysis: Analysis) -> dict[str, Any]:
    """The document that `rtm analyze --json` prints."""
    return {
        "exercise": analysis.exercise,
        "duration_s": analysis.duration_s,
        "repetitions": analysis.repetitions,
        "repetitions_range": list(analysis.repetitions_range),
        "angle": None
        if analysis.angle is None
        else {"name": analysis.angle.name, "of": list(analysis.angle.of)},
        "sets": [
            {
                "start_s": s.start_s,
                "end_s": s.end_s,
                "repetitions": [
                    {
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
                    for r in s.repetitions
                ],
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


def _rotation(sensor: SensorRecording) -> float:
    return float(np.std(sensor.acc if sensor.gyr is None else sensor.gyr))


def _grid(sensor: SensorRecording) -> tuple[FloatArray, FloatArray, FloatArray]:
    if len(sensor.t) < 4 or not np.isfinite(sensor.acc).all():
        raise RecordingError("The recording holds fewer than four samples, or values that are no numbers.")
    t, first = np.unique(sensor.t, return_index=True)
    step = float(np.median(np.diff(t)))
    grid = np.arange(t[0], t[-1] + step / 2, step)
    acc = np.stack([np.interp(grid, t, c) for c in sensor.acc[first].T], axis=1)
    raw = np.zeros_like(sensor.acc) if sensor.gyr is None else sensor.gyr
    gyr = np.stack([np.interp(grid, t, c) for c in raw[first].T], axis=1)
    q = offlineVQF(gyr, acc, None, step)["quat6D"]
    w, x, y, z = q.T
    up = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z], axis=1)
    return grid, up, gyr


def _principal(x: FloatArray) -> FloatArray:
    _, _, axes = np.linalg.svd(x, full_matrices=False)
    return np.asarray(x @ axes[0])


def _cycles(signal: FloatArray, step: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    empty = np.zeros(0, int)
    if len(signal) * step < 2.0 or np.std(signal) < 0.02:
        return empty, empty, empty
    smooth = sosfiltfilt(butter(2, min(1.5, 0.4 / step), fs=1 / step, output="sos"), signal)
    spread = np.subtract(*np.percentile(smooth, [90, 10]))
    smooth = smooth * np.sign((smooth - smooth[0]).sum() or 1.0)
    peaks, _ = find_peaks(smooth, prominence=0.4 * spread)
    if len(peaks) == 0:
        return empty, empty, empty
    valleys = [int(a + np.argmin(smooth[a:b])) for a, b in zip(peaks[:-1], peaks[1:], strict=True)]
    edges = np.array(
        [int(np.argmin(smooth[: peaks[0] + 1])), *valleys, int(peaks[-1] + np.argmin(smooth[peaks[-1] :]))]
    )
    return edges[:-1], peaks, edges[1:]
