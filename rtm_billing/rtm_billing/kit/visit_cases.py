"""In-clinic timed codes: the 8-minute rule and the midpoint."""

from typing import Any

from .build import case, line
from .model import Worked

ON = "2026-03-20"


def _visit(*services: tuple[Any, ...], settings: dict[str, Any] | None = None) -> dict[str, Any]:
    made = [
        {"code": code, "minutes": minutes, "assistant_minutes": assistant[0] if assistant else 0}
        for code, minutes, *assistant in services
    ]
    return case(visits=[{"on": ON, "services": made}], settings=settings or {})


def _lines(**units: int) -> dict[str, Any]:
    return {"lines": [line(code[1:], ON, units=number) for code, number in units.items()]}


CASES = (
    Worked(
        "timed-33-7",
        "33 + 7 minutes are 3 units: 2 + 1",
        _visit(("97110", 33), ("97140", 7)),
        _lines(c97110=2, c97140=1),
    ),
    Worked(
        "timed-24-23",
        "24 + 23 minutes are 3 units",
        _visit(("97110", 24), ("97140", 23)),
        _lines(c97110=2, c97140=1),
    ),
    Worked(
        "timed-three-services",
        "47 minutes in three services of more than 15 are 3 units",
        _visit(("97110", 16), ("97112", 15.5), ("97140", 15.5)),
        _lines(c97110=1, c97112=1, c97140=1),
    ),
    Worked("timed-10", "10 minutes are 1 unit", _visit(("97110", 10)), _lines(c97110=1)),
    Worked(
        "timed-7",
        "under 8 minutes there is no unit",
        _visit(("97110", 7)),
        {"lines": [], "not_billable": [{"code": "97110", "period": [ON, ON]}]},
    ),
    Worked("timed-22", "22 minutes are 1 unit", _visit(("97110", 22)), _lines(c97110=1)),
    Worked("timed-23", "23 minutes are 2 units", _visit(("97110", 23)), _lines(c97110=2)),
    Worked("timed-38", "38 minutes are 3 units", _visit(("97110", 38)), _lines(c97110=3)),
    Worked(
        "timed-4-4",
        "two services of 4 minutes: the total reaches 8, one of them gets the unit",
        _visit(("97110", 5), ("97140", 4)),
        {"lines": [line("97110", ON)], "not_billable": [{"code": "97140"}]},
    ),
    Worked(
        "timed-ama",
        "setting: each service alone",
        _visit(("97110", 33), ("97140", 7), settings={"timed_units": "ama"}),
        {"lines": [line("97110", ON, units=2)], "not_billable": [{"code": "97140"}]},
    ),
    Worked(
        "timed-ama-8-8",
        "setting: 8 minutes each are a unit each",
        _visit(("97110", 8), ("97140", 8), settings={"timed_units": "ama"}),
        _lines(c97110=1, c97140=1),
    ),
    Worked(
        "timed-assistant",
        "more than 10 % of a service by an assistant: CQ on that service",
        _visit(("97110", 20, 2), ("97140", 20, 2.5)),
        {"lines": [line("97110", ON, units=2), line("97140", ON, modifiers=["GP", "CQ"])]},
    ),
    Worked(
        "visit-future",
        "a visit on as_of is ignored",
        case(visits=[{"on": "2026-05-01", "services": [{"code": "97110", "minutes": 30}]}]),
        {"lines": []},
    ),
    Worked(
        "visit-unknown-code",
        "an unknown in-clinic code is refused",
        _visit(("99999", 15)),
        {"error": True},
    ),
)
