"""The plots of an audit file: what was done on each counted day, and each repetition's range of motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reportlab.graphics.shapes import Circle, Drawing, Line, Rect, String
from reportlab.lib.colors import HexColor

# Okabe and Ito's blue on grey axes: the same with any colour vision, and in print.
BLUE, GREY, LIGHT = HexColor("#0072B2"), HexColor("#555555"), HexColor("#DDDDDD")
_LEFT, _BOTTOM, _TOP = 34.0, 26.0, 14.0


def repetitions_by_day(days: Sequence[Mapping[str, Any]], font: str, width: float) -> Drawing:
    """Bars: counted repetitions of each counted day."""
    totals: dict[str, float] = {}
    for each in days:
        totals[each["day"]] = totals.get(each["day"], 0) + each["repetitions"]
    drawing, height = _axes(width, 110.0, "repetitions", max(totals.values(), default=0), font)
    step = (width - _LEFT) / max(len(totals), 1)
    for place, (day, count) in enumerate(sorted(totals.items())):
        x = _LEFT + step * place
        drawing.add(
            Rect(
                x + step * 0.15,
                _BOTTOM,
                step * 0.7,
                count * height,
                fillColor=BLUE,
                strokeColor=None,
            )
        )
        drawing.add(_label(x + step / 2, 12, day[5:], font))
    return drawing


def motion_by_repetition(
    days: Sequence[Mapping[str, Any]], analyses: Mapping[str, Mapping[str, Any]], font: str, width: float
) -> Drawing | None:
    """Points: the range of motion of every repetition, in order, days apart; None when none was measured."""
    by_day: dict[str, list[float]] = {}
    for each in days:
        by_day.setdefault(each["day"], []).extend(motions(analyses.get(each["recording"], {})))
    highest = max((value for values in by_day.values() for value in values), default=0.0)
    if highest <= 0:
        return None
    drawing, height = _axes(width, 130.0, "range of motion, degrees", highest, font)
    step = (width - _LEFT) / len(by_day)
    for place, (day, values) in enumerate(sorted(by_day.items())):
        x = _LEFT + step * place
        for number, value in enumerate(values):
            at = x + step * (0.1 + 0.8 * (number + 0.5) / len(values))
            drawing.add(Circle(at, _BOTTOM + value * height, 1.2, fillColor=BLUE, strokeColor=None))
        drawing.add(_label(x + step / 2, 12, day[5:], font))
    return drawing


def motions(result: Mapping[str, Any]) -> list[float]:
    """The range of motion of each repetition that has one, degrees, in the order they were done."""
    return [
        float(repetition["rom_deg"])
        for each in result.get("sets", ())
        for repetition in each["repetitions"]
        if repetition.get("rom_deg") is not None
    ]


def _axes(width: float, height: float, title: str, highest: float, font: str) -> tuple[Drawing, float]:
    """The empty plot, and points per unit of the value."""
    drawing = Drawing(width, height)
    room = height - _BOTTOM - _TOP
    top = _round_up(highest)
    for share in (0.0, 0.5, 1.0):
        y = _BOTTOM + room * share
        drawing.add(Line(_LEFT, y, width, y, strokeColor=GREY if share == 0 else LIGHT, strokeWidth=0.5))
        drawing.add(
            String(
                _LEFT - 4,
                y - 2.5,
                f"{top * share:g}",
                fontName=font,
                fontSize=7,
                fillColor=GREY,
                textAnchor="end",
            )
        )
    drawing.add(String(_LEFT, height - 8, title, fontName=font, fontSize=8, fillColor=GREY))
    return drawing, room / top


def _label(x: float, y: float, text: str, font: str) -> String:
    return String(x, y, text, fontName=font, fontSize=5.5, fillColor=GREY, textAnchor="middle")


def _round_up(value: float) -> float:
    """The next of 10, 20, 40, 50, 100, 200, ... that holds the value and halves well."""
    size = 10.0
    while True:
        for factor in (1, 2, 4, 5):
            if value <= size * factor:
                return size * factor
        size *= 10
