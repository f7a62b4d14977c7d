"""What the patient sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Task:
    """One exercise of today: `value` in each of `sets`; `done` and `target` count the day, all in `unit`."""

    exercise: str
    sets: int
    value: float
    unit: str
    done: float
    target: float

    @property
    def finished(self) -> bool:
        """The dose is done."""
        return self.done >= self.target

    @property
    def dose(self) -> str:
        """`3 sets of 10 repetitions`, `20 minutes`."""
        one = f"{self.value:g} {self.unit[:-1] if self.value == 1 else self.unit}"
        return one if self.sets == 1 else f"{self.sets} sets of {one}"


@dataclass(frozen=True, slots=True)
class Day:
    """The page. `week` holds the last seven days with the share done, None where nothing was due."""

    first_name: str
    today: date
    as_of: datetime
    zone: str
    tasks: Sequence[Task]
    week: Sequence[tuple[date, float | None]]
    pain_today: int | None
    open_recording: UUID | None
    clinic: str
    phone: str | None

    @property
    def next_task(self) -> Task | None:
        """The first that is not done."""
        return next((task for task in self.tasks if not task.finished), None)

    @property
    def done(self) -> int:
        """Exercises finished."""
        return sum(task.finished for task in self.tasks)

    @property
    def greeting(self) -> str:
        """By the hour of the patient's own zone."""
        hour = self.as_of.astimezone(ZoneInfo(self.zone)).hour
        part = "morning" if hour < 12 else "afternoon" if hour < 18 else "evening"
        return f"Good {part}, {self.first_name}"


@dataclass(frozen=True, slots=True)
class LiveSet:
    """The set, or the calibration, that runs now. `count` None: nothing heard from the sensor yet.

    still_s: of a calibration, seconds for which the patient should still keep still.
    """

    recording: UUID
    exercise: str | None
    target: int | None
    count: int | None
    closed: bool
    gateway: UUID | None
    calibration: bool = False
    still_s: int = 0
