"""The demo's patients: who they are, what they were prescribed and what they did on each of the last days.

Pure: the same today, size and seed give the same cohort. Everybody here is invented. The first five patients
each carry one of the stories a therapist must see at a glance; the others train more or less regularly. Who trains
does the whole plan of the day or leaves its last exercise out: most do two thirds of their plan or more, two struggle.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

WINDOW_DAYS = 30
CLINIC_ZONE = "America/New_York"


@dataclass(frozen=True, slots=True)
class Dose:
    """One prescribed exercise: repetitions in one session a day."""

    exercise: str
    sets: int
    repetitions: int


@dataclass(frozen=True, slots=True)
class Session:
    """One exercise session that took place: its start, what was done and which share of the dose."""

    starts_at: datetime
    exercise: str
    repetitions: int


@dataclass(frozen=True, slots=True)
class Pain:
    """What the patient reported after a session, 0 to 10."""

    at: datetime
    score: int


@dataclass(frozen=True, slots=True)
class Minutes:
    """Management time that the therapist logged; `contact` is None, phone, video, ..."""

    start: datetime
    end: datetime
    activity: str
    contact: str | None


@dataclass(frozen=True, slots=True)
class PatientStory:
    """One patient of the demo, with everything that happened since the episode of care started.

    placements: where sensors are worn, two of them on either side of the joint.
    """

    number: int
    given: str
    family: str
    born: date
    zone: str
    story: str
    started: date
    placements: tuple[str, ...]
    plan: tuple[Dose, ...]
    sessions: tuple[Session, ...]
    pain: tuple[Pain, ...]
    minutes: tuple[Minutes, ...]


NAMES = (
    ("Ada", "Brook", 1948), ("Ben", "Castell", 1955), ("Clara", "Dunmore", 1961),
    ("David", "Ellery", 1943), ("Edith", "Farrow", 1952), ("Frank", "Garland", 1967),
    ("Grace", "Holloway", 1958), ("Henry", "Inwood", 1946), ("Iris", "Jessop", 1970),
    ("Jonah", "Kershaw", 1950), ("Kate", "Lindell", 1964), ("Leo", "Marchmont", 1957),
)  # fmt: skip
ZONES = ("America/New_York", "America/New_York", "America/Chicago")
# Each plan stays on one set of placements. Its exercises stand in the order in which the patient's page asks for them.
PLANS: tuple[tuple[tuple[str, ...], tuple[Dose, ...]], ...] = (
    (("thigh", "shank"), (Dose("heel_slide", 2, 10), Dose("knee_extension_seated", 2, 10))),
    (("upper_arm",), (Dose("shoulder_abduction", 2, 10), Dose("shoulder_forward_elevation", 2, 10))),
    (("thigh",), (Dose("squat", 2, 8), Dose("straight_leg_raise", 2, 10))),
    (("upper_arm",), (Dose("shoulder_abduction", 2, 10), Dose("shoulder_press", 2, 8))),
)


@dataclass(frozen=True, slots=True)
class Story:
    """What makes a patient worth a look. Days are counted back from today (0 = today, 1 = yesterday)."""

    text: str
    started_days_ago: int
    data_days: int
    silent_days: int = 0
    pain_jump: bool = False
    minutes: int = 12
    contact: bool = True


# Started 28 days ago = today is the 29th day of the 30-day window: one more day can be added after today.
STORIES = (
    Story("sixteen data days in the window", started_days_ago=18, data_days=16, minutes=24),
    Story("fifteen data days, one day left", started_days_ago=28, data_days=15, minutes=12),
    Story("silent for five days", started_days_ago=22, data_days=15, silent_days=5, contact=False, minutes=6),
    Story("pain rose", started_days_ago=20, data_days=17, pain_jump=True, minutes=14),
    Story("more than forty minutes of management", started_days_ago=25, data_days=18, minutes=43),
)


@dataclass(frozen=True, slots=True)
class Habit:
    """How regularly somebody trains: the share of days, and the share of those on which the whole plan is done."""

    days: float
    whole: float
    text: str = "trains regularly"


HABIT_OF_A_STORY = Habit(1.0, 0.85)
HABITS = (
    Habit(0.95, 0.95), Habit(0.8, 0.85), Habit(0.4, 0.7, "struggles"), Habit(0.9, 0.9),
    Habit(0.75, 0.8), Habit(0.85, 0.9), Habit(0.7, 0.85),
)  # fmt: skip
REST = timedelta(minutes=12)  # from the beginning of an exercise to that of the next


def cohort(
    today: date, *, patients: int = 12, days: int = 45, seed: int = 1, now: datetime
) -> tuple[PatientStory, ...]:
    """The demo's patients on `today` (a date of the clinic); nothing is dated after `now` (aware)."""
    return tuple(
        _patient(number, today, days, random.Random(f"{seed}/{number}"), now)  # noqa: S311 - no secret
        for number in range(patients)
    )


