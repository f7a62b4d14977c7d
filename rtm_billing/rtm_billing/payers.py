"""Payer profiles: which codes by whose dates, how a sent claim is corrected, how long a claim may wait."""

from collections.abc import Collection
from datetime import date, timedelta
from typing import Literal

import msgspec

from .case import Payer
from .dates import one_year_after
from .errors import CaseError
from .rules import Kind, OrganSystem, Rule, rules_on
from .text import short

Correction = Literal["reopening", "replacement"]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a payer does differently.

    `rules_as_of`: the codes of that date still hold later. `covered`: RTM codes paid, None = all.
    `filing`: "year" = one calendar year from the date of service, a number = days, None = not known here.
    `therapy_threshold`: whether KX and the annual therapy threshold exist for this payer.
    """

    name: str
    words: str
    rules_as_of: date | None = None
    covered: Collection[str] | None = None
    correction: Correction = "replacement"
    filing: Literal["year"] | int | None = None
    therapy_threshold: bool = False

    def rules(self, kind: Kind, organ_system: OrganSystem | None, on: date) -> tuple[Rule, ...]:
        """The rules this payer applies to a date of service, lowest threshold first."""
        at = on if self.rules_as_of is None else min(on, self.rules_as_of)
        return rules_on(kind, organ_system, at)

    def covers(self, code: str) -> bool:
        """Whether the payer pays an RTM code at all."""
        return self.covered is None or code in self.covered

    def last_filing_date(self, service_date: date) -> date | None:
        """The last date on which a claim may still be filed; None when not known."""
        if self.filing is None:
            return None
        if self.filing == "year":
            return one_year_after(service_date)
        return service_date + timedelta(days=self.filing)


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="medicare",
            words="Medicare Part B: one calendar year to file, corrections by reopening",
            correction="reopening",
            filing="year",
            therapy_threshold=True,
        ),
        Profile(name="commercial", words="a commercial plan on the codes of the date of service"),
        Profile(
            name="commercial_2025",
            words="a commercial plan still on the codes of 2025: no short supply, no 98979",
            rules_as_of=date(2025, 12, 31),
        ),
        Profile(name="none_covered", words="a payer that covers no RTM code", covered=()),
        Profile(name="custom", words="as the case describes it"),
    )
}


# a field of the profile, and the field of a case's payer that stands over it
SAID_BY_THE_CASE = {
    "rules_as_of": "rules_as_of",
    "covered": "covered",
    "correction": "correction",
    "filing": "timely_filing_days",
    "therapy_threshold": "therapy_threshold",
}


def profile_of(payer: Payer) -> Profile:
    """The profile of a case: the named one, with what the case itself says about the payer."""
    base = PROFILES.get(payer.profile)
    if base is None:
        raise CaseError(f"payer.profile: {short(payer.profile)} is not one of {', '.join(PROFILES)}")
    given = {field: getattr(payer, said) for field, said in SAID_BY_THE_CASE.items()}
    return msgspec.structs.replace(base, **{field: said for field, said in given.items() if said is not None})
