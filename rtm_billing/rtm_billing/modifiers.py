"""Modifiers: therapy discipline, assistant, and the annual therapy threshold."""

from collections.abc import Iterator
from decimal import Decimal

from .candidate import Candidate
from .context import Context
from .providers import ProviderKind, standing
from .rules import SUPPLY_CODES

THERAPY = {"PT": "GP", "OT": "GO", "SLP": "GN"}
ASSISTANT = {"PT": "CQ", "OT": "CO"}  # speech-language pathology has none
ASSISTANT_KIND: dict[str, ProviderKind] = {
    "PT": "physical_therapist_assistant",
    "OT": "occupational_therapy_assistant",
}

# CMS, annual update of the per-beneficiary threshold amounts; 2026 on medium confidence
THERAPY_THRESHOLD = {2024: Decimal(2330), 2025: Decimal(2410), 2026: Decimal(2480)}


def set_modifiers(line: Candidate, ctx: Context) -> None:
    """Set a line's modifiers and say why. Only what a therapist bills carries any."""
    discipline = ctx.case.episode.discipline
    if not ctx.therapist_billed:
        return
    if discipline not in THERAPY:
        line.holds.append(
            "billed by a therapist but the discipline is none: the therapy modifier cannot be set"
        )
        return
    line.modifiers.append(THERAPY[discipline])
    if line.assistant and line.code not in SUPPLY_CODES and discipline in ASSISTANT:
        line.modifiers.append(ASSISTANT[discipline])
        line.reasons.append(f"{ASSISTANT[discipline]}: more than 10 % of the time by an assistant alone")
    threshold = THERAPY_THRESHOLD.get(line.service_date.year)
    if ctx.profile.therapy_threshold and threshold is not None:
        spent = ctx.therapy_spend(line.service_date)
        if spent > threshold:
            line.modifiers.append("KX")
            line.reasons.append(
                f"KX: therapy spend of the year {spent} is above the threshold of {threshold}"
            )


def modifier_warnings(ctx: Context) -> list[str]:
    """What the modifiers of a therapist's lines rest on and the case or the rules do not say."""
    if not ctx.therapist_billed:
        return []
    return sorted({*_spend_of_unknown_years(ctx), *_direct_supervision(ctx)})


def _spend_of_unknown_years(ctx: Context) -> Iterator[str]:
    for spend in ctx.case.therapy_spend if ctx.profile.therapy_threshold else ():
        if spend.on < ctx.as_of and spend.on.year not in THERAPY_THRESHOLD:
            yield f"therapy spend of {spend.on.year}: no annual threshold is known for that year, so no KX is set"


def _direct_supervision(ctx: Context) -> Iterator[str]:
    kind = ASSISTANT_KIND.get(ctx.case.episode.discipline)
    if kind is None:
        return
    for entry in ctx.case.management:
        on = entry.start.astimezone(ctx.clinic).date()
        found = standing(kind, on) if entry.role == "assistant" and on < ctx.as_of else None
        if found is not None and found.supervision == "direct":
            yield (
                f"an assistant's time of {on.year}: in private practice it needed direct supervision then, "
                f"which a case does not show"
            )
