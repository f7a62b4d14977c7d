"""What the codes in force ask for: read from the rules, so that a page and a claim line never disagree."""

from __future__ import annotations

from datetime import date

from rtm_billing.rules import OrganSystem, rules_on


def supply_need(organ_system: OrganSystem, on: date) -> tuple[str, int]:
    """(code, data days) of the device supply that asks for most; ("", 0) where no rule is in force."""
    rules = rules_on("supply", organ_system, on)
    return (rules[-1].code, rules[-1].low) if rules else ("", 0)


def management_needs(on: date) -> tuple[tuple[str, int], ...]:
    """(code, minutes) of each management code, fewest minutes first."""
    return tuple((rule.code, rule.low) for rule in rules_on("management", None, on))


def management_need(on: date) -> int:
    """Minutes of the base code, beside which add-ons stand."""
    return next((rule.low for rule in rules_on("management", None, on) if rule.high is None), 0)
