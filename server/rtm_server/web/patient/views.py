"""What the patient page and the session page show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from rtm_server.home_status import HomeWarning
from rtm_server.web.charts import Clock, Mark, Point
from rtm_server.web.wording import plural, whole
from rtm_server.web.worklist.rules import Reason


@dataclass(frozen=True, slots=True)
class Banner:
    """Who this is: two identifiers stand on every page about a patient."""

    patient: UUID
    name: str
    born: date
    record_number: str
    condition: str
    week: int
    zone: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One recording with its newest result. `repetitions` None: not analysed yet."""

    recording: UUID
    at: datetime
    exercise: str | None
    prescribed: int | None
    repetitions: int | None
    corrected: int | None
    rom_deg: float | None
    rom_uncertainty_deg: float | None
    withheld: str | None
    state: str


@dataclass(frozen=True, slots=True)
class TimeEntry:
    """Minutes of work, as written down. `superseded` entries stay visible, struck out."""

    entry: UUID
    start: datetime
    end: datetime
    by: str
    activity: str
    contact: str | None
    superseded: bool = False
    idle: bool = False

    @property
    def minutes(self) -> float:
        """Length in minutes."""
        return (self.end - self.start).total_seconds() / 60.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both billing clocks as facts.

    `supply_code` is the code whose minimum `days_needed` is; `management` holds (code, minutes needed).
    """

    window: Clock | None
    month: Clock
    data_days: Mapping[date, float | None]
    days_in_window: int
    days_needed: int
    supply_code: str
    management: tuple[tuple[str, int], ...]
    minutes: float
    contacts: tuple[date, ...]
    today: date

    @property
    def window_sentence(self) -> str:
        """`12 of 16 days; 5 days left`."""
        if self.window is None:
            return "The 30-day window starts with the first day of data"
        left = max((self.window.last - self.today).days + 1, 0)
        return f"{self.days_in_window} of {self.days_needed} days; {plural(left, 'day')} left"

    @property
    def days_left_in_month(self) -> int:
        """Today included."""
        return (self.month.last - self.today).days + 1

    @property
    def strip_label(self) -> str:
        """The strip in words."""
        window = f"{self.window.name}: {self.window_sentence}. " if self.window else ""
        in_month = sum(self.month.first <= day <= self.month.last for day in self.data_days)
        return f"{window}{self.month.name}: {plural(in_month, 'day')} with data."

    @property
    def management_facts(self) -> list[tuple[str, int, int]]:
        """(code, minutes had, minutes needed) of the management codes."""
        had = whole(self.minutes)
        return [(code, had, need) for code, need in self.management]


@dataclass(frozen=True, slots=True)
class Prescription:
    """A dose a day: `sets` of so many repetitions, holds or minutes (`unit`), on ISO weekdays."""

    exercise: str
    sets: int
    value: float
    unit: str
    weekdays: tuple[int, ...]
    since: date

    @property
    def amount_value(self) -> str:
        """The number alone."""
        return f"{self.value:g}"

    @property
    def amount(self) -> str:
        """`12`, `5 min` or `3 holds`, and the days when it is not every day."""
        said = self.amount_value + {"minutes": " min", "holds": " holds"}.get(self.unit, "")
        if len(self.weekdays) == 7:
            return said
        names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
        return f"{said} on {', '.join(names[day - 1] for day in self.weekdays)}"


@dataclass(frozen=True, slots=True)
class PatientPage:
    """Everything on `/p/{id}`."""

    banner: Banner
    reasons: tuple[Reason, ...]
    clocks: Clocks
    pain: Sequence[Point]
    rom: Sequence[Point]
    rom_name: str
    marks: Sequence[Mark]
    trend_period: tuple[date, date]
    sessions: Sequence[SessionRow]
    time: Sequence[TimeEntry]
    prescriptions: Sequence[Prescription]
    adherence_week: float | None
    adherence_month: float | None
    today: date
    as_of: datetime
    home_warnings: Sequence[HomeWarning] = ()

    @property
    def trend_label(self) -> str:
        """Both charts in words."""
        said = []
        if self.pain:
            said.append(f"Pain from {self.pain[0].value:g} to {self.pain[-1].value:g} of 10")
        if self.rom:
            said.append(f"{self.rom_name} from {self.rom[0].value:.0f} to {self.rom[-1].value:.0f} degrees")
        return "; ".join(said) + "." if said else "No pain reports and no range of motion yet."


@dataclass(frozen=True, slots=True)
class Repetition:
    """One repetition; degrees None where withheld."""

    start_s: float
    end_s: float
    rom_deg: float | None
    flags: tuple[str, ...]

    @property
    def span(self) -> tuple[float, float]:
        """Start and end in seconds."""
        return self.start_s, self.end_s

    @property
    def flagged(self) -> bool:
        """Something about it deserves a look."""
        return bool(self.flags)


@dataclass(frozen=True, slots=True)
class Correction:
    """A clinician's count beside the computed one."""

    repetitions: int
    why: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Everything on `/p/{id}/s/{recording}`. `angle` is (seconds, degrees or None)."""

    banner: Banner
    recording: UUID
    at: datetime
    exercise: str | None
    duration_s: float
    repetitions: Sequence[Repetition]
    range_low: int | None
    range_high: int | None
    angle_name: str
    angle: tuple[Sequence[float], Sequence[float | None]]
    rom_median_deg: float | None
    rom_max_deg: float | None
    rom_uncertainty_deg: float | None
    withheld: Sequence[tuple[str, str]]
    pipeline_version: str
    analysed_at: datetime | None
    devices: Sequence[str]
    corrections: Sequence[Correction]
    earlier_results: int
    set_aside: str | None
    doubts: Sequence[str]
    """Why it makes no data day by itself; empty when it does, or was set aside."""
    as_of: datetime
