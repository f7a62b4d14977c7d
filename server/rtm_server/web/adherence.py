"""How much of the plan was done. One meaning everywhere: docs/explanation and design card, "Adherence".

Adherence of a day = prescribed dose done, capped at 1 per exercise, mean over the exercises due; of a longer
span the mean over due days. No data received yet is unknown, not zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import fmean

WINDOW_DAYS = 30  # the supply window, docs/reference/billing-rules.md


@dataclass(frozen=True, slots=True)
class Dose:
    """A line of the plan: `sets` times `value` repetitions, holds or minutes (`unit`) on ISO weekdays."""

    exercise: str
    sets: int
    value: float
    unit: str
    weekdays: frozenset[int]
    valid_from: date
    valid_to: date | None

    @property
    def target(self) -> float:
        """What a day asks for in `unit`."""
        return self.sets * self.value

    def due(self, day: date) -> bool:
        """Whether the line asks for something on this day."""
        return (
            self.valid_from <= day
            and (self.valid_to is None or day <= self.valid_to)
            and day.isoweekday() in self.weekdays
        )


@dataclass(frozen=True, slots=True)
class Done:
    """What was counted of one exercise on one local day."""

    day: date
    exercise: str
    repetitions: int
    holds: int
    minutes: float

    def amount(self, unit: str) -> float:
        """The figure of a dose's unit."""
        return {"repetitions": float(self.repetitions), "holds": float(self.holds), "minutes": self.minutes}[
            unit
        ]


def due_days(doses: Iterable[Dose], first: date, last: date) -> frozenset[date]:
    """Days of [first, last] on which anything was due."""
    lines = list(doses)
    days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
    return frozenset(day for day in days if any(line.due(day) for line in lines))


def by_day(doses: Sequence[Dose], done: Iterable[Done]) -> dict[date, float | None]:
    """Days with data -> share of the plan; None where nothing was due that day."""
    counted: defaultdict[date, dict[str, Done]] = defaultdict(dict)
    for item in done:
        counted[item.day][item.exercise] = item
    return {day: share_of(doses, day, items) for day, items in counted.items()}


def share_of(doses: Sequence[Dose], day: date, counted: Mapping[str, Done]) -> float | None:
    """Share of one day's plan; None where nothing was due."""
    due = [line for line in doses if line.due(day)]
    if not due:
        return None
    return fmean(
        min(counted[line.exercise].amount(line.unit) / line.target, 1.0) if line.exercise in counted else 0.0
        for line in due
    )


def window_at(first_day: date, today: date) -> tuple[date, date]:
    """The 30-day window that holds `today`: windows stand back to back from the first data day."""
    index = max((today - first_day).days, 0) // WINDOW_DAYS
    start = first_day + timedelta(days=index * WINDOW_DAYS)
    return start, start + timedelta(days=WINDOW_DAYS - 1)
