"""What may stand in the way of a line: payer, other services, claims sent, filing limits, plan, device."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from .candidate import Candidate, Missing, Outcome
from .case import OtherService, SentClaim
from .context import Context
from .dates import Period
from .known_codes import CARE_MANAGEMENT, IN_CLINIC, RPM
from .rules import RTM_CODES, RULES, SUPPLY_CODES
from .tables import Edits
from .text import counted

KNOWN = RPM | CARE_MANAGEMENT | IN_CLINIC | RTM_CODES
_SHORT = frozenset(rule.code for rule in RULES if rule.kind == "supply" and rule.low == 2)


def refused(line: Candidate, ctx: Context) -> str | None:
    """Why a line is not billable although its days or minutes are there; None when nothing forbids it."""
    if line.code in RTM_CODES:
        if not ctx.profile.covers(line.code):
            return f"the payer ({ctx.profile.name}) does not cover {line.code}"
        for _, other in _overlapping(line.period, ctx):
            if other.kind == "global_surgery" and other.same_practitioner and other.related:
                return (
                    f"lies in the global surgical period from {other.period.first} to {other.period.last} "
                    f"of the same practitioner and is related to it"
                )
    limit = ctx.profile.last_filing_date(line.service_date)
    if limit is not None and limit < ctx.as_of:
        return f"too late to file: the last date for a service of {line.service_date} was {limit}"
    return None


def hold_reasons(line: Candidate, ctx: Context) -> list[str]:
    """What somebody must decide before a line may be billed."""
    holds = []
    if line.service_date > line.verified_through:
        holds.append(f"rules not verified for this date: known through {line.verified_through}")
    first, last = min(line.first_counted, line.service_date), max(line.first_counted, line.service_date)
    if ctx.therapist_billed and not ctx.plan_covers(first, last):
        holds.append(f"no therapy plan of care covers {first} to {last}")
    if line.code in RTM_CODES:
        if ctx.case.episode.device_basis is False and (line.code in SUPPLY_CODES or line.code == "98975"):
            holds.append("the basis on which the device meets the FDA definition is not recorded")
        holds += _other_services(line, ctx)
    return holds


def _overlapping(period: Period, ctx: Context) -> Iterable[tuple[Period, OtherService]]:
    return (pair for pair in ctx.others if period.meets(pair[0]))


def _other_services(line: Candidate, ctx: Context) -> list[str]:
    holds = set()
    for period, other in _overlapping(line.period, ctx):
        dates = f"from {period.first} to {period.last}"
        if other.kind == "global_surgery":
            if None in (other.same_practitioner, other.related) and False not in (
                other.same_practitioner,
                other.related,
            ):
                holds.add(
                    f"a global surgical period {dates}: say whether it is the same practitioner's and related"
                )
        elif other.code in RPM:
            holds.add(
                f"remote physiologic monitoring {other.code} {dates}: not both for one patient in one period"
            )
        elif other.code in RTM_CODES and other.same_practitioner is not True:
            holds.add(f"remote therapeutic monitoring {other.code} by another practitioner {dates}")
    return sorted(holds)


def other_service_warnings(ctx: Context) -> list[str]:
    """Codes among the other services and claims whose effect is not known, or that belong elsewhere."""
    warnings = set()
    for other in ctx.case.other_services:
        if other.kind == "code" and other.code in RTM_CODES and other.same_practitioner:
            warnings.add(f"other service {other.code} is this practitioner's own: list it under claims_sent")
        elif other.kind == "code" and other.code not in KNOWN:
            warnings.add(f"other service {other.code}: unknown code, its effect on these lines is not known")
    for claim in ctx.case.claims_sent:
        if claim.code not in RTM_CODES | IN_CLINIC:
            warnings.add(f"claim sent {claim.claim_id}: {claim.code} is an unknown code")
    return sorted(warnings)


def against_sent(outcome: Outcome, ctx: Context) -> tuple[list[Candidate], list[Missing]]:
    """The lines that may still be sent, with `replaces` set, and those that were."""
    lines: list[Candidate] = []
    missing: list[Missing] = []
    for line in outcome.lines:
        sent = sent_setups(ctx, line.period) if line.code == "98975" else ctx.sent_in(line.period)
        by_code = {claim.code: claim for claim in reversed(sent)}
        same = by_code.get(line.code)
        if same is not None:
            why = f"already sent as {same.claim_id}"
            if line.code in {each.code for each in missing}:  # what only doubts add to the line
                why += f"; {counted(line.units, 'more unit')} would rest on doubtful evidence"
            missing.append(Missing(line.code, line.period, why))
            continue
        rival = _rival(line.code, by_code)
        if rival is not None and not _outgrows(line.code, rival.code):
            missing.append(
                Missing(
                    line.code,
                    line.period,
                    f"{rival.code} already sent as {rival.claim_id} for the same period, never both",
                )
            )
            continue
        line.replaces = rival.claim_id if rival is not None else None
        lines.append(line)
    return lines, missing


def sent_setups(ctx: Context, period: Period) -> list[SentClaim]:
    """The set-ups already sent in this episode of care."""
    start = min(ctx.case.episode.started, period.first)
    return [claim for on, sent in ctx.sent.items() if on >= start for claim in sent if claim.code == "98975"]


def _rival(code: str, sent: dict[str, SentClaim]) -> SentClaim | None:
    """A sent claim that excludes a code in the same window or month."""
    if code in SUPPLY_CODES:
        return next((sent[other] for other in sorted(SUPPLY_CODES & sent.keys())), None)
    if code in ("98980", "98981"):
        return sent.get("98979") if "98980" not in sent else None
    if code == "98979":
        return sent.get("98980") or sent.get("98981")
    return None


def _outgrows(code: str, sent_code: str) -> bool:
    """Whether more evidence turns the sent code into this: 98979 into 98980, short supply into its twin."""
    if sent_code == "98979":
        return code in ("98980", "98981")
    if sent_code in _SHORT and code not in _SHORT:
        organ = {rule.code: rule.organ_system for rule in RULES}
        return organ[sent_code] == organ[code]
    return False


def hold_by_edits(lines: list[dict[str, Any]], edits: Edits) -> None:
    """Hold lines above their most units, and the second of two codes that an edit keeps apart on one date."""
    for line in lines:
        most = edits.most_units.get(line["code"])
        if most is not None and line["units"] > most:
            _hold(line, f"{line['units']} units are more than the {most} of the loaded MUE table")
        for other in lines:
            if line["service_date"] == other["service_date"] and line["code"] != other["code"]:
                pair = edits.conflict(other["code"], line["code"], date.fromisoformat(line["service_date"]))
                if pair is not None and pair.second == line["code"]:
                    how = "a modifier may allow it" if pair.modifier else "no modifier allows it"
                    _hold(line, f"the loaded NCCI table does not pay it beside {pair.first}: {how}")


def _hold(line: dict[str, Any], why: str) -> None:
    line["decision"] = "hold"
    line["reasons"] = [why, *line["reasons"]]
