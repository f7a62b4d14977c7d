"""What the counting proposes before anybody else is asked: a candidate line, and a period's outcome."""

from dataclasses import dataclass, field
from datetime import date

from .dates import Period


@dataclass(slots=True)
class Candidate:
    """A line that the days or minutes support; `holds` and `replaces` decide what becomes of it."""

    code: str
    units: int
    period: Period
    first_counted: date
    service_date: date
    reasons: list[str]
    evidence: dict[str, object]
    verified_through: date
    assistant: bool = False
    holds: list[str] = field(default_factory=list)
    replaces: str | None = None
    modifiers: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Missing:
    """A code that is not billable in a period, and why."""

    code: str
    period: Period
    why: str

    def shown(self) -> dict[str, object]:
        return {"code": self.code, "period": self.period.shown(), "why": self.why}


@dataclass(slots=True)
class Outcome:
    """One window, month, set-up or visit day: the lines it supports, or what it lacks."""

    lines: list[Candidate] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
