"""A case with what is derived from it once: zones, the instant of `as_of`, the dates that may count."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from .case import Case, OtherService, Range, SentClaim
from .dates import Period, midnight, zone
from .payers import Profile, profile_of
from .settings import Settings
from .spans import Span, covers, unite


@dataclass(frozen=True, slots=True)
class Context:
    """A case with what is derived from it once: zones, the instant of `as_of`, the dates that may count."""

    case: Case
    settings: Settings
    profile: Profile
    clinic: ZoneInfo
    patient: ZoneInfo
    as_of: date
    as_of_instant: int
    therapist_billed: bool
    discharged: date | None
    consent: list[Span]  # ordinals of dates, half-open
    plan: list[Span]
    sent: Mapping[date, list[SentClaim]]  # by service date
    others: tuple[tuple[Period, OtherService], ...]  # each once, those that had begun before `as_of`

    def eligible(self, on: date) -> str | None:
        """Why a date cannot count (None = it can): outside the episode or outside consent."""
        if on < self.case.episode.started:
            return "before the episode"
        if self.discharged is not None and on > self.discharged:
            return "after discharge"
        day = on.toordinal()
        return None if covers(self.consent, (day, day + 1)) else "outside consent"

    def plan_covers(self, first: date, last: date) -> bool:
        """Whether one unbroken plan of care covers every date from first to last."""
        return covers(self.plan, (first.toordinal(), last.toordinal() + 1))

    def sent_in(self, period: Period) -> list[SentClaim]:
        """The claims already sent with a service date in a period, in a fixed order."""
        if not self.sent:
            return []
        dates = map(date.fromordinal, range(period.first.toordinal(), period.last.toordinal() + 1))
        return [claim for on in dates for claim in self.sent.get(on, ())]

    def therapy_spend(self, on: date) -> Decimal:
        """The therapy spend of the calendar year up to and including a date, nothing on or after `as_of`."""
        return Decimal(
            sum(
                item.amount
                for item in self.case.therapy_spend
                if item.on.year == on.year and item.on <= on and item.on < self.as_of
            )
        )


def context(case: Case, settings: Settings) -> Context:
    """Derive the context of a decoded case."""
    episode = case.episode
    clinic = zone(case.practice.timezone)
    therapist_billed = episode.therapist_billed
    if therapist_billed is None:
        therapist_billed = episode.discipline != "none"
    known_discharge = episode.discharged if episode.discharged and episode.discharged < case.as_of else None
    return Context(
        case=case,
        settings=settings,
        profile=profile_of(case.payer),
        clinic=clinic,
        patient=zone(case.patient.timezone) if case.patient.timezone else clinic,
        as_of=case.as_of,
        as_of_instant=midnight(case.as_of, clinic),
        therapist_billed=therapist_billed,
        discharged=known_discharge,
        consent=_date_spans(episode.consent),
        plan=_date_spans(episode.plan_of_care),
        sent=_by_date(case.claims_sent),
        others=tuple(
            sorted(
                ((item.period, item) for item in set(case.other_services) if item.period.first < case.as_of),
                key=lambda pair: pair[0],
            )
        ),
    )


def _by_date(claims: Iterable[SentClaim]) -> dict[date, list[SentClaim]]:
    found: dict[date, list[SentClaim]] = {}
    for claim in sorted(set(claims), key=lambda claim: (claim.service_date, claim.code, claim.claim_id)):
        found.setdefault(claim.service_date, []).append(claim)
    return found


def _date_spans(ranges: Iterable[Range]) -> list[Span]:
    return unite((item.period.first.toordinal(), item.period.last.toordinal() + 1) for item in ranges)
