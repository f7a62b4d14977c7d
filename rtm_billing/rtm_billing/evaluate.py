"""A case in, lines with reasons out: the one function others call."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from .candidate import Candidate, Missing, Outcome
from .case import SentClaim
from .checks import against_sent, hold_by_edits, hold_reasons, other_service_warnings, refused, sent_setups
from .context import Context, context
from .dates import DAY, Period, month_of
from .decode import decode_case
from .forecast import month_is_open, open_month, open_setup, open_supply
from .ledger_days import Days, data_days
from .ledger_time import MINUTE, MonthLedger, months, unite_month
from .management import management_outcome
from .modifiers import modifier_warnings, set_modifiers
from .rules import RULES_VERSION
from .setup_code import setup_outcome, setup_period
from .supply import no_window, supply_outcome, supply_windows, within
from .tables import NO_EDITS, Edits
from .visits import visit_outcomes


def evaluate(case: Mapping[str, object], *, edits: Edits = NO_EDITS) -> dict[str, object]:
    """Which lines the evidence of a case supports, which must wait for whom, what is missing for the others.

    Takes the JSON object of `docs/reference/billing-cases.md` and gives one back: `lines`, `not_billable`,
    `open`, `warnings`, `rules_version`. A pure function: no clock, no file, the same answer every time,
    whatever the order of the entries. Raises `CaseError` (a ValueError, one sentence that names the field)
    for a case that cannot be read. `edits`: NCCI pairs and MUE values, loaded by `tables`; none by default.
    """
    ctx = context(*decode_case(case))
    days = data_days(ctx)
    ledgers = months(ctx)
    outcomes: list[Outcome] = []
    unfinished: list[dict[str, object]] = []
    _supply(days, ctx, outcomes, unfinished)
    _setup(days, ctx, outcomes, unfinished)
    _management(days, ledgers, ctx, outcomes, unfinished)
    outcomes += visit_outcomes(ctx)
    lines: list[dict[str, Any]] = []
    missing: list[Missing] = []
    for outcome in outcomes:
        _decide(outcome, ctx, lines, missing)
    if edits is not NO_EDITS:
        hold_by_edits(lines, edits)
    lines.sort(key=lambda line: (line["service_date"], line["code"]))
    missing.sort(key=lambda item: (item.period, item.code))
    return {
        "lines": lines,
        "not_billable": [item.shown() for item in missing],
        "open": unfinished,
        "warnings": _warnings(days, ledgers, ctx),
        "rules_version": RULES_VERSION,
    }


def _supply(days: Days, ctx: Context, outcomes: list[Outcome], unfinished: list[dict[str, object]]) -> None:
    found = supply_windows(days, ctx)
    if not found:
        empty = no_window(days, ctx)
        outcomes += [empty] if empty else []
    for window in found:
        outcome = _with_doubt(days, window, supply_outcome, ctx)
        outcomes += [outcome] if outcome else []
        if window.last >= ctx.as_of:
            done = {line.code for line in outcome.lines} if outcome else set()
            unfinished += open_supply(window, days, done | _codes(ctx.sent_in(window)), ctx)


def _setup(days: Days, ctx: Context, outcomes: list[Outcome], unfinished: list[dict[str, object]]) -> None:
    period = setup_period(ctx)
    if period is None:
        return
    outcome = _with_doubt(days, period, setup_outcome, ctx)
    if outcome is None:
        if not sent_setups(ctx, period):
            unfinished += open_setup(period, days.every, ctx)
    else:
        outcomes.append(outcome)


def _management(
    days: Days,
    ledgers: Mapping[date, MonthLedger],
    ctx: Context,
    outcomes: list[Outcome],
    unfinished: list[dict[str, object]],
) -> None:
    month = month_of(ctx.case.episode.started)
    last = min(ctx.discharged or ctx.as_of, ctx.as_of)
    while month.first <= last:
        ledger = ledgers.get(month.first) or MonthLedger()
        if month_is_open(month, ctx):
            unfinished += open_month(month, ledger, _codes(ctx.sent_in(month)), ctx)
        else:
            clean = management_outcome(month, ledger, days.clean, ctx)
            doubts = {piece.doubt for piece in ledger.pieces if piece.doubt is not None}
            doubts |= {why for on in days.doubts if on in month for why in days.doubts[on]}
            if doubts:
                every = management_outcome(month, ledger, days.every, ctx, with_doubt=True)
                clean = _difference(clean, every, sorted(doubts))
            outcomes.append(clean)
        month = month_of(month.last + DAY)


def _codes(claims: Iterable[SentClaim]) -> set[str]:
    return {claim.code for claim in claims}


def _with_doubt(
    days: Days,
    period: Period,
    count: Callable[[Period, Sequence[date], Context], Outcome | None],
    ctx: Context,
) -> Outcome | None:
    """What stands on clean days; what only the doubtful add is held."""
    clean = count(period, days.clean, ctx)
    doubts = {why for on in within(days.every, period) for why in days.doubts.get(on, ())}
    if not doubts:
        return clean
    every = count(period, days.every, ctx)
    if every is None:
        return clean
    return _difference(clean, every, sorted(doubts))


def _difference(clean: Outcome | None, every: Outcome, doubts: list[str]) -> Outcome:
    stands = {line.code: line for line in clean.lines} if clean is not None else {}
    rivals = sorted(stands.keys() - {line.code for line in every.lines})  # an add-on stands beside its base
    added = []
    for line in every.lines:
        same = stands.get(line.code)
        if same is None:
            if rivals:
                line.evidence["instead_of"] = rivals
                line.reasons += [f"instead of {rival}, never beside it" for rival in rivals]
        elif line.units > same.units:
            line.units -= same.units
        else:
            continue
        line.holds += [f"rests on doubtful evidence: {why}" for why in doubts]
        added.append(line)
    lines = [*stands.values(), *added]
    return Outcome(lines, clean.missing if clean is not None and not lines else [])


def _decide(outcome: Outcome, ctx: Context, lines: list[dict[str, Any]], missing: list[Missing]) -> None:
    missing += outcome.missing
    kept, sent = against_sent(outcome, ctx)
    missing += sent
    for line in kept:
        why = refused(line, ctx)
        if why is not None:
            missing.append(Missing(line.code, line.period, why))
            continue
        set_modifiers(line, ctx)
        line.holds += hold_reasons(line, ctx)
        lines.append(_shown(line, ctx))


def _shown(line: Candidate, ctx: Context) -> dict[str, Any]:
    decision = "hold" if line.holds else "replace" if line.replaces is not None else "bill"
    shown: dict[str, Any] = {
        "code": line.code,
        "units": line.units,
        "modifiers": line.modifiers,
        "service_date": line.service_date.isoformat(),
        "period": line.period.shown(),
        "decision": decision,
        "reasons": [*line.holds, *line.reasons],
        "evidence": line.evidence,
    }
    if line.replaces is not None:
        correction: str = ctx.profile.correction
        if "correction" in ctx.settings.given:
            correction = ctx.settings.text("correction", line.service_date)
        shown["replaces"] = line.replaces
        shown["correction"] = correction
        line.reasons.append(f"replaces what was sent as {line.replaces}, by {correction}")
        shown["reasons"] = [*line.holds, *line.reasons]
    return shown


def _warnings(days: Days, ledgers: Mapping[date, MonthLedger], ctx: Context) -> list[str]:
    warnings = []
    if ctx.case.episode.device_basis is None:
        warnings.append("device_basis is not given: taken as attested")
    if not ctx.case.episode.consent:
        warnings.append("no consent is given: no day and no minute counts")
    for first in sorted(ledgers):
        overlapped = unite_month(ledgers[first], with_doubt=True).overlapped
        if overlapped:
            warnings.append(
                f"time entries of {first:%Y-%m} overlap by {overlapped / MINUTE:g} minutes: united"
            )
    seen_in_person = {
        entry.start.astimezone(ctx.clinic).date()
        for entry in ctx.case.management
        if entry.contact == "in_person" and not entry.billed_elsewhere
    }
    both = seen_in_person & {visit.on for visit in ctx.case.visits if visit.start is None}
    warnings += [
        f"{on}: a contact in person on the day of a visit; was it part of it?" for on in sorted(both)
    ]
    for why, number in days.excluded.items():
        warnings.append(f"{number} {'date does' if number == 1 else 'dates do'} not count: {why}")
    return warnings + modifier_warnings(ctx) + other_service_warnings(ctx)
