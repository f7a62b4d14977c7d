"""Charts are well-formed, hold no style and no script, and say in words what they show."""

from __future__ import annotations

import math
from datetime import date, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from rtm_server.web.charts import (
    Clock,
    Mark,
    Point,
    angle_chart,
    clock_strip,
    repetition_bars,
    sparkline,
    trends,
)
from rtm_server.web.charts.session import thin
from rtm_server.web.charts.svg import ticks

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '"><script>alert(1)</script>{{7*7}}'
DAY = date(2026, 11, 1)
shares = st.one_of(st.none(), st.floats(0, 1))


def parsed(markup: Markup) -> ElementTree.Element:
    root = ElementTree.fromstring(markup)  # noqa: S314 - what we have just written
    for element in root.iter():
        assert element.tag != f"{SVG}script"
        assert not [name for name in element.attrib if name == "style" or name.startswith("on")]
        for name in ("x", "y", "width", "height", "cx", "cy", "x1", "x2", "y1", "y2"):
            assert math.isfinite(float(element.attrib.get(name, "0")))
    return root


@given(st.lists(shares, max_size=40), st.text(max_size=30))
@settings(max_examples=50)
def test_sparkline_has_a_bar_a_day(values: list[float | None], label: str) -> None:
    clean = "".join(c for c in label if c.isprintable())
    root = parsed(sparkline(values, clean))
    assert len(root.findall(f"{SVG}rect")) == len(values)
    assert root.attrib["aria-label"] == clean


@given(st.integers(0, 29), st.integers(0, 60), st.sampled_from([None, 15, 7]))
@settings(max_examples=40)
def test_clock_strip_has_a_cell_a_day(shift: int, today: int, columns: int | None) -> None:
    window = Clock("30-day window", DAY + timedelta(days=shift), DAY + timedelta(days=shift + 29))
    month = Clock("November 2026", DAY, date(2026, 11, 30))
    data = {DAY + timedelta(days=n): None if n % 3 else 0.5 for n in range(0, 30, 2)}
    root = parsed(clock_strip(data, (window, month), DAY + timedelta(days=today), "both", columns=columns))
    total = (max(window.last, month.last) - DAY).days + 1
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert len(titles) == total
    assert sum(": data" in title for title in titles) == len(data)


def test_trends_escape_what_people_type() -> None:
    root = parsed(
        trends([Point(DAY, 3)], [Point(DAY, 90, 4)], [Mark(DAY, EVIL)], (DAY, DAY + timedelta(days=9)), EVIL)
    )
    assert root.attrib["aria-label"] == EVIL
    assert any(EVIL in (title.text or "") for title in root.iter(f"{SVG}title"))


@pytest.mark.parametrize("width", [340.0, 720.0])
def test_empty_charts_draw(width: float) -> None:
    parsed(trends([], [], [], (DAY, DAY), "nothing", width=width))
    parsed(angle_chart([], [], [], "nothing", width=width))
    parsed(repetition_bars([], [], "nothing", width=width))


def test_a_gap_in_the_angle_stays_a_gap() -> None:
    root = parsed(angle_chart([0, 1, 2, 3, 4], [0.0, 10.0, None, 10.0, 0.0], [(0, 2)], "a gap"))
    (line,) = [p for p in root.iter(f"{SVG}path") if p.attrib.get("class") == "line"]
    assert line.attrib["d"].count("M") == 2


def test_an_unmeasured_repetition_is_counted() -> None:
    root = parsed(repetition_bars([90.0, None, 70.0], [False, False, True], "three"))
    assert [b.attrib["data-text"] for b in root.iter(f"{SVG}g")] == [
        "Repetition 1: 90°",
        "Repetition 2: not measured",
        "Repetition 3: 70°, flagged",
    ]


@given(st.integers(10, 40), st.lists(st.floats(-180, 180), min_size=200, max_size=600))
@settings(max_examples=40)
def test_thinning_keeps_every_extreme(columns: int, values: list[float]) -> None:
    times, kept = thin([n * 0.01 for n in range(len(values))], values, columns)
    assert len(kept) <= max(2 * columns, len(values) if len(values) <= 2 * columns else 0)
    assert max(v for v in kept if v is not None) == max(values)
    assert min(v for v in kept if v is not None) == min(values)
    assert all(a <= b for a, b in pairwise(times))


@given(st.floats(-500, 500), st.floats(0.01, 500), st.integers(1, 8))
def test_ticks_lie_inside(low: float, span: float, wanted: int) -> None:
    found = ticks(low, low + span, wanted)
    assert len(found) <= wanted + 2
    assert all(low - 1e-6 <= tick <= low + span + 1e-6 for tick in found)
