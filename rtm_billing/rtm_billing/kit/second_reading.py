"""The rules read a second time, as slowly and plainly as the sentences of the contract: to compare, never to bill with.

Only what random cases hold, at default settings: windows, the three kinds of code, late entries and doubtful readings,
assistants, the turn of the year. Nothing is shared with the engine; every second of practitioner time is an element
of a set.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
LONG = {"respiratory": "98976", "musculoskeletal": "98977", "cognitive_behavioral": "98978"}
SHORT = {"respiratory": "98984", "musculoskeletal": "98985", "cognitive_behavioral": "98986"}


class Read(NamedTuple):
    """A line: what a payer sees of it, and whether somebody must decide."""

    code: str
    units: int
    service_date: str
    decision: str
    modifiers: tuple[str, ...]


def second_reading(case: Mapping[str, Any]) -> list[Read]:
    """The lines of a case, sorted."""
    clean, every = _days(case, doubtful=False), _days(case, doubtful=True)
    return sorted(
        [*_supply(case, clean, every), *_setup(case, clean, every), *_management(case, clean, every)]
    )


def _counts(case: Mapping[str, Any], on: date) -> bool:
    """Inside the episode, before `as_of`, under consent."""
    episode = case["episode"]
    return (
        date.fromisoformat(episode["started"]) <= on < date.fromisoformat(case["as_of"])
        and (episode["discharged"] is None or on <= date.fromisoformat(episode["discharged"]))
        and any(
            (each["from"] is None or each["from"] <= on.isoformat())
            and (each["to"] is None or on.isoformat() <= each["to"])
            for each in episode["consent"]
        )
    )


def _days(case: Mapping[str, Any], *, doubtful: bool) -> list[date]:
    found = set()
    as_of = datetime.fromisoformat(case["as_of"]).replace(tzinfo=ZoneInfo(case["practice"]["timezone"]))
    for item in case["data"]:
        if item.get("kind", "sensor") not in ("sensor", "reported") or item.get("place") == "clinic":
            continue
        if item.get("doubt") and not doubtful:
            continue
        if "on" in item:
            found.add(date.fromisoformat(item["on"]))
        elif datetime.fromisoformat(item["at"]) < as_of.astimezone(UTC):
            at = datetime.fromisoformat(item["at"])
            found.add(at.astimezone(ZoneInfo(item.get("zone") or case["patient"]["timezone"])).date())
    return sorted(on for on in found if _counts(case, on))


def _supply(case: Mapping[str, Any], clean: list[date], every: list[date]) -> Iterable[Read]:
    episode, as_of = case["episode"], date.fromisoformat(case["as_of"])
    last_day = date.fromisoformat(episode["discharged"]) if episode["discharged"] else as_of
    first = (clean or every or [as_of])[0]
    while first <= last_day and first + 29 * DAY < as_of:
        last = first + 29 * DAY
        stands = _supply_of(episode["organ_system"], [on for on in clean if first <= on <= last], last)
        with_doubt = _supply_of(episode["organ_system"], [on for on in every if first <= on <= last], last)
        if stands:
            yield Read(stands[0], 1, last.isoformat(), stands[1], ("GP",))
        if with_doubt and (not stands or with_doubt[0] != stands[0]):
            yield Read(with_doubt[0], 1, last.isoformat(), "hold", ("GP",))
        first += 30 * DAY


def _supply_of(organ: str, days: list[date], last: date) -> tuple[str, str] | None:
    """The code and whether it is held, by the rule of the last date; held where the older year's rule differs."""
    by_year = {
        year: LONG[organ] if len(days) >= 16 else SHORT[organ] if len(days) >= 2 and year >= 2026 else None
        for year in {*(on.year for on in days), last.year}
    }
    code = by_year[last.year]
    both = len({on.year for on in days}) == 2
    return (code, "hold" if both and len(set(by_year.values())) == 2 else "bill") if code else None


