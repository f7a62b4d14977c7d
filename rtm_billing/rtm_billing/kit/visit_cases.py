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
    Worked(
        "untimed",
        "a service without a clock is one unit and outside the total",
        case(
            visits=[
                {
                    "on": "2026-03-20",
                    "services": [{"code": "97161", "minutes": 30}, {"code": "97110", "minutes": 7}],
                }
            ]
        ),
        {"lines": [line("97161", "2026-03-20")], "not_billable": [{"code": "97110"}]},
    ),
    Worked(
        "visits-of-a-day",
        "two visits of a day are one total",
        case(
            visits=[
                {"on": "2026-03-20", "services": [{"code": "97110", "minutes": 4}]},
                {"on": "2026-03-20", "services": [{"code": "97110", "minutes": 4}]},
            ]
        ),
        {"lines": [line("97110", "2026-03-20")]},
    ),
    Worked(
        "visit-sent",
        "a visit's line already sent is not emitted again",
        case(
            visits=[{"on": "2026-03-20", "services": [{"code": "97110", "minutes": 15}]}],
            claims_sent=[{"code": "97110", "service_date": "2026-03-20", "claim_id": "V1"}],
        ),
        {"lines": [], "not_billable": [{"code": "97110", "why": "already sent as V1"}]},
    ),
    Worked(
        "timed-29-1",
        "29 + 1 minutes are 2 units, and both go to the 29",
        _visit(("97110", 29), ("97140", 1)),
        {"lines": [line("97110", ON, units=2)], "not_billable": [{"code": "97140", "why": "no unit more"}]},
    ),
    Worked(
        "timed-7-7-7",
        "three times 7 minutes are 21: one unit, to the lowest code where all are equal",
        _visit(("97140", 7), ("97112", 7), ("97110", 7)),
        {"lines": [line("97110", ON)], "not_billable": [{"code": "97112"}, {"code": "97140"}]},
    ),
    Worked(
        "timed-seconds",
        "7 minutes 59.4 seconds are not 8",
        _visit(("97110", 7.99)),
        {"lines": [], "not_billable": [{"code": "97110", "why": "fewer than 8"}]},
    ),
)
