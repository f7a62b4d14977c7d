"""Modifiers: therapy discipline, assistant, and the annual therapy threshold."""

from decimal import Decimal

from .candidate import Candidate
from .context import Context
from .rules import SUPPLY_CODES

THERAPY = {"PT": "GP", "OT": "GO", "SLP": "GN"}
ASSISTANT = {"PT": "CQ", "OT": "CO"}  # speech-language pathology has none

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
