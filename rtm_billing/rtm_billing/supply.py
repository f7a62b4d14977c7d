"""Device supply: data days in windows of 30 dates."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date

from .candidate import Candidate, Missing, Outcome
from .context import Context
from .dates import DAY, Period
from .ledger_days import Days
from .rules import RULES, Rule, rule_for
from .text import counted

SETTINGS_SHOWN = (
    "window_anchor",
    "supply_when",
    "supply_date",
    "day_zone",
    "day_basis",
    "clinic_recordings",
    "access_days",
)


def supply_windows(days: Days, ctx: Context) -> list[Period]:
    """The windows of the episode. They rest on clean days if there are any: doubt moves no window."""
    episode = ctx.case.episode
    position = ctx.settings.text("window_anchor", episode.started)
    anchor: date | None = episode.started
    if position == "first_data":
        first_days = days.clean or days.every
        anchor = first_days[0] if first_days else None
    elif position == "consent":
        given = [item.period for item in episode.consent if item.period.last >= episode.started]
        anchor = min((period.first for period in given), default=None)
        if anchor is not None and any(item.from_ is None for item in episode.consent):
            anchor = max(anchor, episode.started)
    if anchor is None or anchor >= ctx.as_of:
        return []
    last = ctx.discharged if ctx.discharged is not None else ctx.as_of
    found = []
    while anchor <= last:
        found.append(Period(anchor, anchor + 29 * DAY))
        anchor += 30 * DAY
    return found


def within(days: Sequence[date], period: Period) -> Sequence[date]:
    """The sorted days that lie in a period."""
    return days[bisect_left(days, period.first) : bisect_right(days, period.last)]


def supply_outcome(window: Period, counted_days: Sequence[date], ctx: Context) -> Outcome | None:
    """What a window supports; None while it is not decided."""
    organ = ctx.case.episode.organ_system
    days = within(counted_days, window)
    count = len(days)
    closed = window.last < ctx.as_of
    if not closed and ctx.settings.text("supply_when", window.last) == "closed":
        return None
    by_last = ctx.profile.rules("supply", organ, window.last)
    rule = rule_for(by_last, count)
    before = rule_for(ctx.profile.rules("supply", organ, window.first), count)
    straddles = len({on.year for on in days}) == 2 and _code(rule) != _code(before)
    rule = rule or (before if straddles else None)
    service_date: date | None = window.last
    if rule is not None and ctx.settings.text("supply_date", window.last) == "threshold":
        service_date = _threshold_day(rule, days, ctx)
    if rule is None or service_date is None:
        return Outcome(missing=_missing(window, days, ctx)) if closed else None
    line = Candidate(
        code=rule.code,
        units=1,
        period=window,
        first_counted=days[0],
        service_date=service_date,
        reasons=[
            f"{counted(count, 'data day')} in the 30 dates from {window.first} to {window.last}; "
            f"{rule.code} needs {rule.low} to {rule.high}"
        ],
        evidence={
            "data_days": [on.isoformat() for on in days],
            "days": count,
            "need": [rule.low, rule.high],
            "rule_source": rule.source,
            "settings": ctx.settings.shown(SETTINGS_SHOWN, window.last),
        },
        verified_through=rule.verified_through,
    )
    if straddles:
        line.holds.append(
            f"data lie in {days[0].year} and {days[-1].year} and the rules of the two years differ: "
            f"somebody must decide which year's rules hold"
        )
    return Outcome([line])


def _code(rule: Rule | None) -> str | None:
    return rule.code if rule else None


def _threshold_day(rule: Rule, days: Sequence[date], ctx: Context) -> date | None:
    """The first data day on which the code existed and its lowest count was reached."""
    organ = ctx.case.episode.organ_system
    for on in days[rule.low - 1 :]:
        if any(known.code == rule.code for known in ctx.profile.rules("supply", organ, on)):
            return on
    return None


def _missing(window: Period, days: Sequence[date], ctx: Context) -> list[Missing]:
    organ = ctx.case.episode.organ_system
    rules = ctx.profile.rules("supply", organ, window.last)
    if not rules:
        code = next(rule.code for rule in RULES if rule.organ_system == organ and rule.low == 16)
        return [Missing(code, window, f"{code} did not exist on {window.last}")]
    return [Missing(rule.code, window, _why_not(rule, window, days)) for rule in rules]


def _why_not(rule: Rule, window: Period, days: Sequence[date]) -> str:
    if len(days) < rule.low:
        return (
            f"{len(days)} of {counted(rule.low, 'data day')}; the window ended on {window.last}, "
            f"so it can no longer be reached"
        )
    # dated by its threshold: enough days, but none on which the code existed
    return f"the last of its {counted(len(days), 'data day')} was {days[-1]}, when {rule.code} did not exist"


def no_window(days: Days, ctx: Context) -> Outcome | None:
    """The outcome of an episode without any counted day."""
    started = ctx.case.episode.started
    if started >= ctx.as_of:
        return None
    last = min(ctx.discharged or ctx.as_of, ctx.as_of - DAY)
    excluded = "; ".join(f"{counted(number, 'day')} {why}" for why, number in days.excluded.items())
    rules = ctx.profile.rules("supply", ctx.case.episode.organ_system, last)
    why = "no data day counts, so no window has begun" + (f" ({excluded})" if excluded else "")
    period = Period(started, max(last, started))
    return Outcome(missing=[Missing(rule.code, period, why) for rule in rules])
