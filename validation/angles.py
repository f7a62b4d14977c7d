"""Accuracy of the angles: the whole pipeline against optical truth on rig, human knee and single sensors.

Run: `RTM_SHARED_DATA=... python validation/angles.py`. `score(folder)` gives the rows of docs/validation.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from validation.shared_data import (
    NOT_SET,
    KneeClip,
    OrientationTrial,
    RigTrial,
    data_dir,
    knee_clips,
    orientation_trials,
    rig_trials,
)

from rtm_signal import quaternion
from rtm_signal.alignment import align
from rtm_signal.analysis import analyze
from rtm_signal.orientation import orient
from rtm_signal.recording import Recording, SensorRecording
from rtm_signal.result import Analysis, AngleSeries
from rtm_signal.streaming_angle import LiveJointAngle
from rtm_signal.time_grid import to_grid

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Row = dict[str, Any]

LOSS = 0.05
GAP_S = 0.1
LAG_S = 0.15
LIVE_RATE_HZ = 50.0
LIVE_BLOCK = 10


def score(folder: Path) -> list[Row]:
    """One row a figure: what, figure, goal (and whether less or more is good), n, unit."""
    trials = rig_trials(folder)
    rows = [*_rig_rows(trials), *_relative_rows(trials), *_live_rows(trials), *_knee_rows(knee_clips(folder))]
    return rows + _inclination_rows(orientation_trials(folder))


def reliability(folder: Path) -> list[Row]:
    """For a reliability plot: what, the stated share of an interval, the share that held the truth, n.

    Samples of one trial hang together: n is the number of trials.
    """
    trials = orientation_trials(folder)
    sent: dict[str, Callable[[OrientationTrial], BoolArray]] = {
        "inclination": lambda trial: np.ones_like(trial.scored),
        "inclination, 5 % of packets lost": lambda trial: ~_lost(trial),
    }
    rows = []
    for what, kept in sent.items():
        ratios = [_inclination_error(trial, kept(trial))[2] for trial in trials]
        for stated in (0.5, 0.68, 0.8, 0.9, 0.95, 0.99):
            width = float(norm.ppf(0.5 + stated / 2) / norm.ppf(0.975))
            held = float(np.mean([np.mean(ratio <= width) for ratio in ratios]))
            rows.append({"what": what, "stated": stated, "held": held, "n": len(ratios)})
    return rows


# Hinge rig


def _rig_rows(trials: list[RigTrial]) -> list[Row]:
    hinges = [trial for trial in trials if trial.joint == "hinge"]
    rmse, rom, kept, held = [], [], [], []
    for trial in hinges:
        result = analyze(trial.recording, "generic")
        angle = _series(result)
        truth = _flexion(trial)
        good = trial.sound & angle.valid
        error = min(_rms_of_change(sign * angle.angle_deg - truth, good) for sign in (1.0, -1.0))
        rmse.append(error)
        rom.append(abs(float(np.ptp(angle.angle_deg[good]) - np.ptp(truth[good]))))
        kept.append(float(angle.valid.mean()))
        if result.rom_deg.uncertainty is not None:
            held.append(rom[-1] <= result.rom_deg.uncertainty)
    return [
        _row("hinge rig, glitches masked: flexion RMSE, median over trials", np.median(rmse), 1.0, len(rmse)),
        _row("hinge rig: range-of-motion error, median over trials", np.median(rom), 0.4, len(rom)),
        _row("hinge rig: share withheld", 100 * (1 - np.mean(kept)), 10, len(kept), "%"),
        *_interval_row("hinge rig", held),
    ]


def _relative_rows(trials: list[RigTrial]) -> list[Row]:
    """Relative orientation without a magnetometer; 3.2 degrees is the best published (force alone, two axes)."""
    rows = []
    for joint, name in (("two axes", "two-axis rig"), ("ball", "ball rig")):
        errors = []
        for trial in trials:
            if trial.joint != joint:
                continue
            sensors = to_grid(trial.recording).sensors
            found = align([(orient(sensors["thigh"]), orient(sensors["shank"]))])[0].relative
            first, second = trial.reference
            true = quaternion.multiply(quaternion.conjugate(first), second)
            share = np.abs(np.einsum("ni,ni->n", true, found))[trial.sound]
            turned = 2 * np.degrees(np.arccos(np.clip(share, 0.0, 1.0)))
            errors.append(float(np.sqrt(np.mean(turned**2))))
        rows.append(
            _row(
                f"{name}: relative orientation RMSE, median over trials", np.median(errors), 3.2, len(errors)
            )
        )
    return rows


def _live_rows(trials: list[RigTrial]) -> list[Row]:
    """The live angle against the offline one, in blocks of ten samples, after its first look."""
    apart = []
    for trial in trials:
        if trial.joint != "hinge":
            continue
        live = LiveJointAngle(("thigh", "shank"), LIVE_RATE_HZ)
        said = []
        for first in range(0, trial.sound.size, LIVE_BLOCK):
            for name, s in trial.recording.sensors.items():
                assert s.gyr is not None
                part = slice(first, first + LIVE_BLOCK)
                said.append(live.push(name, s.t[part], s.acc[part], s.gyr[part]))
        t, angle = np.concatenate([a.t for a in said]), np.concatenate([a.angle for a in said])
        offline = _series(analyze(trial.recording, "generic"))
        difference = np.degrees(angle) - np.interp(t, offline.t, offline.angle_deg)
        apart.append(float(np.nanstd(difference)))
    return [
        _row(
            "hinge rig: live angle from the offline one, RMS, median over trials",
            np.median(apart),
            2.0,
            len(apart),
        )
    ]


def _flexion(trial: RigTrial) -> FloatArray:
    """(n,) degrees about the principal axis of the reference's relative rotation."""
    first, second = trial.reference
    relative = quaternion.continuous(quaternion.multiply(quaternion.conjugate(first), second))
    mean = np.linalg.eigh(relative[trial.sound].T @ relative[trial.sound])[1][:, 3]
    turned = quaternion.continuous(quaternion.multiply(relative, quaternion.conjugate(mean)))
    spread = turned[trial.sound, 1:] * np.sign(turned[trial.sound, :1])
    axis = np.linalg.eigh(spread.T @ spread)[1][:, 2]
    return np.asarray(np.degrees(quaternion.twist_angle(turned, axis)))


