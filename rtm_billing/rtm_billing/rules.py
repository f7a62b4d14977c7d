"""The RTM codes as data: what each needs, from when, and who says so.

A change of the rules is a new row here (and a test), never a new branch: rows that have ended stay, so a past
month evaluated again gives what it gave. Code numbers are CPT's; the words are ours.
"""

from datetime import date
from functools import lru_cache
from typing import Literal

import msgspec

RULES_VERSION = "2026.2"
VERIFIED_THROUGH = date(2026, 12, 31)

Kind = Literal["setup", "supply", "management"]
OrganSystem = Literal["musculoskeletal", "respiratory", "cognitive_behavioral"]

PFS_2022 = "CMS physician fee schedule final rule 2022 (86 FR 64996)"
PFS_2023 = "CMS physician fee schedule final rule 2023 (87 FR 69404)"
PFS_2026 = "CMS physician fee schedule final rule 2026"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One code in one span of service dates: billable when `low <= count <= high` of `unit` in its period.

    `step`: an add-on is billed once per `step` beyond the base code's threshold; `low` is where its first
    unit is full. `confidence`: H = a government or contractor page, or three independent sources; M = one or
    two firms or vendors; L = weak.
    """

    code: str
    words: str
    kind: Kind
    organ_system: OrganSystem | None = None
    first: date
    last: date | None = None
    unit: Literal["days", "minutes"]
    low: int
    high: int | None = None
    step: int | None = None
    often: str
    source: str
    confidence: Literal["H", "M", "M-H", "L"]
    verified_through: date = VERIFIED_THROUGH


_2022, _2023, _2026, _END_2025 = date(2022, 1, 1), date(2023, 1, 1), date(2026, 1, 1), date(2025, 12, 31)
_WINDOW = "once per window of 30 dates"
_SUPPLY: tuple[tuple[OrganSystem, str, str, date, str], ...] = (
    ("respiratory", "98976", "98984", _2022, PFS_2022),
    ("musculoskeletal", "98977", "98985", _2022, PFS_2022),
    ("cognitive_behavioral", "98978", "98986", _2023, PFS_2023),
)


def _supply_rules() -> list[Rule]:
    rows = []
    for organ_system, long_code, short_code, first, source in _SUPPLY:
        words = f"device supply, {organ_system.replace('_', ' ')}"
        long_rule = Rule(
            code=long_code,
            words=f"{words}, 16 to 30 days",
            kind="supply",
            organ_system=organ_system,
            first=first,
            last=_END_2025,
            unit="days",
            low=16,
            high=30,
            often=_WINDOW,
            source=source,
            confidence="H",
        )
        rows += [
            long_rule,
            msgspec.structs.replace(long_rule, first=_2026, last=None, source=PFS_2026),
            msgspec.structs.replace(
                long_rule,
                code=short_code,
                words=f"{words}, 2 to 15 days",
                first=_2026,
                last=None,
                low=2,
                high=15,
                often=f"{_WINDOW}, never with {long_code}",
                source=PFS_2026,
            ),
        ]
    return rows


def _setup_rules() -> list[Rule]:
    before = Rule(
        code="98975",
        words="set-up and patient education",
        kind="setup",
        first=_2022,
        last=_END_2025,
        unit="days",
        low=16,
        often="once per episode of care",
        source=PFS_2022,
        confidence="H",
    )
    return [
        before,
        msgspec.structs.replace(before, first=_2026, last=None, low=2, source=PFS_2026, confidence="M-H"),
    ]


def _management_rules() -> list[Rule]:
    first_20 = Rule(
        code="98980",
        words="management, first 20 minutes of the month",
        kind="management",
        first=_2022,
        unit="minutes",
        low=20,
        often="once per calendar month",
        source=PFS_2022,
        confidence="H",
    )
    return [
        msgspec.structs.replace(
            first_20,
            code="98979",
            words="management, first 10 minutes of the month",
            first=_2026,
            low=10,
            high=19,
            often="once per calendar month, never with 98980 or 98981",
            source=PFS_2026,
        ),
        first_20,
        msgspec.structs.replace(
            first_20,
            code="98981",
            words="management, each full 20 minutes more",
            low=40,
            step=20,
            often="per full 20 minutes, beside 98980",
        ),
    ]


RULES: tuple[Rule, ...] = (*_setup_rules(), *_supply_rules(), *_management_rules())
RTM_CODES: frozenset[str] = frozenset(rule.code for rule in RULES)
SUPPLY_CODES: frozenset[str] = frozenset(rule.code for rule in RULES if rule.kind == "supply")
MANAGEMENT_CODES: frozenset[str] = frozenset(rule.code for rule in RULES if rule.kind == "management")


@lru_cache(maxsize=16384)
def rules_on(kind: Kind, organ_system: OrganSystem | None, on: date) -> tuple[Rule, ...]:
    """The rules in force on a date of service, lowest threshold first; empty where there were no codes."""
    return tuple(
        sorted(
            (
                rule
                for rule in RULES
                if rule.kind == kind
                and rule.organ_system in (None, organ_system)
                and rule.first <= on
                and (rule.last is None or on <= rule.last)
            ),
            key=lambda rule: rule.low,
        )
    )


def rule_for(rules: tuple[Rule, ...], count: int) -> Rule | None:
    """The rule whose range holds the count, add-ons aside."""
    for rule in rules:
        if rule.step is None and rule.low <= count and (rule.high is None or count <= rule.high):
            return rule
    return None
