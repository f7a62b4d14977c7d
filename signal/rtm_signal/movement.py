"""One movement as the counter knows it: the course of posture and turning rate over a cycle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from rtm_signal.features import Motion
from rtm_signal.recording import FloatArray
from rtm_signal.repetitions_tiling import PHASES

_RATE_WEIGHT = 0.6
"""Turning rate beside posture, both brought to unit size: posture is the steadier, rate tells the
direction."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One repetition as learned from a calibration (or from a set).

    template: (PHASES, F) in the units of `weigh`; scale: of posture and rate; duration_s: of a usual one;
    count: how many were found; pace_s: the calibration's length over its nominal count, where it holds
    nothing but repetitions, else None.
    """

    template: FloatArray
    scale: tuple[float, float]
    duration_s: float
    count: int
    pace_s: float | None = None


@dataclass(frozen=True, slots=True)
class FoundSet:
    """One set. start_s, end_s: (k,) s of each repetition; cycles: how many fit in a trimmed set, with
    fractions."""

    start_s: FloatArray
    end_s: FloatArray
    movement: Movement
    fit: float
    likeness: float
    cycles: float


def weigh(motion: Motion, scale: tuple[float, float]) -> FloatArray:
    """(n, F) posture and rate side by side, each brought to unit size by `scale`."""
    posture = motion.posture - motion.posture.mean(axis=0)
    return np.column_stack([posture / scale[0], _RATE_WEIGHT * motion.rate / scale[1]])


def scale_of(motion: Motion, within_s: float | None = None) -> tuple[float, float]:
    """Root mean square of posture, rad, and rate, rad/s: what brings each to unit size.

    within_s: posture is taken from its mean over so long, so that lying down does not make an exercise small.
    """
    usual = motion.posture.mean(axis=0)
    if within_s is not None:
        reach = max(1, round(within_s * motion.rate_hz))
        usual = uniform_filter1d(motion.posture, reach, axis=0, mode="nearest")
    posture = motion.posture - usual
    size = [float(np.sqrt((x**2).sum(axis=1).mean())) for x in (posture, motion.rate)]
    return max(size[0], 1e-6), max(size[1], 1e-6)


def likeness(one: Movement, other: Movement) -> float:
    """Correlation of two movements, at the phase at which they agree best."""
    a, b = one.template, other.template
    if a.shape != b.shape:
        return 0.0
    turned = np.stack([np.roll(a, k, axis=0) for k in range(PHASES)])
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float(np.einsum("rkf,kf->r", turned, b).max() / max(size, 1e-12))


def same_axes(one: Movement, other: Movement) -> float:
    """0..1, whether two movements share their axes in the sensor frames, whatever their course in time."""
    if one.template.shape != other.template.shape:
        return 0.0
    a, b = (_axes(m) for m in (one, other))
    return float((a * b).sum() / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def _axes(movement: Movement) -> FloatArray:
    """(F, F) how the features go together, posture and rate each brought to unit size."""
    posture = 4 * movement.template.shape[1] // 7
    halves = np.split(movement.template, [posture], axis=1)
    unit = np.concatenate([h / max(float(np.linalg.norm(h)), 1e-12) for h in halves], axis=1)
    return np.asarray(unit.T @ unit)
