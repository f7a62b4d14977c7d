"""How many joints one core follows live: two sensors, 10- and 25-sample blocks at 50 Hz, as a ratio to real time.

Run: `python benchmarks/live_angle.py`. A look is one run of the offline estimators over the last half minute.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time

import numpy as np

from rtm_firmware_sim.body import exercise
from rtm_signal.streaming_angle import LiveJointAngle

RATE_HZ = 50.0
REPETITIONS = 30
PAIR = ("thigh", "shank")


def main() -> None:
    """Print for either size of block the ratio of signal time to processor time, and what blocks and looks cost."""
    recording = exercise("squat", repetitions=REPETITIONS, rate_hz=RATE_HZ, seed=1).recording
    for size in (10, 25):
        live = LiveJointAngle(PAIR, RATE_HZ, joint="knee_flexion", looks=False)
        blocks, looks = [], []
        most = recording.sensors[PAIR[0]].t.size
        for first in range(0, most, size):
            for name in PAIR:
                sensor = recording.sensors[name]
                if sensor.gyr is None:
                    raise SystemExit("The simulated sensor has no gyroscope.")
                part = slice(first, first + size)
                begin = time.process_time()
                live.push(name, sensor.t[part], sensor.acc[part], sensor.gyr[part])
                blocks.append(time.process_time() - begin)
            if live.due:
                begin = time.process_time()
                live.look()
                looks.append(time.process_time() - begin)
        ratio = most / RATE_HZ / (sum(blocks) + sum(looks))
        sys.stdout.write(
            f"{size}-sample blocks: {ratio:.0f} joints on one core; a block {1e3 * np.median(blocks):.2f} ms, "
            f"a look {1e3 * np.median(looks):.0f} ms (longest {1e3 * max(looks):.0f}), {len(looks)} looks\n"
        )


if __name__ == "__main__":
    main()
