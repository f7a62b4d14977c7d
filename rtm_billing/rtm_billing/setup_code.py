"""98975, set-up and patient education: once per episode, when enough data days follow it."""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction

from .candidate import Candidate, Missing, Outcome
from .context import Context
from .dates import DAY, Period
from .rules import Rule
from .supply import within
from .text import counted

CODE = "98975"
SETTINGS_SHOWN = ("setup_date", "day_zone", "day_basis", "clinic_recordings", "access_days")
TENTH = Fraction(1, 10)


def setup_period(ctx: Context) -> Period | None:
    """The 30 dates from the set-up; None when there was none before `as_of`."""
    setup = ctx.case.episode.setup
    if setup is None or setup.on >= ctx.as_of:
        return None
    return Period(setup.on, setup.on + 29 * DAY)


def need_on(ctx: Context, on: date) -> int | None:
    """Data days needed by the rule of a date; None when the code did not exist."""
    rule = _rule_on(ctx, on)
    return rule.low if rule else None


def _rule_on(ctx: Context, on: date) -> Rule | None:
    return next(iter(ctx.profile.rules("setup", None, on)), None)


def setup_outcome(period: Period, counted_days: Sequence[date], ctx: Context) -> Outcome | None:
    """98975, once its minimum is met; None while it still may be."""
    setup = ctx.case.episode.setup
    assert setup is not None  # noqa: S101  # a period exists only where a set-up does
    if ctx.case.episode.setup_billed_before:
        return Outcome(missing=[Missing(CODE, period, "already billed in this episode of care")])
    days = within(counted_days, period)
    education = ctx.settings.text("setup_date", period.last) == "education"
    service_date = setup.on if education else _minimum_met(days, ctx)
    met = {_met(len(days), need_on(ctx, on)) for on in (period.first, period.last)}
    straddles = len({on.year for on in days}) == 2 and len(met) == 2
    by_date = service_date is not None and _met(len(days), need_on(ctx, service_date))
    if service_date is None or not (by_date or straddles):
        if period.last >= ctx.as_of:
            return None
        need = need_on(ctx, setup.on if education or not days else days[-1])
        why = (
            f"{CODE} did not exist on {setup.on}"
            if need is None
            else f"{len(days)} of {counted(need, 'data day')} from {period.first} to {period.last}; "
            f"the 30 dates are over, so it can no longer be reached"
        )
        return Outcome(missing=[Missing(CODE, period, why)])
    # of a straddle, the year of the service date may have had no code
    rule = _rule_on(ctx, service_date) or _rule_on(ctx, period.last)
    assert rule is not None  # noqa: S101  # the minimum of one of the two dates is met
    line = Candidate(
        code=CODE,
        units=1,
        period=period,
        first_counted=days[0],
        service_date=service_date,
        reasons=[
            f"{counted(len(days), 'data day')} in the 30 dates from the set-up on {setup.on}; {rule.low} needed"
        ],
        evidence={
            "data_days": [on.isoformat() for on in days],
            "days": len(days),
            "need": [rule.low, None],
            "setup_on": setup.on.isoformat(),
            "assistant_share": setup.assistant_share,
            "rule_source": rule.source,
            "settings": ctx.settings.shown(SETTINGS_SHOWN, period.last),
        },
        verified_through=rule.verified_through,
        assistant=Fraction(str(setup.assistant_share)) > TENTH,
    )
    if straddles:
        line.holds.append(
            f"data lie in {days[0].year} and {days[-1].year} and the rules of the two years differ: "
            f"somebody must decide which year's rules hold"
        )
    return Outcome([line])


def _met(count: int, need: int | None) -> bool:
    return need is not None and count >= need


def _minimum_met(days: Sequence[date], ctx: Context) -> date | None:
    """The first data day whose own date's rule is met by the days so far."""
    for number, on in enumerate(days, start=1):
        if _met(number, need_on(ctx, on)):
            return on
    return None
