"""What the month shows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from rtm_server.web.billing.line_history import STATE_WORDS, Standing, Step
from rtm_server.web.wording import plural

DATA_DAY = "Data day"
REPLACED = "replaced"


class State(StrEnum):
    """Where a line stands. A `hold` needs a person's reason; `ready` may be released in bulk."""

    HOLD = "hold"
    READY = "ready"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Line:
    """One claim line the evidence supports, or holds. `key` names it within its month."""

    key: str
    name: str
    account: str
    code: str
    units: int
    modifiers: tuple[str, ...]
    service_date: date
    period: tuple[date, date]
    decision: str
    state: State
    reasons: tuple[str, ...]
    released_by: str | None = None
    released_at: datetime | None = None
    release_reason: str | None = None
    standing: str = ""
    remark: str = ""
    """The newest word on a released line: why it was left out, what a payer said."""
    patient: UUID | None = None
    joins: int = 0
    """Units of the same line that stand without a doubt: these are released with them, as one line."""

    @property
    def units_words(self) -> str:
        """` × 3`, `, 2 more units`; empty for a line of one unit."""
        if self.joins:
            return f", {plural(self.units, 'more unit')}"
        return f" × {self.units}" if self.units > 1 else ""

    @property
    def standing_words(self) -> str:
        """Where a released line stands."""
        return STATE_WORDS.get(self.standing, self.standing)


@dataclass(frozen=True, slots=True)
class NotBillable:
    """A code that is not billed, and why."""

    name: str
    account: str
    code: str
    period: tuple[date, date]
    why: str
    patient: UUID | None = None


@dataclass(frozen=True, slots=True)
class OpenPeriod:
    """A period still running, as facts."""

    name: str
    account: str
    codes: tuple[str, ...]
    period: tuple[date, date]
    have: int
    need: int
    unit: str
    days_left: int
    reachable: bool
    patient: UUID | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """One patient's open periods in one row: the window, the month's minutes and its contact."""

    name: str
    account: str
    window: OpenPeriod | None
    days: Sequence[OpenPeriod]
    minutes: Sequence[OpenPeriod]
    contact: bool | None
    patient: UUID | None = None


@dataclass(frozen=True, slots=True)
class Month:
    """The page of `/billing/{YYYY-MM}`; `first` is the month's first day."""

    first: date
    lines: Sequence[Line]
    not_billable: Sequence[NotBillable]
    open_periods: Sequence[OpenPeriod]
    warnings: Sequence[str]
    rules_version: str
    as_of: datetime
    zone: str
    waiting: int = 0
    """Recordings of the month and the two before that are not analyzed yet: lines may change until they are."""

    def in_state(self, state: State) -> list[Line]:
        """Lines of one state by patient, code and date."""
        return sorted(
            (line for line in self.lines if line.state == state),
            key=lambda line: (line.name.casefold(), line.code, line.service_date),
        )

    @property
    def running(self) -> list[Running]:
        """Open periods, one row a patient, by name. Of several windows the newest is shown."""
        by_patient: dict[tuple[str, str], list[OpenPeriod]] = {}
        for each in self.open_periods:
            by_patient.setdefault((each.name, each.account), []).append(each)
        rows = []
        for (name, account), periods in sorted(by_patient.items(), key=lambda pair: pair[0][0].casefold()):
            days = sorted((p for p in periods if p.unit == "days"), key=lambda p: (p.period, p.need))
            contact = [p.have >= p.need for p in periods if p.unit == "contact"]
            rows.append(
                Running(
                    name,
                    account,
                    days[-1] if days else None,
                    days,
                    sorted((p for p in periods if p.unit == "minutes"), key=lambda p: p.need),
                    all(contact) if contact else None,
                    periods[0].patient,
                )
            )
        return rows

    @property
    def begun(self) -> bool:
        """Whether the month's first day has come, by the clinic's clock."""
        return self.first <= self.as_of.astimezone(ZoneInfo(self.zone)).date()

    @property
    def without(self) -> list[tuple[tuple[str, str], list[NotBillable]]]:
        """What is not billable, by patient (name, account)."""
        by_patient: dict[tuple[str, str], list[NotBillable]] = {}
        for each in self.not_billable:
            by_patient.setdefault((each.name, each.account), []).append(each)
        return list(by_patient.items())

    @property
    def totals(self) -> list[tuple[str, int, int, int]]:
        """(code, units ready, units on hold, units released), by code."""
        counts: Counter[tuple[str, State]] = Counter()
        for line in self.lines:
            if line.standing != REPLACED:
                counts[line.code, line.state] += line.units
        codes = sorted({code for code, _ in counts})
        return [
            (code, counts[code, State.READY], counts[code, State.HOLD], counts[code, State.RELEASED])
            for code in codes
        ]

    @property
    def sentence(self) -> str:
        """The month in one line; what another line replaced is counted with that one."""
        ready, hold, released = (
            sum(line.standing != REPLACED for line in self.in_state(s))
            for s in (State.READY, State.HOLD, State.RELEASED)
        )
        if not self.lines:
            return "No claim lines yet"
        return f"{ready} ready, {hold} on hold, {released} released"


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """One fact a line stands on: a day with data, a time entry or a contact. `on`: the day it opens, if any."""

    kind: str
    when: str
    what: str
    on: date | None = None


@dataclass(frozen=True, slots=True)
class LinePage:
    """The page of one line: its evidence, where it stands (None: not released) and every step of it."""

    month: date
    line: Line
    evidence: Sequence[EvidenceItem]
    rules_version: str
    as_of: datetime
    zone: str
    standing: Standing | None = None
    steps: Sequence[Step] = ()

    @property
    def days(self) -> list[EvidenceItem]:
        """Counted days without a doubt."""
        return [item for item in self.evidence if item.kind == DATA_DAY]

    @property
    def facts(self) -> list[EvidenceItem]:
        """Everything else."""
        return [item for item in self.evidence if item.kind != DATA_DAY]
