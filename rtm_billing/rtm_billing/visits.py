"""In-clinic therapy: units of 15 minutes by the 8-minute rule, or service by service by the midpoint.

The day's visits are one total (CMS claims processing manual, chapter 5, section 20.2). Minutes are exact.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from .candidate import Candidate, Missing, Outcome
from .case import Visit
from .context import Context
from .dates import Period
from .errors import CaseError
from .known_codes import IN_CLINIC, TIMED
from .rules import VERIFIED_THROUGH
from .text import counted

QUARTER, LEAST = 15, 8
TENTH = Fraction(1, 10)


def cms_units(minutes: Mapping[str, Fraction]) -> dict[str, int]:
    """Units per service: the total sets their number, full quarters first, then the largest remainders.

    A tie of remainders goes to the lower code number, so the order of the entries does not matter.
    """
    allowed = (sum(minutes.values()) + QUARTER - LEAST) // QUARTER
    units = {code: spent // QUARTER for code, spent in minutes.items()}
    by_remainder = sorted(minutes, key=lambda code: (-(minutes[code] % QUARTER), code))
    for code in by_remainder[: allowed - sum(units.values())]:
        units[code] += 1
    return units


def ama_units(minutes: Mapping[str, Fraction]) -> dict[str, int]:
    """Units per service, each alone: one more from 8 minutes past the last full quarter."""
    return {code: (spent + QUARTER - LEAST) // QUARTER for code, spent in minutes.items()}


@dataclass(slots=True)
class _Day:
    minutes: dict[str, Fraction]
    assistant: dict[str, Fraction]


def visit_outcomes(ctx: Context) -> list[Outcome]:
    """One outcome a day with visits before `as_of`."""
    days: dict[date, _Day] = {}
    for index, visit in enumerate(ctx.case.visits):
        _known(index, visit)
        if visit.on < ctx.as_of:
            day = days.setdefault(visit.on, _Day({}, {}))
            for service in visit.services:
                for sums, spent in (
                    (day.minutes, service.minutes),
                    (day.assistant, service.assistant_minutes),
                ):
                    sums[service.code] = sums.get(service.code, Fraction(0)) + Fraction(str(spent))
    return [_outcome(on, days[on], ctx) for on in sorted(days)]


def _known(index: int, visit: Visit) -> None:
    for number, service in enumerate(visit.services):
        if service.code not in IN_CLINIC:
            near = ", ".join(difflib.get_close_matches(service.code, sorted(IN_CLINIC)))
            field = f"visits[{index}].services[{number}].code"
            hint = f"; nearest: {near}" if near else ""
            raise CaseError(f"{field}: {service.code} is not a known in-clinic therapy code{hint}")


def _outcome(on: date, day: _Day, ctx: Context) -> Outcome:
    timed = {code: spent for code, spent in day.minutes.items() if code in TIMED}
    method = ctx.settings.text("timed_units", on)
    units = cms_units(timed) if method == "cms" else ama_units(timed)
    total = Fraction(sum(timed.values()))
    outcome, period = Outcome(), Period(on, on)
    for code in sorted(day.minutes):
        spent, is_timed = day.minutes[code], code in timed
        number = units[code] if is_timed else 1
        if number == 0:
            outcome.missing.append(Missing(code, period, _no_unit(spent, total, method)))
            continue
        outcome.lines.append(
            Candidate(
                code=code,
                units=number,
                period=period,
                first_counted=on,
                service_date=on,
                reasons=[
                    _reason(spent, total, number, method)
                    if is_timed
                    else "billed once a day, not by the minute"
                ],
                evidence={
                    "minutes": float(spent),
                    "assistant_minutes": float(day.assistant[code]),
                    "timed_minutes_of_the_day": float(total),
                    "settings": ctx.settings.shown(("timed_units",), on),
                },
                verified_through=VERIFIED_THROUGH,
                assistant=day.assistant[code] > spent * TENTH,
            )
        )
    return outcome


def _shown(minutes: Fraction) -> str:
    return f"{float(minutes):g}"


def _reason(spent: Fraction, total: Fraction, units: int, method: str) -> str:
    if method == "cms":
        of_the_day = f"{_shown(spent)} of {_shown(total)} timed minutes of the day"
        return f"{of_the_day}: {counted(units, 'unit')} by the 8-minute rule"
    return f"{_shown(spent)} minutes of the service alone: {counted(units, 'unit')}"


def _no_unit(spent: Fraction, total: Fraction, method: str) -> str:
    if method == "ama" or total < LEAST:
        return f"{_shown(total if method == 'cms' else spent)} minutes, fewer than {LEAST}: no unit"
    return f"{_shown(spent)} minutes: the day's {_shown(total)} timed minutes give no unit more"
