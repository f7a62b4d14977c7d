"""The ledger of a case: which days and which minutes count, which do not and why, and which are in doubt.

Two clocks: data days are local dates of the patient, minutes belong to months of the clinic. Nothing is rounded here.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .case import Case, Datum, Range, TimeEntry
from .dates import DAY, END, Period, instant, local_date, midnight, month_of, zone
from .payers import Profile, profile_of
from .settings import Settings
from .spans import Span, clip, covers, length, subtract, unite

MINUTE = 60_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Context:
    """A case with everything derived from it once: zones, the instant of `as_of`, the dates that may count."""

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
    )


def _date_spans(ranges: Iterable[Range]) -> list[Span]:
    return unite((item.period.first.toordinal(), item.period.last.toordinal() + 1) for item in ranges)


# --- data days ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Days:
    """Counted data days, sorted. `clean` rest on no doubtful reading; `every` adds those that do."""

    clean: tuple[date, ...]
    every: tuple[date, ...]
    doubts: Mapping[date, tuple[str, ...]]
    excluded: Mapping[str, int]  # reason to number of distinct dates that only have readings so excluded


def data_days(ctx: Context) -> Days:
    """The data days of a case, each local date once."""
    clean: set[date] = set()
    doubtful: dict[date, set[str]] = {}
    excluded: dict[date, set[str]] = {}
    verdict: dict[date, str | None] = {}
    for item in ctx.case.data:
        on = _date_of(item, ctx)
        if on is None:
            continue
        if on not in verdict:
            verdict[on] = ctx.eligible(on)
        why = verdict[on] or _not_counted(item, on, ctx)
        if why:
            excluded.setdefault(on, set()).add(why)
        elif item.doubt is not None:
            doubtful.setdefault(on, set()).add(item.doubt)
        else:
            clean.add(on)
    doubts = {on: tuple(sorted(whys)) for on, whys in doubtful.items() if on not in clean}
    counted = clean | doubts.keys()
    reasons = Counter(why for on, whys in excluded.items() if on not in counted for why in whys)
    return Days(tuple(sorted(clean)), tuple(sorted(counted)), doubts, dict(sorted(reasons.items())))


def _date_of(item: Datum, ctx: Context) -> date | None:
    """The local date of a reading, None when it lies on or after `as_of`."""
    moment = item.at
    settings = ctx.settings
    if item.received_at is not None:
        measured = item.on or item.at.astimezone(ctx.clinic).date()  # type: ignore[union-attr]  # one of the two is there
        if settings.text("day_basis", measured) == "received":
            moment = item.received_at
    if moment is None:
        return item.on if item.on is not None and item.on < ctx.as_of else None
    if instant(moment) >= ctx.as_of_instant:
        return None
    home = zone(item.zone) if item.zone else ctx.patient
    on = moment.astimezone(home).date()
    if settings.text("day_zone", on) == "clinic":
        return moment.astimezone(ctx.clinic).date()
    return on


def _not_counted(item: Datum, on: date, ctx: Context) -> str | None:
    if item.kind == "test":
        return "a test"
    if item.kind == "access" and ctx.settings.text("access_days", on) == "ignore":
        return "only opened the app"
    if item.place == "clinic" and ctx.settings.text("clinic_recordings", on) == "ignore":
        return "in the clinic"
    return None


# --- minutes and contacts ----------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """A stretch of practitioner time inside one month."""

    start: int
    end: int
    assistant: bool
    doubt: str | None


class Contact(NamedTuple):
    """A live two-way contact, dated by the clinic's zone."""

    on: date
    channel: str
    doubt: str | None


@dataclass(slots=True)
class MonthLedger:
    """The counted pieces and contacts of one month, in no particular order."""

    pieces: list[Piece] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MonthTime:
    """The united time of a month, from the clean pieces or from all: microseconds, never rounded."""

    spans: list[Span]
    total: int
    only_assistants: int
    contacts: list[Contact]
    overlapped: int

    @property
    def minutes(self) -> int:
        """Whole minutes, floored once."""
        return self.total // MINUTE

    @property
    def assistant_share_above_tenth(self) -> bool:
        return 10 * self.only_assistants > self.total

    def reached(self, minutes: int) -> int:
        """The instant at which the running total reaches `minutes`."""
        need = minutes * MINUTE
        for start, end in self.spans:
            if need <= end - start:
                return start + need
            need -= end - start
        raise ValueError(minutes)


def unite_month(month: MonthLedger, *, with_doubt: bool) -> MonthTime:
    """Sum a month, without its doubtful items or with them."""
    pieces = [piece for piece in month.pieces if with_doubt or piece.doubt is None]
    spans = unite((piece.start, piece.end) for piece in pieces)
    total = length(spans)
    others = length(unite((piece.start, piece.end) for piece in pieces if not piece.assistant))
    contacts = sorted(
        (c for c in month.contacts if with_doubt or c.doubt is None),
        key=lambda c: (c.on, c.channel, c.doubt or ""),
    )
    overlapped = sum(piece.end - piece.start for piece in pieces) - total
    return MonthTime(spans, total, total - others, contacts, overlapped)


