"""Practitioner time and live contacts by the clinic's month: united, never rounded, doubtful items apart."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

from .case import TimeEntry
from .context import Context
from .dates import DAY, END, instant, local_date, midnight, month_of
from .spans import Span, clip, length, subtract, unite

MINUTE = 60_000_000  # microseconds


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


def unite_month(month: MonthLedger, *, with_doubt: bool = False) -> MonthTime:
    """Sum a month, without its doubtful items or with them."""
    pieces = [piece for piece in month.pieces if with_doubt or piece.doubt is None]
    spans = unite((piece.start, piece.end) for piece in pieces)
    total = length(spans)
    others = length(unite((piece.start, piece.end) for piece in pieces if not piece.assistant))
    contacts = sorted(
        (c for c in month.contacts if with_doubt or c.doubt is None),
        key=lambda c: (c.on, c.channel),
    )
    overlapped = sum(piece.end - piece.start for piece in pieces) - total
    return MonthTime(spans, total, total - others, contacts, overlapped)


def months(ctx: Context) -> dict[date, MonthLedger]:
    """Every month with counted time or contact, by its first date."""
    allowed = _allowed(ctx)
    visits = unite((instant(v.start), instant(v.end)) for v in ctx.case.visits if v.start and v.end)
    taken = _taken(ctx.case.management, visits)
    found: dict[date, MonthLedger] = {}
    for entry in ctx.case.management:
        if entry.idle or entry.billed_elsewhere or entry.role == "unlicensed":
            continue
        start, end = instant(entry.start), instant(entry.end)
        whole = (start, max(end, start + 1))  # a contact without duration is still a contact
        parts = clip(whole, allowed)
        removed = taken.get(entry.by, visits)
        if removed:
            parts = subtract(parts, clip(whole, removed))
        doubt = _doubt(entry, ctx)
        for part in parts:
            for on, (first, last) in _by_month(part, ctx):
                ledger = found.setdefault(month_of(on).first, MonthLedger())
                ledger.pieces.append(Piece(first, min(last, end), entry.role == "assistant", doubt))
                if entry.contact is not None and entry.contact in ctx.settings.channels(on):
                    ledger.contacts.append(Contact(on, entry.contact, doubt))
    _count_once(found, ctx)
    return found


def _by_month(span: Span, ctx: Context) -> list[tuple[date, Span]]:
    """A span cut at the clinic's month ends, each with its first local date (`month_split`: or whole)."""
    start, end = span
    on = local_date(start, ctx.clinic)
    if ctx.settings.text("month_split", on) == "start":
        return [(on, span)]
    parts: list[tuple[date, Span]] = []
    while True:
        next_month = month_of(on).last + DAY
        boundary = midnight(next_month, ctx.clinic)
        if end <= boundary:
            return [*parts, (on, (start, end))]
        parts.append((on, (start, boundary)))
        start, on = boundary, next_month


def _allowed(ctx: Context) -> list[Span]:
    """The instants at which time may count: consent and episode, up to `as_of`."""
    first = ctx.case.episode.started
    last = min(ctx.discharged or END, ctx.as_of - DAY)
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
    if entry.end - entry.start > timedelta(hours=24):
        return "a time entry of more than 24 hours"
    if entry.entered_at is not None:
        limit = ctx.settings.number("late_entry_days", entry.end.astimezone(ctx.clinic).date())
        if entry.entered_at - entry.end > timedelta(days=limit):
            return f"time entered more than {limit} days after its end: needs a reason and an approver"
    return None


def _count_once(found: dict[date, MonthLedger], ctx: Context) -> None:
    """Entries kept whole in the month they start in reach into the next: that time is not counted again."""
    for before, after in pairwise(sorted(found)):
        begin = midnight(after, ctx.clinic)
        pieces = found[before].pieces
        every = max(piece.end for piece in pieces)
        clean = max((piece.end for piece in pieces if piece.doubt is None), default=begin)
        found[after].pieces = [
            piece._replace(start=min(max(piece.start, clean if piece.doubt is None else every), piece.end))
            for piece in found[after].pieces
        ]
