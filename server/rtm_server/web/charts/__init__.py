"""SVG charts as pure functions: values in, markup out. No script, no inline style."""

from rtm_server.web.charts.clocks import Clock, clock_strip
from rtm_server.web.charts.session import angle_chart, repetition_bars
from rtm_server.web.charts.sparkline import sparkline
from rtm_server.web.charts.trends import Mark, Point, trends

__all__ = [
    "Clock",
    "Mark",
    "Point",
    "angle_chart",
    "clock_strip",
    "repetition_bars",
    "sparkline",
    "trends",
]
