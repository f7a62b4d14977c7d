"""The gateway's state in plain words, for the person at home. Names nobody and no exercise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rtm_gateway.outbox import OutboxStatus

_FULL: Final = 0.8
"""Of the outbox's limit: the share at which it raises its own alarm."""
_UNDER_WAY_S: Final = 60.0
"""Younger data are simply on their way: a chunk holds five seconds and an answer takes a moment."""
_BATTERY: Final = (
    (0.4, "Battery good."),
    (0.2, "Battery half empty."),
    (0.0, "Battery low: please charge it."),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence or two; good = nothing to do."""

    text: str
    good: bool


def lines(status: Mapping[str, Any], outbox: OutboxStatus, *, online: bool) -> list[Line]:
    """status: as in the heartbeat, `sensors` and `warnings`. online: the clinic's broker is connected."""
    said = [_sensor(sensor) for sensor in status["sensors"]]
    if not said:
        said.append(Line("No sensor is set up yet.", good=False))
    battery_said = ("battery",)  # stands with its sensor already
    said += [
        Line(each["what"], good=False) for each in status["warnings"] if each["kind"] not in battery_said
    ]
    return [*said, *_clinic(outbox, online=online)]


def _sensor(sensor: Mapping[str, Any]) -> Line:
    where = str(sensor["placement"]).replace("_", " ")
    battery = sensor["battery"]
    charge = "" if battery is None else next(words for least, words in _BATTERY if battery >= least)
    good = bool(sensor["connected"]) and (battery is None or battery >= 0.2)
    link = (
        f"The sensor on your {where} is connected."
        if sensor["connected"]
        else f"The sensor on your {where} is not connected. Bring it near and wake it."
    )
    return Line(f"{link} {charge}".strip(), good)


def _clinic(outbox: OutboxStatus, *, online: bool) -> Sequence[Line]:
    said = []
    if outbox.items == 0:
        said.append(Line("Everything has reached the clinic.", good=True))
    elif online and outbox.lag_s < _UNDER_WAY_S:
        said.append(Line("Everything up to the last minute has reached the clinic.", good=True))
    else:
        said.append(Line(f"Waiting to send: {_span(outbox.lag_s)} of data. Nothing is lost.", good=online))
    if not online:
        said.append(Line("The clinic cannot be reached just now. It is tried again by itself.", good=False))
    if outbox.refused:
        said.append(Line("The clinic did not take some of the data. Please call the clinic.", good=False))
    if outbox.bytes > _FULL * outbox.limit_bytes:
        said.append(
            Line("The storage of this box is nearly full. Please check the internet connection.", good=False)
        )
    return said


def _span(seconds: float) -> str:
    for name, length in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= length:
            count = round(seconds / length)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "less than a minute"
