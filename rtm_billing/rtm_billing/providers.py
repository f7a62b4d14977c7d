"""Who may bill RTM in their own name, and under whose supervision others may do the work.

Data with dates, like the codes: a change is a new row. Medium confidence where no government text is named.
"""

from datetime import date
from typing import Literal

import msgspec

ProviderKind = Literal[
    "physician", "nurse_practitioner", "physician_assistant", "clinical_nurse_specialist", "psychologist",
    "clinical_social_worker", "physical_therapist", "occupational_therapist", "speech_language_pathologist",
    "physical_therapist_assistant", "occupational_therapy_assistant", "clinical_staff", "unlicensed",
]  # fmt: skip
Supervision = Literal["none", "general", "direct", "not_allowed"]

_2022, _2024 = date(2022, 1, 1), date(2024, 1, 1)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind of provider may do from a date on: bill in their own name, or work under supervision."""

    kind: ProviderKind
    first: date
    may_bill: bool
    supervision: Supervision
    source: str


_BILLS = "CMS physician fee schedule final rule 2022 (86 FR 64996): physicians, other qualified, therapists"
_PRIVATE_PRACTICE = "42 CFR 410.59 and 410.60: therapists in private practice, before 2024"
_GENERAL = "CMS physician fee schedule final rule 2024: general supervision of assistants for RTM"
_BILLERS: tuple[ProviderKind, ...] = (
    "physician", "nurse_practitioner", "physician_assistant", "clinical_nurse_specialist", "psychologist",
    "clinical_social_worker", "physical_therapist", "occupational_therapist", "speech_language_pathologist",
)  # fmt: skip
_ASSISTANTS: tuple[ProviderKind, ...] = ("physical_therapist_assistant", "occupational_therapy_assistant")
STANDINGS: tuple[Standing, ...] = (
    *(
        Standing(kind=kind, first=_2022, may_bill=True, supervision="none", source=_BILLS)
        for kind in _BILLERS
    ),
    *(
        Standing(kind=kind, first=_2022, may_bill=False, supervision="direct", source=_PRIVATE_PRACTICE)
        for kind in _ASSISTANTS
    ),
    *(
        Standing(kind=kind, first=_2024, may_bill=False, supervision="general", source=_GENERAL)
        for kind in _ASSISTANTS
    ),
    Standing(
        kind="clinical_staff",
        first=_2022,
        may_bill=False,
        supervision="general",
        source="incident to a physician's service; a therapist has no incident-to staff (medium confidence)",
    ),
    Standing(
        kind="unlicensed",
        first=_2022,
        may_bill=False,
        supervision="not_allowed",
        source="minutes and contacts of unlicensed persons do not count",
    ),
)


def standing(kind: ProviderKind, on: date) -> Standing | None:
    """The standing in force on a date; None before RTM existed."""
    found = [item for item in STANDINGS if item.kind == kind and item.first <= on]
    return max(found, key=lambda item: item.first, default=None)


def who_may_bill(kind: ProviderKind, on: date) -> bool:
    """Whether the kind may be the rendering provider of an RTM line on a date."""
    found = standing(kind, on)
    return found is not None and found.may_bill
