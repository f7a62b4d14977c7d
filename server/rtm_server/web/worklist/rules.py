"""Why a patient stands on the list: facts of the last weeks in, reasons in words out. Pure.

Nothing here knows about billing: the order of the worklist never depends on it.
Thresholds are our own proposals (docs/explanation/worklist.md is where a clinic reads them).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import IntEnum
from statistics import fmean, median

PAIN_HIGH = 8  # 0 to 10: at once, whatever the patient's usual value
PAIN_JUMP = 3  # over the patient's own median of the seven days before
PAIN_FRESH_DAYS = 3  # an older report has either been seen or been followed by another
SILENT_EXPECTED_DAYS = 3
ADHERENCE_DROP = 0.30  # relative to the patient's own three weeks before
RECENT_DAYS = 7
BASELINE_DAYS = 21
BASELINE_MINIMUM = 4  # prescribed days with data, else there is no baseline to fall from


class Tier(IntEnum):
    """How soon. Lower comes first."""

    TODAY = 1
    THIS_WEEK = 2
    ON_COURSE = 3


@dataclass(frozen=True, slots=True)
class PainReport:
    """A patient's answer, 0 to 10, on the patient's local day. Later reports stand later in a sequence."""

    on: date
    value: int


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """What the rules look at.

    `prescribed` holds local days on which exercises were due; `adherence` the share done on due days with
    data; `last_data` the newest day with data, due or not.
    """

    today: date
    started: date
    prescribed: frozenset[date] = frozenset()
    adherence: Mapping[date, float] = field(default_factory=dict)
    last_data: date | None = None
    pain: Sequence[PainReport] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """A cause with its words. One open reason per patient and cause."""

    tier: Tier
    cause: str
    text: str


def reasons(facts: PatientFacts) -> tuple[Reason, ...]:
    """All reasons that hold, the most urgent first."""
    found = [reason for rule in (pain, silence, falling_adherence) if (reason := rule(facts)) is not None]
    return tuple(sorted(found, key=lambda reason: reason.tier))


def pain(facts: PatientFacts) -> Reason | None:
    """8 or more, or 3 above the patient's own median. A calmer later report lowers it to this week."""
    fresh_from = facts.today - timedelta(days=PAIN_FRESH_DAYS - 1)
    alarming: tuple[int, str] | None = None
    for index, report in enumerate(facts.pain):
        if report.on < fresh_from or report.on > facts.today:
            continue
        usual = _usual_pain(facts.pain[:index], report.on)
        if usual is not None and report.value - usual >= PAIN_JUMP:
            alarming = index, f"Pain {report.value} of 10 {_when(report.on, facts.today)}, usually {usual:g}"
        elif report.value >= PAIN_HIGH:
            alarming = index, f"Pain {report.value} of 10 {_when(report.on, facts.today)}"
    if alarming is None:
        return None
    index, text = alarming
    if index == len(facts.pain) - 1:
        return Reason(Tier.TODAY, "pain", text)
    latest = facts.pain[-1]
    return Reason(Tier.THIS_WEEK, "pain", f"{text}; since then {latest.value}")


def _usual_pain(earlier: Sequence[PainReport], day: date) -> float | None:
    start = day - timedelta(days=RECENT_DAYS)
    values = [report.value for report in earlier if start <= report.on < day]
    return median(values) if values else None


def silence(facts: PatientFacts) -> Reason | None:
    """No data on the last three days on which exercises were due. Today is not over and does not count."""
    last = facts.last_data
    since = last if last is not None else facts.started - timedelta(days=1)
    missed = sum(1 for day in facts.prescribed if since < day < facts.today)
    if missed < SILENT_EXPECTED_DAYS:
        return None
    if last is None:
        return Reason(Tier.THIS_WEEK, "silence", f"No data yet; exercises were due on {missed} days")
    return Reason(
        Tier.THIS_WEEK,
        "silence",
        f"No data since {last:%a} {last.day} {last:%b}; exercises were due on {missed} days",
    )


def falling_adherence(facts: PatientFacts) -> Reason | None:
    """The last seven days against the patient's own three weeks before, on prescribed days."""
    split = facts.today - timedelta(days=RECENT_DAYS)
    recent = mean_adherence(facts, split, facts.today - timedelta(days=1))
    start = max(facts.started, split - timedelta(days=BASELINE_DAYS))
    baseline_days = [d for d in facts.prescribed if start <= d < split and d in facts.adherence]
    baseline = mean_adherence(facts, start, split - timedelta(days=1))
    if recent is None or baseline is None or len(baseline_days) < BASELINE_MINIMUM:
        return None
    if recent >= baseline * (1.0 - ADHERENCE_DROP):
        return None
    return Reason(
        Tier.THIS_WEEK, "adherence", f"Did {recent:.0%} of the plan in the last 7 days, {baseline:.0%} before"
    )


def mean_adherence(facts: PatientFacts, first: date, last: date) -> float | None:
    """Mean over prescribed days of [first, last]. None when nothing was due, or nothing at all is known.

    A prescribed day without data counts as zero once any later data have arrived; before that it is unknown.
    """
    if facts.last_data is None:
        return None
    known = [day for day in facts.prescribed if first <= day <= min(last, facts.last_data)]
    return fmean(facts.adherence.get(day, 0.0) for day in known) if known else None


def _when(day: date, today: date) -> str:
    days = (today - day).days
    return "today" if days == 0 else "yesterday" if days == 1 else f"on {day:%a} {day.day} {day:%b}"
