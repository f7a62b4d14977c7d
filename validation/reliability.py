"""The reliability plot: how often an interval that claims a share of the truths holds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from validation.rows import Row


def draw(rows: Sequence[Row], path: Path) -> None:
    """rows: what, stated and held (0..1) of each point. The same rows give the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "homestretch", "svg.fonttype": "none"}):
        figure = Figure(figsize=(5, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color="#999999", lw=1)
        for what in dict.fromkeys(row["what"] for row in rows):
            mine = [row for row in rows if row["what"] == what]
            axes.plot([r["stated"] for r in mine], [r["held"] for r in mine], "o-", label=what, ms=4)
        axes.set_xlabel("share that the interval states")
        axes.set_ylabel("share that it holds")
        axes.set_xlim(0.4, 1.0)
        axes.set_ylim(0.4, 1.02)
        axes.legend(frameon=False, loc="lower right")
        figure.savefig(path, metadata={"Date": None})
