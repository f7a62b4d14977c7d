"""What the worklist shows, and its order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from rtm_server.web.wording import plural
from rtm_server.web.worklist.rules import Reason, Tier


class Sort(StrEnum):
    """Orders within a tier. None of them is billing's."""

    NEED = "need"
    NAME = "name"
    LAST_DATA = "last_data"
    ADHERENCE = "adherence"


class Show(StrEnum):
    """Which tiers."""

    ALL = "all"
    TODAY = "today"
    THIS_WEEK = "week"
    ON_COURSE = "rest"


TIER_OF_SHOW = {Show.TODAY: Tier.TODAY, Show.THIS_WEEK: Tier.THIS_WEEK, Show.ON_COURSE: Tier.ON_COURSE}
TIER_NAMES = {Tier.TODAY: "Today", Tier.THIS_WEEK: "This week", Tier.ON_COURSE: "On course"}


@dataclass(frozen=True, slots=True)
class Row:
    """One patient. `window_last` is None before the first data day."""

    patient: UUID
    name: str
    birth_year: int
    condition: str
    week: int
    reasons: tuple[Reason, ...]
    spark: tuple[float | None, ...]
    adherence: float | None
    data_days: int
    days_needed: int
    window_last: date | None
    minutes: float
    minutes_needed: int
    contact: bool
    last_data: date | None

    @property
    def tier(self) -> Tier:
        """The most urgent reason's."""
        return min((reason.tier for reason in self.reasons), default=Tier.ON_COURSE)


@dataclass(frozen=True, slots=True)
class Worklist:
    """The page. `as_of` is UTC; `zone` the clinic's."""

    rows: tuple[Row, ...]
    today: date
    as_of: datetime
    zone: str

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        today = sum(row.tier is Tier.TODAY for row in self.rows)
        week = sum(row.tier is Tier.THIS_WEEK for row in self.rows)
        if today:
            return f"{today} {'needs' if today == 1 else 'need'} you today"
        if week:
            return f"Nobody needs you today, {plural(week, 'patient')} this week"
        return "Nobody needs you today" if self.rows else "No patients yet"

    def groups(self, show: Show, sort: Sort, text: str) -> list[tuple[Tier, str, list[Row]]]:
        """Tiers with their rows, filtered and in a stable order; a tier without rows is left out."""
        wanted = text.casefold().strip()
        rows = [row for row in self.rows if wanted in row.name.casefold()]
        return [
            (tier, TIER_NAMES[tier], ordered([row for row in rows if row.tier is tier], sort, self.today))
            for tier in Tier
            if TIER_OF_SHOW.get(show, tier) is tier and any(row.tier is tier for row in rows)
        ]

    def count(self, show: Show) -> int:
        """How many rows a filter would show."""
        wanted = TIER_OF_SHOW.get(show)
        return sum(wanted is None or row.tier is wanted for row in self.rows)


def ordered(rows: Sequence[Row], sort: Sort, today: date) -> list[Row]:
    """Worst first; ties by name, then by id, so that a row never jumps without a reason."""

    def key(row: Row) -> tuple[float, str, str]:
        silent = float((today - row.last_data).days) if row.last_data else float("inf")
        rank = {
            Sort.NEED: row.adherence if row.adherence is not None else -1.0,
            Sort.ADHERENCE: row.adherence if row.adherence is not None else -1.0,
            Sort.LAST_DATA: -silent,
            Sort.NAME: 0.0,
        }[sort]
        return rank, row.name.casefold(), str(row.patient)

    return sorted(rows, key=key)
