"""The few lines that turn numbers into escaped SVG."""

from collections.abc import Iterable, Sequence
from math import floor, log10

from markupsafe import Markup, escape


def number(value: float) -> str:
    """A coordinate with at most one decimal: never more precision than a pixel has."""
    return f"{value:.1f}".removesuffix(".0")


def element(name: str, /, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """One element. Trailing underscores fall off (`class_`), inner ones become hyphens; None is left out.

    Plain strings among the children are escaped, `Markup` is kept.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(
            key.rstrip("_").replace("_", "-"), number(value) if isinstance(value, (int, float)) else value
        )
        for key, value in attributes.items()
        if value is not None
    )
    opened = Markup(name)  # noqa: S704 - element names are literals of this package, never data
    return Markup("<{}{}>{}</{}>").format(opened, written, join(children), opened)


def join(parts: Iterable[str | Markup]) -> Markup:
    """Children one after the other, plain strings escaped."""
    return Markup("").join(escape(part) for part in parts)


def picture(width: float, height: float, label: str, *children: Markup, class_: str) -> Markup:
    """An `<svg>` with a text summary as its accessible name."""
    return element(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_label=label,
        class_=f"chart {class_}",
    )


def path_through(points: Sequence[tuple[float, float] | None]) -> str:
    """Path data of a line; `None` breaks it, so a gap is seen as a gap."""
    data: list[str] = []
    pen_down = False
    for point in points:
        if point is None:
            pen_down = False
            continue
        data.append(f"{'L' if pen_down else 'M'}{number(point[0])} {number(point[1])}")
        pen_down = True
    return "".join(data)


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round values (1, 2, 2.5 or 5 times a power of ten) within [low, high]."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / max(wanted, 1)
    magnitude = 10.0 ** floor(log10(raw))
    step = next(m * magnitude for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * magnitude >= raw * 0.999)
    first = -(-low // step) * step
    count = floor((high - first) / step + 1e-9)
    return [first + index * step for index in range(count + 1)]
