"""Both billing clocks over one row of days: the 30-day window above, the calendar month below."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup

from rtm_server.web.charts.svg import element, picture

CELL = 18.0
GAP = 3.0
TOP = 30.0
LEFT = 2.0
DAY_HEIGHT = 26.0


@dataclass(frozen=True, slots=True)
class Clock:
    """A period with its name, first and last day inclusive."""

    name: str
    first: date
    last: date


def clock_strip(
    days: Mapping[date, float | None],
    clocks: tuple[Clock, Clock],
    today: date,
    label: str,
    *,
    columns: int | None = None,
) -> Markup:
    """One cell a day from the earlier start to the later end of two clocks.

    Args:
        days: Days with data -> adherence 0 to 1 (None when nothing was prescribed). Others have no data.
        clocks: The window (drawn above the cells) and the month (below).
        today: Marked by a ring; later days are dotted.
        label: Summary in words.
        columns: Days a row; None puts all in one row (wide screens), 15 suits a phone.
    """
    first = min(clock.first for clock in clocks)
    last = max(clock.last for clock in clocks)
    total = (last - first).days + 1
    per_row = columns or total
    rows = -(-total // per_row)
    row_height = TOP + DAY_HEIGHT + 26.0
    parts: list[Markup] = []
    for row in range(rows):
        start = first + timedelta(days=row * per_row)
        stop = min(start + timedelta(days=per_row - 1), last)
        y = row * row_height
        if clocks[0] != clocks[1]:  # before the first data day there is no window
            parts.append(_bracket(clocks[0], start, stop, y + TOP - 8, up=True))
        parts.append(_bracket(clocks[1], start, stop, y + TOP + DAY_HEIGHT + 8, up=False))
        for offset in range((stop - start).days + 1):
            day = start + timedelta(days=offset)
            parts.append(_cell(day, days, today, LEFT + offset * (CELL + GAP), y + TOP))
    width = LEFT * 2 + per_row * (CELL + GAP) - GAP
    return picture(width, rows * row_height, label, *parts, class_="clocks")


def _cell(day: date, days: Mapping[date, float | None], today: date, x: float, y: float) -> Markup:
    said = f"{day:%a} {day.day} {day:%b}"
    children: list[Markup] = []
    if day in days:
        share = days[day]
        kind = "data"
        said += ": data" if share is None else f": data, {share:.0%} of the plan"
        children.append(element("rect", x=x, y=y, width=CELL, height=DAY_HEIGHT, rx=3, class_="frame"))
        height = DAY_HEIGHT * (1.0 if share is None else 0.18 + 0.82 * min(max(share, 0.0), 1.0))
        children.append(
            element("rect", x=x, y=y + DAY_HEIGHT - height, width=CELL, height=height, rx=3, class_="fill")
        )
    elif day > today:
        kind = "future"
        said += ": to come"
        children.append(element("circle", cx=x + CELL / 2, cy=y + DAY_HEIGHT / 2, r=1.5))
    else:
        kind = "empty"
        said += ": no data"
        children.append(element("rect", x=x, y=y, width=CELL, height=DAY_HEIGHT, rx=3, class_="frame"))
    if day == today:
        kind += " today"
        children.append(
            element("rect", x=x - 2, y=y - 2, width=CELL + 4, height=DAY_HEIGHT + 4, rx=5, class_="ring")
        )
    children.append(
        element(
            "text", str(day.day), x=x + CELL / 2, y=y + DAY_HEIGHT - 7, text_anchor="middle", class_="day"
        )
    )
    return element("g", element("title", said), *children, class_=kind)


def _bracket(clock: Clock, start: date, stop: date, y: float, *, up: bool) -> Markup:
    """The part of a clock's bracket that lies in one row; open-ended where it runs on."""
    if clock.last < start or clock.first > stop:
        return Markup("")
    first, last = max(clock.first, start), min(clock.last, stop)
    x0 = LEFT + (first - start).days * (CELL + GAP)
    x1 = LEFT + (last - start).days * (CELL + GAP) + CELL
    tick = 5 if up else -5
    begin = f"M{x0:.1f} {y + tick:.1f}V{y:.1f}" if first == clock.first else f"M{x0:.1f} {y:.1f}"
    end = f"V{y + tick:.1f}" if last == clock.last else ""
    line = element("path", d=f"{begin}H{x1:.1f}{end}", class_="bracket")
    if (last - first).days < min(6, (clock.last - clock.first).days):
        return line  # no room for the name; the next row has it
    text_y = y - 5 if up else y + 14
    return line + element("text", clock.name, x=x0, y=text_y, class_="clock-name")
