"""How sensors are worn, on the simulated body: slips told and imagined, and joint angles without a pose.

Run: `python validation/worn.py [--seeds N] [--every K]`: minutes; not part of `make validate`. The figures stand in
docs/explanation/joint-angles.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from validation.rows import Row, line, median, share

from rtm_firmware_sim.body import Motion, exercise
from rtm_firmware_sim.performance import Effort
from rtm_signal import quaternion
from rtm_signal.analysis import analyze
from rtm_signal.catalogue import EXERCISES, Exercise
from rtm_signal.joint_angle import joint_angle
from rtm_signal.orientation import orient
from rtm_signal.recording import FloatArray, Recording, SensorRecording
from rtm_signal.time_grid import to_grid

RATE_HZ = 50.0
SLIPS_DEG = (45.0, 90.0)
SLIP_S = 0.5
EFFORTS = ((6, Effort()), (2, Effort()), (3, Effort(tempo_s=10.0, amplitude_deg=30.0)))


def slipped(motion: Motion, name: str, at_s: float, by_deg: float) -> Recording:
    """The recording with one sensor turned on its limb, across its main movement, within half a second."""
    sensor, felt = motion.recording.sensors[name], motion.felt[name]
    assert sensor.gyr is not None
    main = np.linalg.eigh(felt.gyr.T @ felt.gyr)[1][:, 2]
    across = np.cross(main, np.eye(3)[int(np.argmin(np.abs(main)))])
    axis = motion.mounting[name].T @ (across / np.linalg.norm(across))
    done = np.clip((sensor.t - at_s) / SLIP_S, 0.0, 1.0)
    back = Rotation.from_rotvec(np.radians(by_deg) * np.outer(done, axis)).inv()
    rate = np.radians(by_deg) * np.gradient(done, sensor.t)[:, None] * axis
    turned = SensorRecording(sensor.t, back.apply(sensor.acc), back.apply(sensor.gyr + rate))
    return Recording({**motion.recording.sensors, name: turned})


def slip_rows(entries: Sequence[Exercise], seeds: Iterable[int]) -> list[Row]:
    """Slips told with a prescription, by name; and recordings without a slip that are accused."""
    told: dict[int, list[bool]] = {1: [], 2: []}
    spared = []
    for entry in entries:
        for seed in seeds:
            for worn in (entry.joint_placements, entry.joint_placements[1:]):
                motion = exercise(entry.id, repetitions=12, rate_hz=RATE_HZ, seed=seed, placements=worn)
                spared += [not _accused(motion.recording, asked) for asked in (entry.id, "generic")]
                at_s = motion.repetitions[min(6, len(motion.repetitions) // 2)].start_s
                for by_deg in SLIPS_DEG:
                    accused = _accused(slipped(motion, worn[-1], at_s, by_deg), entry.id)
                    told[len(worn)].append(any(why.startswith(worn[-1]) for why in accused))
    rows = [share(f"slips told, sensors worn: {count}", values, 75) for count, values in told.items()]
    return [*rows, share("recordings without a slip that nobody accuses", spared, 99)]


def _accused(recording: Recording, asked: str) -> list[str]:
    return [w.why for w in analyze(recording, asked).withheld if "slipped" in w.why]


def pose_rows(entries: Sequence[Exercise], seeds: Iterable[int]) -> list[Row]:
    """Range of motion of the joint between two sensors without pose or calibration."""
    errors, held, kept = [], [], []
    for entry in entries:
        for seed in seeds:
            for count, effort in EFFORTS if not entry.about_vertical else ():
                motion = exercise(
                    entry.id, repetitions=count, rate_hz=RATE_HZ, seed=seed, effort=effort, context=False
                )
                grid = to_grid(motion.recording)
                pair = [orient(grid.sensors[name]) for name in entry.joint_placements]
                found = joint_angle(pair[0], pair[1], joint=entry.angle)
                kept.append(bool(found.valid.any()))
                if not kept[-1]:
                    continue
                rom = float(np.degrees(np.ptp(found.angle)))
                errors.append(abs(rom - _true_rom_deg(motion, entry.joint_placements)))
                held.append(errors[-1] <= found.rom_half_interval_deg(rom))
    far = np.percentile(errors, [90, 97])
    sys.stdout.write(
        f"range of motion without a pose: 90th and 97th percentile {far[0]:.1f} and {far[1]:.1f} deg\n"
    )
    return [
        median("range of motion without a pose: median error", errors, 2, "deg"),
        share("range of motion without a pose: stated 95 % intervals hold the truth", held, 90),
        share("range of motion without a pose: not withheld", kept, 90),
    ]


def _true_rom_deg(motion: Motion, names: tuple[str, str]) -> float:
    """About the main axis of the true relative rotation."""
    first, second = (motion.felt[name].orientation for name in names)
    relative = quaternion.multiply(quaternion.conjugate(first), second)
    rate: FloatArray = quaternion.rotate(relative, motion.felt[names[1]].gyr) - motion.felt[names[0]].gyr
    axis = np.linalg.eigh(rate.T @ rate)[1][:, 2]
    turned = quaternion.multiply(relative, quaternion.conjugate(relative[0]))
    return float(np.degrees(np.ptp(quaternion.twist_angle(turned, axis))))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2, help="performances of each exercise")
    parser.add_argument("--every", type=int, default=1, help="only every k-th exercise of the catalogue")
    asked = parser.parse_args()
    entries = list(EXERCISES.values())[:: asked.every]
    for rows in (pose_rows(entries, range(asked.seeds)), slip_rows(entries, range(asked.seeds))):
        for row in rows:
            sys.stdout.write(line(row) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
