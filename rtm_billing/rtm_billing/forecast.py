"""Open windows and months: what is there, what is still needed, whether it can be reached and until when."""

from collections.abc import Sequence
from datetime import date, timedelta

from .context import Context
from .dates import Period
from .ledger_days import Days
from .ledger_time import MonthLedger, unite_month
from .rules import Rule
from .setup_code import CODE, need_on
from .supply import within


def _entry(
    ctx: Context, codes: list[str], period: Period, *, have: int, need: int, unit: str, left: Sequence[date]
) -> dict[str, object]:
    """`left`: the dates that may still count; begun later than `last_date`, they no longer suffice."""
    short = max(need - have, 0)
    wanted = short if unit == "days" else min(short, 1)  # one date may bring any number of minutes
    return {
        "codes": codes,
        "period": period.shown(),
        "have": have,
        "need": need,
        "unit": unit,
        "days_left": (period.last - ctx.as_of).days + 1,
        "reachable": wanted <= len(left),
        "last_date": left[-wanted].isoformat() if 0 < wanted <= len(left) else None,
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
    return _entry(ctx, [code], period, have=len(days), need=need, unit="days", left=left)


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
    rules = _in_reach(known, unite_month(ledger).minutes, sent, ctx)
    if not rules:
        return []
    time = unite_month(ledger, with_doubt=True)
    left = _open_dates(month, (), ctx)
    needs = []
    for rule in rules:
        if rule.step is None:
            needs.append((rule.code, rule.low))
        elif time.minutes >= rule.low - rule.step:
            further = (time.minutes - rule.low) // rule.step + 1  # units beyond the first
            needs.append((rule.code, rule.low + further * rule.step))
    needs.sort(key=lambda pair: (time.minutes >= pair[1], pair[1]))
    found = [
        _entry(ctx, [code], month, have=time.minutes, need=need, unit="minutes", left=left)
        for code, need in needs
    ]
    codes = [rule.code for rule in rules]
    contact = _entry(ctx, codes, month, have=len(time.contacts), need=1, unit="contact", left=left)
    return [*found, contact]


def month_is_open(month: Period, ctx: Context) -> bool:
    """Whether a month is not over at `as_of`."""
    return month.last >= ctx.as_of
