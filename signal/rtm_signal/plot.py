"""One picture of an analysis: the angle, each repetition, what was withheld and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rtm_signal import catalogue
from rtm_signal.recording import RecordingError
from rtm_signal.result import Analysis, Withheld

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SUFFIXES = (".svg", ".png")
_INK, _SHADE, _WITHHELD, _FLAGGED = "#1f4e79", "#dbe9f4", "#b5b5b5", "#c0504d"
_MOST_POINTS = 4000
"""More points than the picture has pixels only make the file large."""
_MOST_NUMBERS = 60
"""Above this many repetitions every fifth is numbered."""


def plot(analysis: Analysis, path: str | Path) -> None:
    """Draw an analysis into `path` (.svg or .png); the same analysis gives the same bytes.

    Raises: RecordingError where the suffix is another one, or matplotlib is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise RecordingError(f"A plot is written as .svg or .png, not as {path.name}.")
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra, loaded only to draw
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - as above
        from matplotlib.figure import Figure  # noqa: PLC0415 - as above
    except ModuleNotFoundError as missing:
        raise RecordingError("Plots need matplotlib: install homestretch[plot].") from missing
    with mpl.rc_context({"svg.hashsalt": "homestretch", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(12, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.add_subplot(), analysis)
        undated = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
        figure.savefig(path, metadata=undated, dpi=110)


def _draw(axes: Axes, analysis: Analysis) -> None:
    entry = catalogue.get(analysis.exercise)
    _angle(axes, analysis)
    number = 0
    total = analysis.repetitions
    for one in analysis.sets:
        for repetition in one.repetitions:
            number += 1
            flagged = bool(repetition.quality.flags)
            axes.axvspan(repetition.start_s, repetition.end_s, color=_SHADE, lw=0, zorder=0)
            axes.axvline(repetition.start_s, color="white", lw=1, zorder=0)
            if total <= _MOST_NUMBERS or number % 5 == 0:
                axes.annotate(
                    str(number),
                    (repetition.peak_s, 0.985),
                    xycoords=("data", "axes fraction"),
                    ha="center",
                    va="top",
                    fontsize=8,
                    color=_FLAGGED if flagged else _INK,
                )
    for span in analysis.withheld:
        if span.from_s is not None and span.to_s is not None:
            axes.axvspan(span.from_s, span.to_s, facecolor="none", edgecolor=_WITHHELD, hatch="///", lw=0)
    axes.set_xlabel("time (s)")
    axes.set_title(f"{entry.name}: {_in_words(analysis)}", loc="left", fontsize=11)
    remarks = _remarks(analysis.withheld)
    if remarks:
        axes.text(
            0, -0.2, remarks, transform=axes.transAxes, va="top", fontsize=8, color="#444444", wrap=True
        )
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)


def _angle(axes: Axes, analysis: Analysis) -> None:
    series = analysis.angle_series
    if series is None or not np.isfinite(series.angle_deg).any():
        axes.text(0.5, 0.5, "no angle to show", transform=axes.transAxes, ha="center", color="#666666")
        axes.set_yticks([])
        if series is not None and len(series.t):
            axes.set_xlim(float(series.t[0]), float(series.t[-1]))
        return
    step = max(1, -(-len(series.t) // _MOST_POINTS))
    t, angle = series.t[::step], series.angle_deg[::step]
    half = series.uncertainty_deg[::step]
    axes.fill_between(t, angle - half, angle + half, color=_INK, alpha=0.15, lw=0)
    axes.plot(t, angle, color=_INK, lw=1.2)
    name = analysis.angle.name.replace("_", " ") if analysis.angle is not None else "angle"
    where = " and ".join(analysis.angle.of).replace("_", " ") if analysis.angle is not None else ""
    axes.set_ylabel(f"{name} (degrees)\n{where}")


def _in_words(analysis: Analysis) -> str:
    low, high = analysis.repetitions_range
    sure = "" if low == high else f" (between {low} and {high})"
    sets = f" in {len(analysis.sets)} sets" if len(analysis.sets) > 1 else ""
    words = f"{analysis.repetitions} repetition{'s'[: analysis.repetitions != 1]}{sure}{sets}"
    rom = analysis.rom_deg
    if rom.median is None:
        return f"{words}; range of motion not stated"
    error = "" if rom.uncertainty is None else f" ± {rom.uncertainty:.0f}"
    return f"{words}; range of motion {rom.median:.0f}{error}°, at most {rom.max:.0f}°"


def _remarks(withheld: tuple[Withheld, ...]) -> str:
    """Each reason once, in the order of its first span."""
    whys = dict.fromkeys(f"Not stated, {w.what.replace('_', ' ')}: {w.why}" for w in withheld)
    return "\n".join(list(whys)[:4])
