"""Thirty days of adherence in the height of a line of text."""

from collections.abc import Sequence

from markupsafe import Markup

from rtm_server.web.charts.svg import element, picture

DAY_WIDTH = 4.0
BAR_WIDTH = 3.0
HEIGHT = 24.0
BASE = 22.0


def sparkline(values: Sequence[float | None], label: str) -> Markup:
    """Bars, one a day, oldest left.

    Args:
        values: Adherence 0 to 1 of a prescribed day; None where nothing is known or nothing was prescribed.
        label: The same in words, for whoever does not see the bars.
    """
    bars = []
    for index, value in enumerate(values):
        x = index * DAY_WIDTH
        if value is None:
            bars.append(element("rect", x=x, y=BASE - 1, width=BAR_WIDTH, height=1, class_="unknown"))
            continue
        share = min(max(value, 0.0), 1.0)
        height = 2 + share * (BASE - 4)
        name = "full" if share >= 0.995 else "part"
        bars.append(
            element("rect", x=x, y=BASE - height, width=BAR_WIDTH, height=height, rx=0.8, class_=name)
        )
    return picture(max(len(values), 1) * DAY_WIDTH, HEIGHT, label, *bars, class_="sparkline")