# Human knee


def _knee_rows(clips: list[KneeClip]) -> list[Row]:
    poses = {clip.side: clip.recording for clip in clips if clip.exercise == "Pose"}
    moving = [clip for clip in clips if clip.exercise != "Pose"]
    rmse, rom, kept, held = [], [], [], []
    for clip in moving:
        result = analyze(
            clip.recording,
            "generic",
            pose=poses[clip.side],
            calibration=_next_of_the_same(clip, moving).recording,
            calibration_repetitions=1,
        )
        angle = _series(result)
        kept.append(float(angle.valid.mean()))
        if angle.valid.sum() < 8:
            continue
        error = float(np.ptp(angle.angle_deg[angle.valid]) - np.ptp(clip.flexion_deg[angle.valid]))
        rom.append(abs(error))
        rmse.append(_lagged_rms(angle, clip.flexion_deg))
        half = result.rom_deg.uncertainty
        if half is not None:
            held.append(abs(error) <= half)
    return [
        _row(
            "human knee, one subject: range-of-motion error, median over clips", np.median(rom), 5.0, len(rom)
        ),
        _row(
            "human knee, one subject: RMSE after a constant offset and 0.15 s of lag, median over clips",
            np.median(rmse),
            3.0,
            len(rmse),
        ),
        _row("human knee: share withheld", 100 * (1 - np.mean(kept)), 10, len(kept), "%"),
        *_interval_row("human knee", held),
    ]


def _next_of_the_same(clip: KneeClip, clips: list[KneeClip]) -> KneeClip:
    """Another clip of the same exercise and leg: the calibration recording."""
    same = [c for c in clips if c.exercise == clip.exercise and c.side == clip.side]
    return same[(same.index(clip) + 1) % len(same)]


def _lagged_rms(angle: AngleSeries, truth: FloatArray) -> float:
    """Least RMS, degrees, over lags and a constant offset; the sign is not forgiven."""
    rate = 1.0 / float(np.median(np.diff(angle.t)))
    n, most = truth.size, int(LAG_S * rate)
    best = np.inf
    for lag in range(-most, most + 1):
        mine = slice(max(0, lag), n + min(0, lag))
        theirs = slice(max(0, -lag), n - max(0, lag))
        good = angle.valid[mine]
        if good.sum() >= 8:
            best = min(best, _rms_of_change(angle.angle_deg[mine] - truth[theirs], good))
    return float(best)


