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
_EPISODE, _WINDOW, _MONTH = (
    "once per episode of care",
    "once per window of 30 dates",
    "once per calendar month",
)

RULES: tuple[Rule, ...] = (
    Rule(
        code="98975", kind="setup", first=_2022, last=_END_2025, unit="days", low=16,
        words="set-up and patient education", often=_EPISODE, source=PFS_2022, confidence="H",
    ),
    Rule(
        code="98975", kind="setup", first=_2026, unit="days", low=2,
        words="set-up and patient education", often=_EPISODE, source=PFS_2026, confidence="M-H",
    ),
    Rule(
        code="98976", kind="supply", organ_system="respiratory", first=_2022, last=_END_2025,
        unit="days", low=16, high=30,
        words="device supply, respiratory, 16 to 30 days", often=_WINDOW, source=PFS_2022, confidence="H",
    ),
    Rule(
        code="98976", kind="supply", organ_system="respiratory", first=_2026, unit="days", low=16, high=30,
        words="device supply, respiratory, 16 to 30 days", often=_WINDOW, source=PFS_2026, confidence="H",
    ),
    Rule(
        code="98984", kind="supply", organ_system="respiratory", first=_2026, unit="days", low=2, high=15,
        words="device supply, respiratory, 2 to 15 days", often=f"{_WINDOW}, never with 98976",
        source=PFS_2026, confidence="H",
    ),
    Rule(
        code="98977", kind="supply", organ_system="musculoskeletal", first=_2022, last=_END_2025,
        unit="days", low=16, high=30,
        words="device supply, musculoskeletal, 16 to 30 days", often=_WINDOW, source=PFS_2022, confidence="H",
    ),
    Rule(
        code="98977", kind="supply", organ_system="musculoskeletal", first=_2026, unit="days", low=16, high=30,
        words="device supply, musculoskeletal, 16 to 30 days", often=_WINDOW, source=PFS_2026, confidence="H",
    ),
    Rule(
        code="98985", kind="supply", organ_system="musculoskeletal", first=_2026, unit="days", low=2, high=15,
        words="device supply, musculoskeletal, 2 to 15 days", often=f"{_WINDOW}, never with 98977",
        source=PFS_2026, confidence="H",
    ),
    Rule(
        code="98978", kind="supply", organ_system="cognitive_behavioral", first=_2023, last=_END_2025,
        unit="days", low=16, high=30,
        words="device supply, cognitive behavioral, 16 to 30 days", often=_WINDOW, source=PFS_2023,
        confidence="H",
    ),
    Rule(
        code="98978", kind="supply", organ_system="cognitive_behavioral", first=_2026,
        unit="days", low=16, high=30,
        words="device supply, cognitive behavioral, 16 to 30 days", often=_WINDOW, source=PFS_2026,
        confidence="H",
    ),
    Rule(
        code="98986", kind="supply", organ_system="cognitive_behavioral", first=_2026,
        unit="days", low=2, high=15,
        words="device supply, cognitive behavioral, 2 to 15 days", often=f"{_WINDOW}, never with 98978",
        source=PFS_2026, confidence="H",
    ),
    Rule(
        code="98979", kind="management", first=_2026, unit="minutes", low=10, high=19,
        words="management, first 10 minutes of the month", often=f"{_MONTH}, never with 98980 or 98981",
        source=PFS_2026, confidence="H",
    ),
    Rule(
        code="98980", kind="management", first=_2022, unit="minutes", low=20,
        words="management, first 20 minutes of the month", often=_MONTH, source=PFS_2022, confidence="H",
    ),
    Rule(
        code="98981", kind="management", first=_2022, unit="minutes", low=40, step=20,
        words="management, each full 20 minutes more", often="per full 20 minutes, beside 98980",
        source=PFS_2022, confidence="H",
    ),
)  # fmt: skip
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
