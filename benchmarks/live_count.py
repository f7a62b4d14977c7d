"""How many patients one core counts live: 25-sample blocks at 50 Hz, one run, as a ratio to real time.

Run: `python benchmarks/live_count.py`. Beside it the orientation filter alone on the same blocks.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time

import numpy as np
from vqf import VQF

from rtm_firmware_sim.body import exercise
from rtm_signal.streaming import LiveCounter

RATE_HZ = 50.0
BLOCK = 25
REPETITIONS = 30


def main() -> None:
    """Print the ratio of signal time to processor time, which is the number of patients on one core."""
    sensor = exercise(
        "shoulder_abduction", repetitions=REPETITIONS, rate_hz=RATE_HZ, placements=["wrist"], seed=1
    ).recording.sensors["wrist"]
    if sensor.gyr is None:
        raise SystemExit("The simulated sensor has no gyroscope.")
    blocks = [
        (np.ascontiguousarray(sensor.acc[i : i + BLOCK]), np.ascontiguousarray(sensor.gyr[i : i + BLOCK]))
        for i in range(0, len(sensor.t), BLOCK)
    ]
    seconds = len(sensor.t) / RATE_HZ
    counter = LiveCounter("shoulder_abduction", RATE_HZ)
    spent = []
    for acc, gyr in blocks:
        begin = time.process_time()
        counter.push(acc, gyr)
        spent.append(time.process_time() - begin)
    alone = VQF(1 / RATE_HZ)
    begin = time.process_time()
    for acc, gyr in blocks:
        alone.updateBatch(gyr, acc)
    filter_s = time.process_time() - begin
    print(f"{seconds:.0f} s of signal, {counter.state.count} of {REPETITIONS} repetitions counted live")
    print(f"goal: patients at once on one core: {seconds / sum(spent):.0f} (at least 100)")
    print(f"longest block: {1000 * max(spent):.0f} ms of {1000 * BLOCK / RATE_HZ:.0f} ms")
    print(f"live counter / orientation filter alone: {sum(spent) / filter_s:.0f}")


if __name__ == "__main__":
    main()