# Inclination


def _inclination_rows(trials: list[OrientationTrial]) -> list[Row]:
    intact = [_inclination_error(trial, np.ones(trial.scored.size, dtype=bool)) for trial in trials]
    lossy = [_inclination_error(trial, ~_lost(trial)) for trial in trials]
    return [
        _row("inclination against optical truth, mean over trials", np.mean([e[0] for e in intact]), 0.55, 8),
        _row(
            "inclination: share withheld", 100 * (1 - np.mean([e[1] for e in intact])), 10, len(trials), "%"
        ),
        _row(
            "inclination, 5 % of packets lost: median trial",
            np.median([e[0] for e in lossy]),
            1.8,
            len(trials),
        ),
        _row(
            "inclination, 5 % of packets lost: movement kept, least trial",
            100 * min(e[1] for e in lossy),
            70,
            len(trials),
            "%",
            more=True,
        ),
        *_interval_row("inclination, samples", [np.mean(e[2] <= 1) for e in intact]),
        *_interval_row("inclination with packet loss, samples", [np.mean(e[2] <= 1) for e in lossy]),
    ]


def _inclination_error(trial: OrientationTrial, sent: BoolArray) -> tuple[float, float, FloatArray]:
    """RMS in degrees, share of the movement kept, errors over half of the stated interval."""
    sensor = trial.recording.sensors["wrist"]
    assert sensor.gyr is not None
    kept = Recording({"wrist": SensorRecording(sensor.t[sent], sensor.acc[sent], sensor.gyr[sent])})
    angle = _series(analyze(kept, "generic"))
    up = quaternion.third_column(trial.optical)
    start = up[int(np.argmax(np.isfinite(up).all(axis=1)))]
    truth = np.degrees(np.arctan2(np.linalg.norm(np.cross(up, start), axis=1), up @ start))
    mine = np.interp(sensor.t, angle.t, np.where(angle.valid, angle.angle_deg, 0.0))
    valid = np.interp(sensor.t, angle.t, angle.valid.astype(float)) > 0.99
    good = trial.scored & valid
    error = np.abs(mine[good]) - truth[good]
    half = np.interp(sensor.t, angle.t, angle.uncertainty_deg)[good]
    return (
        float(np.sqrt(np.mean(error**2))),
        float(good.sum() / trial.scored.sum()),
        np.abs(error) / half,
    )


def _lost(trial: OrientationTrial) -> BoolArray:
    """(n,) samples in packets of 100 ms, of which one in twenty is lost; the same ones each time."""
    t = trial.recording.sensors["wrist"].t
    packet = (t / GAP_S).astype(int)
    lost = np.random.default_rng(1).random(packet.max() + 1) < LOSS
    lost[[0, -1]] = False
    return np.asarray(lost[packet])


# Common


def _series(result: Analysis) -> AngleSeries:
    if result.angle_series is None:
        raise ValueError(f"no angle: {'; '.join(w.why for w in result.withheld)}")
    return result.angle_series


def _rms_of_change(error: FloatArray, good: BoolArray) -> float:
    return float(np.std(error[good]))


def _row(what: str, figure: Any, goal: float, n: int, unit: str = "deg", *, more: bool = False) -> Row:
    return {"what": what, "figure": float(figure), "goal": goal, "n": n, "unit": unit, "more_is_better": more}


def _interval_row(what: str, held: list[Any]) -> list[Row]:
    if not held:
        return []
    name = f"{what}: stated 95 % intervals hold the truth (90-99 %)"
    return [_row(name, 100 * np.mean(held), 90, len(held), "%", more=True)]


def main() -> int:
    folder = data_dir()
    if folder is None:
        sys.stderr.write(NOT_SET + "\n")
        return 1
    for row in score(folder):
        met = row["figure"] >= row["goal"] if row["more_is_better"] else row["figure"] <= row["goal"]
        mark = "ok " if met else "SHORT"
        sys.stdout.write(
            f"{mark:6}{row['figure']:8.2f} {row['unit']:4} goal {row['goal']:<5g} n={row['n']:<4} "
            f"{row['what']}\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
