"""Open windows and months: what is there, what is still needed, whether it can be reached and until when."""

from collections.abc import Sequence
from datetime import date, timedelta

from .context import Context
from .dates import DAY, Period
from .ledger_days import Days
from .ledger_time import MonthLedger, unite_month
from .rules import Rule
from .setup_code import CODE, need_on
from .supply import within


def _entry(
    ctx: Context,
    codes: list[str],
    period: Period,
    *,
    have: int,
    need: int,
    unit: str,
    open_days: int,
    last_date: date | None,
) -> dict[str, object]:
    """`open_days`: dates left that may still count; `last_date`: the last on which it is still reachable."""
    return {
        "codes": codes,
        "period": period.shown(),
        "have": have,
        "need": need,
        "unit": unit,
        "days_left": max((period.last - ctx.as_of).days + 1, 0),
        "reachable": have >= need or (have + open_days >= need if unit == "days" else open_days > 0),
        "last_date": last_date.isoformat() if last_date is not None and have < need else None,
    }


def _open_dates(period: Period, counted: Sequence[date], ctx: Context) -> list[date]:
    """The dates from `as_of` to the period's end that may still become data days."""
    taken = set(counted)
    first = max(period.first, ctx.as_of)
    dates = (first + timedelta(days=i) for i in range((period.last - first).days + 1))
    return [on for on in dates if on not in taken and ctx.eligible(on) is None]


def _in_reach(rules: Sequence[Rule], count: int, done: set[str], ctx: Context) -> list[Rule]:
    """The rules that may still bring a line: covered, no line yet, not outgrown.

    A code with an upper end is outgrown by a certain count above it, or by a line of a higher threshold.
    """
    return [
        rule
        for rule in rules
        if ctx.profile.covers(rule.code)
        and rule.code not in done
        and not (
            rule.high is not None
            and (count > rule.high or any(other.code in done and other.low > rule.high for other in rules))
        )
    ]


def _days(code: str, need: int, period: Period, counted: Sequence[date], ctx: Context) -> dict[str, object]:
    days = within(counted, period)
    left = _open_dates(period, days, ctx)
    short = need - len(days)
    # begun later than this date, the dates left no longer suffice
    last_date = left[-short] if 0 < short <= len(left) else None
    return _entry(
        ctx, [code], period, have=len(days), need=need, unit="days", open_days=len(left), last_date=last_date
    )


def open_supply(window: Period, days: Days, done: set[str], ctx: Context) -> list[dict[str, object]]:
    """An open window, next threshold first; codes of `done` already stand as lines."""
    known = ctx.profile.rules("supply", ctx.case.episode.organ_system, window.last)
    rules = _in_reach(known, len(within(days.clean, window)), done, ctx)
    have = len(within(days.every, window))
    rules.sort(key=lambda rule: (have >= rule.low, rule.low))
    return [_days(rule.code, rule.low, window, days.every, ctx) for rule in rules]


def open_setup(period: Period, counted: Sequence[date], ctx: Context) -> list[dict[str, object]]:
    """98975 while its 30 dates run."""
    on = (
        period.first
        if ctx.settings.text("setup_date", period.last) == "education"
        else max(period.first, ctx.as_of)
    )
    need = need_on(ctx, min(on, period.last))
    if need is None or not ctx.profile.covers(CODE):
        return []
    return [_days(CODE, need, period, counted, ctx)]


def open_month(month: Period, ledger: MonthLedger, sent: set[str], ctx: Context) -> list[dict[str, object]]:
    """The running month: minutes to the next thresholds, and the contact."""
    known = ctx.profile.rules("management", None, month.last)
    rules = _in_reach(known, unite_month(ledger, with_doubt=False).minutes, sent, ctx)
    if not rules:
        return []
    time = unite_month(ledger, with_doubt=True)
    left = _open_dates(month, (), ctx)
    last_date = left[-1] if left else None
    needs = []
    for rule in rules:
        if rule.step is None:
            needs.append((rule.code, rule.low))
        elif time.minutes >= rule.low - rule.step:
            needs.append((rule.code, max(rule.low, (time.minutes // rule.step + 1) * rule.step)))
    needs.sort(key=lambda pair: (time.minutes >= pair[1], pair[1]))
    found = [
        _entry(
            ctx,
            [code],
            month,
            have=time.minutes,
            need=need,
            unit="minutes",
            open_days=len(left),
            last_date=last_date,
        )
        for code, need in needs
    ]
    codes = [rule.code for rule in rules]
    found.append(
        _entry(
            ctx,
            codes,
            month,
            have=len(time.contacts),
            need=1,
            unit="contact",
            open_days=len(left),
            last_date=last_date,
        )
    )
    return found


def month_is_open(month: Period, ctx: Context) -> bool:
    """Whether a month is not over at `as_of`."""
    return month.last > ctx.as_of - DAY
