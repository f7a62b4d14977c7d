"""Pain and range of motion on one time axis, with marks where the plan changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup

from rtm_server.web.charts.svg import element, number, path_through, picture, ticks

LEFT = 40.0
RIGHT = 12.0
PAIN_TOP = 22.0
PAIN_HEIGHT = 74.0
ROM_TOP = 132.0
ROM_HEIGHT = 96.0
HEIGHT = 256.0


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one day; `spread` is half the 95 % interval where it is known."""

    on: date
    value: float
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened on a day and explains a change, such as a new dose."""

    on: date
    text: str


@dataclass(frozen=True, slots=True)
class _Panel:
    first: date
    last: date
    width: float
    top: float
    height: float
    low: float
    high: float

    def x(self, day: date) -> float:
        span = max((self.last - self.first).days, 1)
        return LEFT + (day - self.first).days / span * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / max(self.high - self.low, 1e-9)
        return self.top + self.height * (1.0 - min(max(share, 0.0), 1.0))


def trends(
    pain: Sequence[Point],
    rom: Sequence[Point],
    marks: Sequence[Mark],
    period: tuple[date, date],
    label: str,
    *,
    width: float = 720.0,
    rom_name: str = "Range of motion, degrees",
) -> Markup:
    """Two panels under each other that share the days.

    Args:
        pain: Reports 0 to 10.
        rom: Median range of motion of a day in degrees, with half the 95 % interval.
        marks: Changes of the plan.
        period: First and last day of the axis.
        label: Summary in words.
        width: Units of the view box; give about the pixels the chart will have.
    """
    first, last = period
    above = _Panel(first, last, width, PAIN_TOP, PAIN_HEIGHT, 0.0, 10.0)
    highest = max([p.value + (p.spread or 0.0) for p in rom], default=90.0)
    below = _Panel(first, last, width, ROM_TOP, ROM_HEIGHT, 0.0, max(highest * 1.08, 10.0))
    parts = [
        _axes(above, "Pain, 0 to 10", [0.0, 5.0, 10.0]),
        _axes(below, rom_name, ticks(0.0, below.high, 3)),
        *(_mark(mark, above, below) for mark in marks if first <= mark.on <= last),
        _days(below),
        _series(above, [p for p in pain if first <= p.on <= last], "pain"),
        _series(below, [p for p in rom if first <= p.on <= last], "rom"),
    ]
    return picture(width, HEIGHT, label, *parts, class_="trends")


def _axes(panel: _Panel, name: str, values: Sequence[float]) -> Markup:
    lines = [element("text", name, x=0, y=panel.top - 9, class_="axis-name")]
    for value in values:
        y = panel.y(value)
        lines.append(element("line", x1=LEFT, x2=panel.width - RIGHT, y1=y, y2=y, class_="grid"))
        lines.append(element("text", number(value), x=LEFT - 8, y=y + 4, text_anchor="end", class_="tick"))
    return Markup("").join(lines)


def _days(panel: _Panel) -> Markup:
    """Labels on Mondays, as many as fit."""
    mondays = [
        panel.first + timedelta(days=n)
        for n in range((panel.last - panel.first).days + 1)
        if (panel.first + timedelta(days=n)).weekday() == 0
    ]
    room = max(int((panel.width - LEFT) // 72), 1)
    step = max(-(-len(mondays) // room), 1)
    labels = []
    for day in mondays[::step]:
        x = panel.x(day)
        y = panel.top + panel.height
        labels.append(element("line", x1=x, x2=x, y1=y, y2=y + 4, class_="axis"))
        anchor = "end" if x > panel.width - 30 else "middle"
        labels.append(
            element("text", f"{day.day} {day:%b}", x=x, y=y + 18, text_anchor=anchor, class_="tick")
        )
    return Markup("").join(labels)


def _mark(mark: Mark, above: _Panel, below: _Panel) -> Markup:
    x = above.x(mark.on)
    y0, y1 = above.top, below.top + below.height
    return element(
        "g",
        element("title", f"{mark.on.day} {mark.on:%b}: {mark.text}"),
        element("line", x1=x, x2=x, y1=y0, y2=y1),
        element("path", d=f"M{number(x - 5)} {number(y0 - 7)}h10l-5 7z"),
        class_="mark",
    )


def _series(panel: _Panel, points: Sequence[Point], name: str) -> Markup:
    at = [(panel.x(point.on), panel.y(point.value)) for point in points]
    parts = [element("path", d=path_through(at), class_="line")] if at else []
    for point, (x, y) in zip(points, at, strict=True):
        said = f"{point.on:%a} {point.on.day} {point.on:%b}: {number(point.value)}"
        inner = [element("title", said)]
        if point.spread:
            y0, y1 = panel.y(point.value + point.spread), panel.y(point.value - point.spread)
            inner.append(element("line", x1=x, x2=x, y1=y0, y2=y1, class_="spread"))
        shape = (
            element("rect", x=x - 3.5, y=y - 3.5, width=7, height=7, class_="dot")
            if name == "pain"
            else element("circle", cx=x, cy=y, r=3.5, class_="dot")
        )
        parts.append(element("g", *inner, shape, class_="point", data_text=said))
    return element("g", *parts, class_=f"series {name}")
