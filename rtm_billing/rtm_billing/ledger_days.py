"""Data days: which local dates of the patient count, which do not and why, which are in doubt."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from .case import Datum
from .context import Context
from .dates import instant, zone


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
        on = moment.astimezone(ctx.clinic).date()
    return on if on < ctx.as_of else None  # east of the clinic it may be the next date already


def _not_counted(item: Datum, on: date, ctx: Context) -> str | None:
    if item.kind == "test":
        return "a test"
    if item.kind == "access" and ctx.settings.text("access_days", on) == "ignore":
        return "only opened the app"
    if item.place == "clinic" and ctx.settings.text("clinic_recordings", on) == "ignore":
        return "in the clinic"
    return None