def _setup(case: Mapping[str, Any], clean: list[date], every: list[date]) -> Iterable[Read]:
    setup = case["episode"]["setup"]
    if setup is None or setup["on"] >= case["as_of"]:
        return
    on = date.fromisoformat(setup["on"])
    modifiers = ("CQ", "GP") if setup.get("assistant_share", 0.0) > 0.1 else ("GP",)
    for days, decision in ((clean, "bill"), (every, "hold")):
        inside = [day for day in days if on <= day <= on + 29 * DAY]
        met = [day for n, day in enumerate(inside, 1) if n >= (2 if day.year >= 2026 else 16)]
        if met:
            both = len({day.year for day in inside}) == 2
            held = both and len(inside) < 16
            yield Read("98975", 1, met[0].isoformat(), "hold" if held else decision, modifiers)
            return


def _management(case: Mapping[str, Any], clean: list[date], every: list[date]) -> Iterable[Read]:
    months = {f"{on:%Y-%m}": on for entry in case["management"] for on in _dates(case, entry)}
    for month, on in months.items():
        last = (on.replace(day=1) + 32 * DAY).replace(day=1) - DAY
        if last >= date.fromisoformat(case["as_of"]):
            continue
        prompt = [entry for entry in case["management"] if not _late(entry)]
        stands = _month(case, month, last, prompt, clean)
        for line in stands.values():
            yield line
        for code, line in _month(case, month, last, case["management"], every).items():
            units = line.units - (stands[code].units if code in stands else 0)
            if units > 0:
                yield line._replace(units=units, decision="hold")


def _month(
    case: Mapping[str, Any], month: str, last: date, entries: list[Mapping[str, Any]], days: list[date]
) -> dict[str, Read]:
    """The lines of a month from some entries and days, by code."""
    licensed: set[int] = set()
    assistant: set[int] = set()
    contact = False
    for entry in entries:
        if entry["idle"] or entry["billed_elsewhere"] or entry["role"] == "unlicensed":
            continue
        seconds = _seconds(case, entry, month)
        contact |= bool(seconds) and entry["contact"] in ("phone", "video", "in_person")
        if entry["start"] != entry["end"]:
            (assistant if entry["role"] == "assistant" else licensed).update(seconds)
    total = len(licensed | assistant)
    minutes = total // 60
    codes: dict[str, int] = {}
    if contact and minutes >= 20:
        codes["98980"] = 1
        if minutes >= 40:
            codes["98981"] = (minutes - 20) // 20
    elif contact and minutes >= 10 and last.year >= 2026:
        codes["98979"] = 1
    modifiers = ("CQ", "GP") if len(assistant - licensed) * 10 > total else ("GP",)
    decision = "bill" if any(f"{on:%Y-%m}" == month for on in days) else "hold"
    return {code: Read(code, units, last.isoformat(), decision, modifiers) for code, units in codes.items()}


def _late(entry: Mapping[str, Any]) -> bool:
    entered = entry["entered_at"]
    return entered is not None and (
        datetime.fromisoformat(entered) - datetime.fromisoformat(entry["end"]) > timedelta(days=7)
    )


def _dates(case: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterable[date]:
    zone = ZoneInfo(case["practice"]["timezone"])
    return {datetime.fromisoformat(entry[end]).astimezone(zone).date() for end in ("start", "end")}


def _seconds(case: Mapping[str, Any], entry: Mapping[str, Any], month: str) -> set[int]:
    """The seconds of an entry in a month, on dates that count, not logged by the same person for another service."""
    zone = ZoneInfo(case["practice"]["timezone"])
    start, end = _epoch(entry["start"]), _epoch(entry["end"])
    found: set[int] = set()
    for minute in range(start // 60 * 60, max(end, start + 1), 60):
        on = datetime.fromtimestamp(max(minute, start), zone).date()
        if f"{on:%Y-%m}" == month and _counts(case, on):
            found.update(range(max(minute, start), min(minute + 60, max(end, start + 1))))
    for other in case["management"]:
        if other["billed_elsewhere"] and other["by"] == entry["by"]:
            found -= set(range(_epoch(other["start"]), _epoch(other["end"])))
    return found


def _epoch(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp())