def months(ctx: Context) -> dict[date, MonthLedger]:
    """Every month with counted time or contact, by its first date."""
    allowed = _allowed(ctx)
    visits = unite((instant(v.start), instant(v.end)) for v in ctx.case.visits if v.start and v.end)
    taken = _taken(ctx.case.management, visits)
    found: dict[date, MonthLedger] = {}
    reaches_over = False
    for entry in ctx.case.management:
        if entry.idle or entry.billed_elsewhere or entry.role == "unlicensed":
            continue
        start, end = instant(entry.start), instant(entry.end)
        whole_entry = (start, max(end, start + 1))
        parts = clip(whole_entry, allowed)
        removed = taken.get(entry.by, visits)
        if removed:
            parts = subtract(parts, clip(whole_entry, removed))
        if not parts:
            continue
        doubt = _doubt(entry, ctx)
        for part in parts:
            on = local_date(part[0], ctx.clinic)
            whole = ctx.settings.text("month_split", on) == "start"
            while True:
                month = month_of(on)
                next_month = month.last + DAY
                boundary = midnight(next_month, ctx.clinic)
                if whole or part[1] <= boundary:
                    break
                _add(found, month.first, (part[0], boundary), entry, doubt, on, ctx)
                part = (boundary, part[1])  # noqa: PLW2901  # the rest goes on to the next month
                on = next_month
            if whole and part[1] > boundary:
                reaches_over = True
            span = (part[0], part[0]) if start == end else part
            _add(found, month.first, span, entry, doubt, on, ctx)
    if reaches_over:
        _count_once(found)
    return found


def _allowed(ctx: Context) -> list[Span]:
    """The instants at which time may count: consent and episode, up to `as_of`."""
    first = ctx.case.episode.started
    last = min(ctx.discharged or END, ctx.as_of - DAY)
    if last < first:
        return []
    dates = clip((first.toordinal(), last.toordinal() + 1), ctx.consent)
    return [
        (midnight(date.fromordinal(a), ctx.clinic), midnight(date.fromordinal(b), ctx.clinic))
        for a, b in dates
    ]


def _taken(entries: list[TimeEntry], visits: list[Span]) -> dict[str | None, list[Span]]:
    """Per person, the time that visits or another service have taken: it is not counted again."""
    taken: dict[str | None, list[Span]] = {}
    for entry in entries:
        if entry.billed_elsewhere and entry.by is not None:
            taken.setdefault(entry.by, list(visits)).append((instant(entry.start), instant(entry.end)))
    return {by: unite(spans) for by, spans in taken.items()}


def _doubt(entry: TimeEntry, ctx: Context) -> str | None:
    if entry.doubt is not None:
        return entry.doubt
    if entry.entered_at is not None:
        limit = ctx.settings.number("late_entry_days", entry.end.astimezone(ctx.clinic).date())
        if entry.entered_at - entry.end > timedelta(days=limit):
            return f"time entered more than {limit} days after its end: needs a reason and an approver"
    return None


def _add(
    found: dict[date, MonthLedger],
    month: date,
    span: Span,
    entry: TimeEntry,
    doubt: str | None,
    on: date,
    ctx: Context,
) -> None:
    ledger = found.get(month)
    if ledger is None:
        ledger = found[month] = MonthLedger()
    ledger.pieces.append(Piece(span[0], span[1], entry.role == "assistant", doubt))
    if entry.contact is not None and entry.contact in ctx.settings.channels(on):
        ledger.contacts.append(Contact(on, entry.contact, doubt))


def _count_once(found: dict[date, MonthLedger]) -> None:
    """Entries that stay whole in the month they start in reach into the next: there that time is not counted again."""
    for with_doubt in (False, True):
        reach = 0
        for first in sorted(found):
            ledger = found[first]
            ledger.pieces = [
                piece._replace(start=min(max(piece.start, reach), piece.end))
                if with_doubt == (piece.doubt is not None)
                else piece
                for piece in ledger.pieces
            ]
            reach = max([reach, *(p.end for p in ledger.pieces if with_doubt or p.doubt is None)])


def windows(anchor: date, ctx: Context) -> list[Period]:
    """30 dates each, back to back, up to the one that holds the discharge or `as_of`."""
    last = ctx.discharged if ctx.discharged is not None else ctx.as_of
    found = []
    first = anchor
    while first <= last:
        found.append(Period(first, first + 29 * DAY))
        first += 30 * DAY
    return found
