"""Management: united minutes of a calendar month, with at least one live contact."""

from collections.abc import Sequence
from datetime import date

from .candidate import Candidate, Missing, Outcome
from .context import Context
from .dates import Period, local_date
from .ledger_time import MonthLedger, MonthTime, unite_month
from .rules import Rule, rule_for
from .supply import within
from .text import counted

SETTINGS_SHOWN = ("management_date", "month_split", "contact_channels", "late_entry_days", "no_data_month")


def management_outcome(
    month: Period, ledger: MonthLedger, data_days: Sequence[date], ctx: Context, *, with_doubt: bool = False
) -> Outcome:
    """What a closed month supports, without its doubtful items or with them."""
    rules = ctx.profile.rules("management", None, month.last)
    time = unite_month(ledger, with_doubt=with_doubt)
    if not rules:
        return Outcome(missing=[Missing("98980", month, f"98980 did not exist on {month.last}")])
    base = rule_for(rules, time.minutes)
    if base is None:
        return Outcome(missing=_too_short(month, time, rules))
    if not time.contacts:
        why = (
            f"{counted(time.minutes, 'minute')} but no live two-way contact in the month; "
            f"the month is over, so it can no longer be reached"
        )
        return Outcome(missing=[Missing(base.code, month, why)])
    lines = [_line(base, 1, ctx, month=month, minutes=base.low, time=time, data_days=data_days)]
    for add_on in rules:
        if add_on.step is not None and base.high is None and time.minutes >= add_on.low:
            more = (time.minutes - add_on.low) // add_on.step  # units beyond the first
            full = add_on.low + more * add_on.step
            lines.append(
                _line(add_on, 1 + more, ctx, month=month, minutes=full, time=time, data_days=data_days)
            )
    return Outcome(lines)


def _too_short(month: Period, time: MonthTime, rules: tuple[Rule, ...]) -> list[Missing]:
    return [
        Missing(
            rule.code,
            month,
            f"{time.minutes} of {counted(rule.low, 'minute')}"
            f"{'' if time.contacts else ' and no live two-way contact'}; "
            f"the month is over, so it can no longer be reached",
        )
        for rule in rules
        if rule.step is None
    ]


def _line(
    rule: Rule,
    units: int,
    ctx: Context,
    *,
    month: Period,
    minutes: int,
    time: MonthTime,
    data_days: Sequence[date],
) -> Candidate:
    service_date = month.last
    if ctx.settings.text("management_date", month.last) == "threshold":
        # the last microsecond that was needed, or the first contact where that came later
        reached = local_date(time.reached(minutes) - 1, ctx.clinic)
        service_date = min(max(reached, time.contacts[0].on), month.last)
    days_of_month = within(data_days, month)
    line = Candidate(
        code=rule.code,
        units=units,
        period=month,
        first_counted=local_date(time.spans[0][0], ctx.clinic),
        service_date=service_date,
        reasons=[
            f"{counted(time.minutes, 'minute')} of management in the month and "
            f"{counted(len(time.contacts), 'live contact')}; {rule.code} needs {_range(rule, minutes)}"
        ],
        evidence={
            "seconds": time.total / 1_000_000,
            "minutes": time.minutes,
            "need": [rule.low, rule.high],
            "assistant_seconds": time.only_assistants / 1_000_000,
            "contacts": [
                {"on": contact.on.isoformat(), "channel": contact.channel} for contact in time.contacts
            ],
            "data_days": [on.isoformat() for on in days_of_month],
            "rule_source": rule.source,
            "settings": ctx.settings.shown(SETTINGS_SHOWN, month.last),
        },
        verified_through=rule.verified_through,
        assistant=time.assistant_share_above_tenth,
    )
    if not days_of_month and ctx.settings.text("no_data_month", month.last) == "hold":
        line.holds.append("no data day in the month: somebody must decide whether the minutes are billable")
    return line


def _range(rule: Rule, minutes: int) -> str:
    return f"{minutes} minutes or more" if rule.high is None else f"{rule.low} to {rule.high} minutes"
