"""One recording: the angle over time with its repetitions, and the range of motion of each."""

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from rtm_server.web.charts.svg import element, number, path_through, picture, ticks

LEFT = 40.0
RIGHT = 8.0


def angle_chart(
    t: Sequence[float],
    angle_deg: Sequence[float | None],
    repetitions: Sequence[tuple[float, float]],
    label: str,
    *,
    width: float = 720.0,
    height: float = 220.0,
) -> Markup:
    """The angle with its repetitions as shaded spans.

    Args:
        t: Seconds, non-decreasing, as many as `angle_deg`.
        angle_deg: Degrees; None where withheld, which leaves a gap.
        repetitions: Start and end of each in seconds.
        label: Summary in words.
        width, height: View box. Never more points than twice its width are drawn.
    """
    top, bottom = 14.0, height - 28.0
    times, values = thin(t, angle_deg, int(width))
    known = [value for value in values if value is not None]
    ends = [*times[:1], *times[-1:], *(edge for span in repetitions for edge in span)]
    t0, t1 = (min(ends), max(ends)) if ends else (0.0, 1.0)
    low, high = (min(known), max(known)) if known else (0.0, 90.0)
    low, high = min(low, 0.0), max(high, low + 10.0)

    def x(time: float) -> float:
        return LEFT + (time - t0) / max(t1 - t0, 1e-9) * (width - LEFT - RIGHT)

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    parts: list[Markup] = []
    for index, (start, end) in enumerate(repetitions):
        parts.append(
            element(
                "g",
                element("title", f"Repetition {index + 1}: {start - t0:.1f} s to {end - t0:.1f} s"),
                element("rect", x=x(start), y=top, width=max(x(end) - x(start), 1.0), height=bottom - top),
                class_="repetition even" if index % 2 else "repetition",
            )
        )
    for value in ticks(low, high, 4) if known else ():
        parts.append(element("line", x1=LEFT, x2=width - RIGHT, y1=y(value), y2=y(value), class_="grid"))
        parts.append(
            element("text", f"{number(value)}°", x=LEFT - 8, y=y(value) + 4, text_anchor="end", class_="tick")
        )
    for value in ticks(0.0, t1 - t0, max(int(width // 110), 2)):
        at = x(t0 + value)
        parts.append(element("line", x1=at, x2=at, y1=bottom, y2=bottom + 4, class_="axis"))
        parts.append(
            element("text", f"{number(value)} s", x=at, y=bottom + 18, text_anchor="middle", class_="tick")
        )
    line = [None if value is None else (x(time), y(value)) for time, value in zip(times, values, strict=True)]
    parts.append(element("path", d=path_through(line), class_="line"))
    return picture(width, height, label, *parts, class_="angle")


def thin(
    t: Sequence[float], values: Sequence[float | None], columns: int
) -> tuple[list[float], list[float | None]]:
    """At most two points a column, its lowest and its highest, so that no peak is lost. A gap stays one."""
    if len(t) <= 2 * columns:
        return list(t), list(values)
    edges = [round(index * len(t) / columns) for index in range(columns + 1)]
    times: list[float] = []
    kept: list[float | None] = []
    for start, stop in pairwise(edges):
        here = [
            (value, t[start + offset]) for offset, value in enumerate(values[start:stop]) if value is not None
        ]
        if len(here) < stop - start:
            times.append(t[start])
            kept.append(None)
        if not here:
            continue
        for value, time in sorted({min(here), max(here)}, key=lambda pair: pair[1]):
            times.append(time)
            kept.append(value)
    return times, kept


def repetition_bars(
    rom_deg: Sequence[float | None],
    flagged: Sequence[bool],
    label: str,
    *,
    goal_deg: float | None = None,
    width: float = 720.0,
) -> Markup:
    """Range of motion of each repetition in degrees. None is drawn as an open box: counted, not measured."""
    height, top, bottom = 170.0, 12.0, 142.0
    known = [value for value in rom_deg if value is not None]
    high = max([*known, goal_deg or 0.0, 10.0]) * 1.08
    slot = (width - LEFT - RIGHT) / max(len(rom_deg), 1)
    bar = min(slot * 0.7, 28.0)

    def y(value: float) -> float:
        return bottom - value / high * (bottom - top)

    parts: list[Markup] = []
    for value in ticks(0.0, high, 3):
        parts.append(element("line", x1=LEFT, x2=width - RIGHT, y1=y(value), y2=y(value), class_="grid"))
        parts.append(
            element("text", f"{number(value)}°", x=LEFT - 8, y=y(value) + 4, text_anchor="end", class_="tick")
        )
    every = max(-(-20 // max(int(slot), 1)), 1)
    for index, (degrees, flag) in enumerate(zip(rom_deg, flagged, strict=True)):
        x = LEFT + slot * (index + 0.5) - bar / 2
        said = f"Repetition {index + 1}: " + ("not measured" if degrees is None else f"{degrees:.0f}°")
        said += ", flagged" if flag else ""
        if degrees is None:
            shape = element("rect", x=x, y=bottom - 18, width=bar, height=18, rx=2, class_="unknown")
        else:
            shape = element("rect", x=x, y=y(degrees), width=bar, height=max(bottom - y(degrees), 1.0), rx=2)
        inner = [element("title", said), shape]
        if flag:
            peak = bottom - 18 if degrees is None else y(degrees)
            inner.append(element("path", d=f"M{number(x + bar / 2 - 4)} {number(peak - 3)}h8l-4 -7z"))
        if index % every == 0:
            inner.append(
                element(
                    "text", str(index + 1), x=x + bar / 2, y=bottom + 18, text_anchor="middle", class_="tick"
                )
            )
        parts.append(element("g", *inner, class_="bar flagged" if flag else "bar", data_text=said))
    if goal_deg is not None:
        parts.append(
            element("line", x1=LEFT, x2=width - RIGHT, y1=y(goal_deg), y2=y(goal_deg), class_="goal")
        )
    return picture(width, height, label, *parts, class_="repetition-bars")
