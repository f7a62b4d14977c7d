"""Rows of the goal table: a figure beside its goal, with its standard error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = dict[str, Any]
_DRAWS = 500


def share(what: str, values: NDArray[Any] | Sequence[Any], goal: float) -> Row:
    """Per cent of `values` (booleans, or shares of one each); more is better."""
    return _row(what, 100 * np.asarray(values, dtype=float), goal, "%", np.mean, more=True)


def median(what: str, values: NDArray[np.float64] | Sequence[float], goal: float, unit: str = "s") -> Row:
    """Median of errors; less is better."""
    return _row(what, np.asarray(values, dtype=float), goal, unit, np.median, more=False)


def met(row: Row) -> bool:
    """Whether the goal is reached."""
    goal: float = row["goal"]
    return bool(row["figure"] >= goal if row["more_is_better"] else row["figure"] <= goal)


def line(row: Row) -> str:
    """One row as a line of text."""
    verdict = "ok" if met(row) else "SHORT"
    return f"{verdict:6}{row['figure']:8.2f} {row['unit']:3} goal {row['goal']:<5g} n={row['n']:<4} {row['what']}"


def _row(
    what: str, values: NDArray[np.float64], goal: float, unit: str, take: Callable[..., Any], *, more: bool
) -> Row:
    """With the standard error of the figure by the bootstrap (Efron 1979), always of the same draws."""
    draws = np.random.default_rng(1).integers(0, len(values), (_DRAWS, len(values)))
    return {
        "what": what,
        "figure": float(take(values)),
        "goal": goal,
        "n": len(values),
        "unit": unit,
        "more_is_better": more,
        "noise": float(np.std(take(values[draws], axis=1))),
    }
