"""The reference page of the rules, written from the data itself: `python -m rtm_billing.page`."""

import sys
from collections.abc import Iterable

from .claim_checks import NEVER_TOGETHER
from .kit import WORKED, Worked
from .modifiers import ASSISTANT, THERAPY, THERAPY_THRESHOLD
from .payers import PROFILES, Profile
from .providers import STANDINGS, Standing
from .rules import RULES, RULES_VERSION, VERIFIED_THROUGH, Rule
from .settings import settings_table
from .tables import DEMO_FEES_2026

HEAD = f"""# Billing rules

Generated from the data of `rtm_billing` by `python -m rtm_billing.page`; do not edit. Rules version
{RULES_VERSION}, verified through {VERIFIED_THROUGH}: a later date of service is held. Not legal advice.
Confidence: H = a government or Medicare-contractor page, or three independent sources; M = one or two law
firms or vendors; L = weak. Code numbers are CPT's (American Medical Association); the words are ours.
"""


_SETTING_HEADS = ("name", "default", "positions", "what", "source")
_WHO_HEADS = ("kind", "from", "in their own name", "supervision", "source")
_PAYER_HEADS = ("name", "what", "codes of", "correction", "filing")
_FEES = "Expected payment 2026, national, non-facility (for the demo only)"


def rules_page() -> str:
    """The page as Markdown."""
    rules = sorted(RULES, key=lambda rule: (rule.code, rule.first))
    twins = "; ".join(f"{one} with {other}" for one, other in sorted(NEVER_TOGETHER))
    heads = ("code", "what", "from", "to", "needs", "how often", "source", "confidence")
    modifiers = [(name, code, ASSISTANT.get(name, "none")) for name, code in THERAPY.items()]
    assistant = "more than 10 % by an assistant, never on supply"
    return "\n".join(
        (
            HEAD,
            _table("Codes", heads, map(_rule, rules)),
            f"Never in one window or month: {twins}.\n",
            _table("Settings", _SETTING_HEADS, map(_setting, settings_table())),
            _table("Payer profiles", _PAYER_HEADS, map(_payer, PROFILES.values())),
            _table("Modifiers of what a therapist bills", ("discipline", "always", assistant), modifiers),
            _table("KX: annual therapy threshold", ("year", "US dollars"), THERAPY_THRESHOLD.items()),
            _table(
                "Who may bill",
                ("kind", "from", "in their own name", "supervision", "source"),
                map(_who, STANDINGS),
            ),
            _table(_FEES, ("code", "US dollars"), DEMO_FEES_2026.items()),
        )
    )


def _table(title: str, heads: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [f"## {title}", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([*lines, ""])


def _setting(row: dict[str, object]) -> tuple[object, ...]:
    return f"`{row['name']}`", _value(row["default"]), _positions(row["values"]), row["what"], row["source"]


def _who(item: Standing) -> tuple[object, ...]:
    bills = "yes" if item.may_bill else "no"
    return item.kind.replace("_", " "), item.first, bills, item.supervision.replace("_", " "), item.source


def _rule(rule: Rule) -> tuple[object, ...]:
    if rule.step is not None:
        need = f"each full {rule.step} {rule.unit} from {rule.low} on"
    elif rule.high is None:
        need = f"{rule.low} {rule.unit} or more"
    else:
        need = f"{rule.low} to {rule.high} {rule.unit}"
    return rule.code, rule.words, rule.first, rule.last or "", need, rule.often, rule.source, rule.confidence


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _positions(values: object) -> str:
    return "; ".join(map(_value, values)) if isinstance(values, list) else str(values)


def _payer(profile: Profile) -> tuple[object, ...]:
    filing = f"{profile.filing} days"
    if not isinstance(profile.filing, int):
        filing = "one calendar year" if profile.filing == "year" else "not known here"
    codes = profile.rules_as_of or "the date of service"
    return profile.name, profile.words, codes, profile.correction, filing


def cases_page() -> str:
    """The list of the worked cases as Markdown, for the end of the page on cases."""
    rows = [(worked.name, worked.says, _answer(worked)) for worked in WORKED]
    return _table("Worked cases", ("name", "the sentence", "the lines"), rows)


def _answer(worked: Worked) -> str:
    if "error" in worked.expect:
        return "refused"
    lines = [
        f"{line['code']}{'' if line['units'] == 1 else ' x ' + str(line['units'])} {line['decision']}"
        f"{''.join(' ' + modifier for modifier in line['modifiers'])}"
        for line in worked.expect["lines"]
    ]
    return "; ".join(lines) or "none"


if __name__ == "__main__":
    print(cases_page() if "--cases" in sys.argv else rules_page(), end="")
