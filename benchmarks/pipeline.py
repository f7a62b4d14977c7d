"""How much the whole pipeline costs beside VQF alone: two sensors, 20 minutes at 100 Hz, in memory, one run.

Run: `python benchmarks/pipeline.py`. Prints ratios and multiples of real time; never a pass or fail. Seconds are
of the processor, one thread, so that others on the machine matter little. qmt's heading correction and dfjimu's
filter are timed beside them where they are installed (group `bench`).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import vqf
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rtm_signal.alignment import align
from rtm_signal.analysis import analyze
from rtm_signal.joint_angle import joint_angle
from rtm_signal.orientation import orient
from rtm_signal.recording import Recording, SensorRecording
from rtm_signal.time_grid import to_grid

DURATION_S = 1200
RATE_HZ = 100.0
REPEATS = 5
FloatArray = NDArray[np.float64]


def squats(duration_s: float = DURATION_S, rate_hz: float = RATE_HZ, seed: int = 0) -> Recording:
    """Thigh and shank in sets of ten four-second squats with rests between, on a planted foot."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(duration_s * rate_hz)) / rate_hz
    inside = (t % 60.0) < 40.0
    flexion = np.where(inside, np.radians(45.0) * (1 - np.cos(2 * np.pi * t / 4.0)), 0.0)
    thigh = Rotation.from_rotvec(np.outer(-0.55 * flexion, [0.0, 1.0, 0.0]))
    shank = Rotation.from_rotvec(np.outer(0.45 * flexion, [0.0, 1.0, 0.0]))
    knee = shank.apply([0.0, 0.0, 0.4])
    sensors = {
        "thigh": _imu(thigh, knee + thigh.apply([0.06, 0.0, 0.2]), t, rate_hz, rng),
        "shank": _imu(shank, knee + shank.apply([0.04, 0.0, -0.18]), t, rate_hz, rng),
    }
    return Recording(sensors)


def _imu(
    segment: Rotation, position: FloatArray, t: FloatArray, rate_hz: float, rng: np.random.Generator
) -> SensorRecording:
    sensor = segment * Rotation.random(rng=rng)
    velocity = np.gradient(position, 1 / rate_hz, axis=0)
    force = np.gradient(velocity, 1 / rate_hz, axis=0) + np.array([0.0, 0.0, 9.81])
    rate = (sensor[:-1].inv() * sensor[1:]).as_rotvec() * rate_hz
    gyr = np.concatenate([rate[:1], rate]) + rng.normal(0, 0.003, (t.size, 3)) + rng.normal(0, 0.005, 3)
    return SensorRecording(t, sensor.inv().apply(force) + rng.normal(0, 0.05, (t.size, 3)), gyr)


def best_of(work: Callable[[], Any]) -> float:
    """Least processor seconds of a few runs: the one least disturbed by others on the machine."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main() -> int:
    recording = squats()
    parts = [
        (np.ascontiguousarray(s.gyr), np.ascontiguousarray(s.acc))
        for s in recording.sensors.values()
        if s.gyr is not None
    ]
    grid = to_grid(recording)
    oriented = [orient(sensor) for sensor in grid.sensors.values()]
    pair = (oriented[0], oriented[1])
    rows = {
        "vqf.offlineVQF alone": lambda: [vqf.offlineVQF(g, a, None, 1 / RATE_HZ) for g, a in parts],
        "time grid": lambda: to_grid(recording),
        "orientation (VQF and what follows it)": lambda: [orient(s) for s in grid.sensors.values()],
        "alignment of the two segments": lambda: align([pair]),
        "joint angle (alignment included)": lambda: joint_angle(*pair),
        "whole pipeline, prescribed squat": lambda: analyze(recording, "squat"),
        "whole pipeline, generic": lambda: analyze(recording, "generic"),
    }
    base = seconds = 0.0
    print_row("what", "seconds", "x VQF", "x real time")
    for name, work in rows.items():
        seconds = best_of(work)
        base = base or seconds
        print_row(name, f"{seconds:.3f}", f"{seconds / base:.2f}", f"{DURATION_S / seconds:.0f}")
    _reference("qmt", "heading correction", _qmt, pair, base)
    _reference("dfjimu", "relative orientation filter", _dfjimu, pair, base)
    sys.stdout.write(f"goal: whole pipeline / vqf.offlineVQF alone: {seconds / base:.1f} (at most 3)\n")
    return 0


def print_row(*cells: str) -> None:
    sys.stdout.write(f"{cells[0]:42}" + "".join(f"{cell:>14}" for cell in cells[1:]) + "\n")


def _reference(module: str, what: str, work: Callable[[Any, Any], Any], pair: Any, base: float) -> None:
    """A reference on its first minute only (they are slow), scaled up to the whole."""
    try:
        library = importlib.import_module(module)
    except ImportError:
        print_row(f"{module} {what}", "not installed", "", "")
        return
    start = time.process_time()
    try:
        work(library, pair)
    except RuntimeError as error:
        print_row(f"{module} {what}", f"fails here: {error}", "", "")
        return
    seconds = (time.process_time() - start) * DURATION_S / 60
    print_row(
        f"{module} {what} (from 60 s)",
        f"{seconds:.2f}",
        f"{seconds / base:.1f}",
        f"{DURATION_S / seconds:.0f}",
    )


def _qmt(qmt: Any, pair: Any) -> None:
    n = int(60 * RATE_HZ)
    first, second = pair
    qmt.headingCorrection(
        first.gyr[:n],
        second.gyr[:n],
        first.quat[:n],
        second.quat[:n],
        first.t[:n],
        np.array([0.0, 1.0, 0.0]),
        None,
    )


def _dfjimu(dfjimu: Any, pair: Any) -> None:
    n = int(60 * RATE_HZ)
    first, second = pair
    dfjimu.map_acc(
        first.gyr[:n], second.gyr[:n], first.acc[:n], second.acc[:n],
        np.array([0.0, 0.0, -0.2]), np.array([0.0, 0.0, 0.18]), RATE_HZ, q_init=first.quat[0],
        cov_w=np.eye(6) * 1e-4, cov_i=np.eye(3) * 1e-2, cov_lnk=np.eye(3) * 0.1,
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