def _patient(number: int, today: date, days: int, rng: random.Random, now: datetime) -> PatientStory:
    given, family, born_year = NAMES[number % len(NAMES)]
    if number >= len(NAMES):
        family = f"{family} {number // len(NAMES) + 1}"
    zone = ZONES[number % len(ZONES)]
    placements, plan = PLANS[number % len(PLANS)]
    story = STORIES[number] if number < len(STORIES) else None
    habit = HABIT_OF_A_STORY if story else HABITS[(number - len(STORIES)) % len(HABITS)]
    started_ago = min(story.started_days_ago, days) if story else days
    started = today - timedelta(days=started_ago)
    training = _training_days(story, habit, started_ago, rng)
    sessions = _sessions(today, training, plan, habit, zone, rng, now)
    return PatientStory(
        number=number,
        given=given,
        family=family,
        born=date(born_year, rng.randint(1, 12), rng.randint(1, 28)),
        zone=zone,
        story=story.text if story else habit.text,
        started=started,
        placements=placements,
        plan=plan,
        sessions=sessions,
        pain=_pain(sessions, rng, jump=story is not None and story.pain_jump),
        minutes=_minutes(
            story.minutes if story else rng.choice((0, 8, 15)), now, contact=story is None or story.contact
        ),
    )


def _training_days(story: Story | None, habit: Habit, started_ago: int, rng: random.Random) -> list[int]:
    """Days ago with training, oldest first. The episode's first day is one: it opens the window."""
    if story is None:
        return [ago for ago in range(started_ago, 0, -1) if ago == started_ago or rng.random() < habit.days]
    last = max(1, story.silent_days)
    if started_ago < last:
        return []
    candidates = list(range(last, started_ago))
    others = rng.sample(candidates, min(len(candidates), story.data_days - 1))
    if story.silent_days and last not in others and others:
        others[0] = last
    return sorted({started_ago, *others}, reverse=True)


def _sessions(
    today: date, training: list[int], plan: tuple[Dose, ...], habit: Habit, zone: str, rng: random.Random,
    now: datetime,
) -> tuple[Session, ...]:  # fmt: skip
    sessions = []
    for ago in training:
        start = datetime.combine(
            today - timedelta(days=ago), time(rng.randint(8, 18), rng.randint(0, 59)), ZoneInfo(zone)
        )
        done = plan if rng.random() < habit.whole else plan[:-1]
        for turn, dose in enumerate(done):
            begins = start + turn * REST
            if begins + REST < now:
                sessions.append(Session(begins, dose.exercise, dose.sets * dose.repetitions))
    return tuple(sessions)


def _pain(sessions: tuple[Session, ...], rng: random.Random, *, jump: bool) -> tuple[Pain, ...]:
    """One report a day, after its last exercise."""
    last = {session.starts_at.date(): session.starts_at for session in sessions}
    reports = [Pain(at + REST, rng.choice((2, 2, 3, 3, 4))) for at in last.values()]
    if jump and reports:
        reports[-1] = Pain(reports[-1].at, 8)
    return tuple(reports)


ACTIVITIES: Mapping[int, str] = {
    0: "Reviewed the week's sessions",
    1: "Adjusted the programme",
    2: "Called about progress",
}


def _minutes(total: int, now: datetime, *, contact: bool) -> tuple[Minutes, ...]:
    """Entries of at most 15 minutes, the latest ending an hour ago, the others on days before."""
    entries: list[Minutes] = []
    end = now.replace(second=0, microsecond=0) - timedelta(hours=1)
    month_start = now.astimezone(ZoneInfo(CLINIC_ZONE)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    while total > 0:
        length = min(total, 15)
        talks = contact and not entries
        entries.append(
            Minutes(
                end - timedelta(minutes=length), end,
                ACTIVITIES[2] if talks else ACTIVITIES[len(entries) % 2],
                "phone" if talks else None,
            )
        )  # fmt: skip
        total -= length
        earlier = end - timedelta(days=1)
        end = earlier if earlier - timedelta(hours=1) > month_start else end - timedelta(minutes=length + 5)
    return tuple(reversed(entries))
