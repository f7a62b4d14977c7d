"""The rules read a third time, by somebody who knew only the contract: every setting, payer, claim sent and visit.

Where `second_reading` looks at doubtful readings and at time to the second, this one looks at what becomes of a line:
plan of care, other services, claims sent, filing limits, modifiers. Nothing is shared with the engine; sets of dates
and of half minutes stand for windows and months, so cases must keep to whole half minutes and certain readings.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

DAY, TICK = timedelta(days=1), 30
DEFAULTS: dict[str, Any] = {
    "window_anchor": "first_data", "supply_when": "closed", "supply_date": "window_end", "setup_date": "minimum_met",
    "management_date": "month_end", "day_zone": "patient", "day_basis": "measured",
    "contact_channels": ["phone", "video", "in_person"], "late_entry_days": 7, "no_data_month": "hold",
    "clinic_recordings": "ignore", "access_days": "ignore", "month_split": "split", "timed_units": "cms",
}  # fmt: skip
PHYSIOLOGIC = {"99453", "99454", "99457", "99458", "99445", "99470"}
LONG = {"musculoskeletal": "98977", "respiratory": "98976", "cognitive_behavioral": "98978"}
SHORT = {"musculoskeletal": "98985", "respiratory": "98984", "cognitive_behavioral": "98986"}
SUPPLY = {*LONG.values(), *SHORT.values()}
THRESHOLD = {2024: 2330, 2025: 2410, 2026: 2480}
THERAPY, ASSISTANT = {"PT": "GP", "OT": "GO", "SLP": "GN"}, {"PT": "CQ", "OT": "CO"}


class Line(NamedTuple):
    """What a payer sees of a line, whether somebody must decide, and which claim it replaces."""

    code: str
    units: int
    modifiers: tuple[str, ...]
    service_date: str
    decision: str
    replaces: str


class _Proposal(NamedTuple):
    code: str
    units: int
    period: tuple[date, date]
    first: date
    on: date
    hold: bool
    assistant: bool = False
    replaces: str = ""


class _Case:
    """A case with its dates read once."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw, self.episode = raw, raw["episode"]
        self.settings = {**DEFAULTS, **raw["settings"]}
        self.as_of, self.started = _day(raw["as_of"]), _day(self.episode["started"])
        self.clinic, self.patient = (
            ZoneInfo(raw["practice"]["timezone"]),
            ZoneInfo(raw["patient"]["timezone"]),
        )
        self.end = _day(self.episode["discharged"] or "9999-12-31")
        self.end = self.end if self.end < self.as_of else date.max
        self.days = sorted(
            {on for on in map(self._day_of, raw["data"]) if on is not None and self.counts(on)}
        )

    def counts(self, on: date) -> bool:
        """Whether a date lies in the episode, under consent, before `as_of`."""
        inside = self.started <= on < self.as_of and on <= self.end
        return inside and any(_holds(on, each) for each in self.episode["consent"])

    def _day_of(self, item: Mapping[str, Any]) -> date | None:
        kind, place = item.get("kind", "sensor"), item.get("place", "home")
        ignored = (
            kind == "test"
            or (kind == "access" and self.settings["access_days"] == "ignore")
            or (place == "clinic" and self.settings["clinic_recordings"] == "ignore")
        )
        if ignored:
            return None
        if "on" in item:
            return _day(item["on"])
        received = item.get("received_at") if self.settings["day_basis"] == "received" else None
        own = ZoneInfo(item["zone"]) if item.get("zone") else self.patient
        zone = self.clinic if self.settings["day_zone"] == "clinic" else own
        moment = datetime.fromisoformat(received or item["at"])
        over = (
            moment.astimezone(self.clinic).date() >= self.as_of
        )  # `as_of` is taken at the clinic's midnight
        return None if over else moment.astimezone(zone).date()

    def sent(self, first: date, last: date) -> dict[str, str]:
        """The first claim of each code sent with a date in a period."""
        found: dict[str, str] = {}
        for claim in sorted(
            self.raw["claims_sent"], key=lambda each: (each["service_date"], each["claim_id"])
        ):
            if first <= _day(claim["service_date"]) <= last:
                found.setdefault(claim["code"], claim["claim_id"])
        return found


def third_reading(raw: Mapping[str, Any]) -> list[Line]:
    """The lines of a case, sorted."""
    case = _Case(raw)
    proposals = [*_supply(case), *_setup(case), *_management(case), *_visits(case)]
    return sorted(line for each in proposals if (line := _decide(each, case)) is not None)


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _holds(on: date, each: Mapping[str, Any]) -> bool:
    return (each["from"] or "0001-01-01") <= on.isoformat() <= (each["to"] or "9999-12-31")


def _decide(line: _Proposal, case: _Case) -> Line | None:
    """Payer, other services, plan, device and modifiers; None where it is not billable at all."""
    hold, raw, episode = line.hold or line.on.year > 2026, case.raw, case.episode
    medicare = raw["payer"]["profile"] == "medicare"
    if (
        medicare and raw["as_of"] > f"{line.on.year + 1}{line.on.isoformat()[4:]}"
    ):  # 29 February: as text, too
        return None
    if line.code.startswith("98"):
        for each in raw["other_services"]:
            begun = (each["from"] or "0001-01-01") < raw["as_of"]
            if not begun or not any(_holds(on, each) for on in _dates(*line.period)):
                continue
            if each["kind"] == "global_surgery":
                if each["same_practitioner"] and each["related"]:
                    return None
            elif each["code"] in PHYSIOLOGIC or (
                each["code"].startswith("989") and not each["same_practitioner"]
            ):
                hold = True
        hold = hold or (line.code in {*SUPPLY, "98975"} and episode["device_basis"] is False)
    modifiers = []
    if episode["therapist_billed"]:
        whole = _dates(min(line.first, line.on), max(line.first, line.on))
        planned = all(any(_holds(on, each) for each in episode["plan_of_care"]) for on in whole)
        discipline = episode["discipline"]
        hold = hold or not planned or discipline == "none"
        modifiers += [THERAPY[discipline]] if discipline != "none" else []
        modifiers += [ASSISTANT[discipline]] if line.assistant and discipline in ASSISTANT else []
        spent = sum(
            Fraction(each["amount"])
            for each in raw["therapy_spend"]
            if each["on"] < raw["as_of"] and f"{line.on.year}-01-01" <= each["on"] <= line.on.isoformat()
        )
        threshold = THRESHOLD.get(line.on.year)
        if medicare and modifiers and threshold is not None and spent > threshold:
            modifiers.append("KX")
    decision = "hold" if hold else "replace" if line.replaces else "bill"
    return Line(line.code, line.units, tuple(sorted(modifiers)), line.on.isoformat(), decision, line.replaces)


def _dates(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=i) for i in range((last - first).days + 1))


def _supply_code(organ: str, on: date, count: int) -> str | None:
    if on.year < (2023 if organ == "cognitive_behavioral" else 2022) or count < 2:
        return None
    return LONG[organ] if count >= 16 else SHORT[organ] if on.year >= 2026 else None


def _supply(case: _Case) -> Iterable[_Proposal]:
    organ = case.episode["organ_system"]
    given = [
        _day(each["from"])
        for each in case.episode["consent"]
        if each["from"] and (each["to"] or "9999-12-31") >= case.started.isoformat()
    ]
    anchor = {
        "first_data": next(iter(case.days), date.max),
        "started": case.started,
        "consent": min(given, default=date.max),
    }[case.settings["window_anchor"]]
    while anchor < case.as_of and anchor <= case.end:
        last = anchor + 29 * DAY
        days = [on for on in case.days if anchor <= on <= last]
        code, before = (_supply_code(organ, on, len(days)) for on in (last, anchor))
        straddles = bool(days) and days[0].year < days[-1].year and code != before
        code = code or (before if straddles else None)
        if code and (last < case.as_of or case.settings["supply_when"] == "threshold"):
            need = 16 if code in LONG.values() else 2
            enough = [on for on in days[need - 1 :] if _supply_code(organ, on, need) == code]
            sent = {each: claim for each, claim in case.sent(anchor, last).items() if each in SUPPLY}
            dates = [last] if case.settings["supply_date"] == "window_end" else enough[:1]
            if dates and (
                not sent or (code == LONG[organ] and min(sent) == SHORT[organ] and code not in sent)
            ):
                replaces = sent[min(sent)] if sent else ""
                yield _Proposal(code, 1, (anchor, last), days[0], dates[0], straddles, replaces=replaces)
        anchor = last + DAY


def _setup(case: _Case) -> Iterable[_Proposal]:
    setup = case.episode["setup"]
    if not setup or setup["on"] >= case.raw["as_of"] or case.episode["setup_billed_before"]:
        return
    on = _day(setup["on"])
    last = on + 29 * DAY
    if "98975" in case.sent(min(on, case.started), date.max):
        return
    need = {2022: 16, 2023: 16, 2024: 16, 2025: 16}
    days = [each for each in case.days if on <= each <= last]

    def met(count: int, when: date) -> bool:
        return when.year >= 2022 and count >= need.get(when.year, 2)

    straddles = bool(days) and days[0].year < days[-1].year and met(len(days), on) != met(len(days), last)
    reached = [each for number, each in enumerate(days, start=1) if met(number, each)]
    dates = [on] if case.settings["setup_date"] == "education" else reached[:1]
    if dates and (straddles or met(len(days), dates[0])):
        by_assistant = Fraction(str(setup["assistant_share"])) > Fraction(1, 10)
        yield _Proposal("98975", 1, (on, last), days[0], dates[0], straddles, by_assistant)


def _management(case: _Case) -> Iterable[_Proposal]:
    month = case.started.replace(day=1)
    while (after := (month + 31 * DAY).replace(day=1)) <= case.as_of:
        yield from _month(month, after - DAY, case)
        month = after


def _month(first: date, last: date, case: _Case) -> Iterable[_Proposal]:
    sent = case.sent(first, last)
    empty = not any(first <= on <= last for on in case.days) and case.settings["no_data_month"] == "hold"
    stands: dict[str, int] = {}
    for doubtful in (False, True):
        ticks, alone, contacts = _time(first, case, doubtful=doubtful)
        minutes = len(ticks) * TICK // 60
        codes: dict[str, tuple[int, int]] = {}
        if contacts and minutes >= 20 and last.year >= 2022:
            more = (minutes - 20) // 20
            codes = {"98980": (1, 20), **({"98981": (more, 20 + 20 * more)} if more else {})}
        elif contacts and minutes >= 10 and last.year >= 2026:
            codes = {"98979": (1, 10)}
        for code, (units, need) in codes.items():
            added = units - stands.get(code, 0)
            stands.setdefault(code, units)
            if added <= 0 or code in sent or (code == "98979" and sent.keys() & {"98980", "98981"}):
                continue
            on = last
            if case.settings["management_date"] == "threshold":
                on = min(last, max(_local(sorted(ticks)[need * 60 // TICK - 1], case), min(contacts)))
            yield _Proposal(
                code, added, (first, last), _local(min(ticks), case), on, doubtful or empty,
                assistant=10 * len(alone) > len(ticks),
                replaces=sent.get("98979", "") if "98980" not in sent else "",
            )  # fmt: skip


def _time(first: date, case: _Case, *, doubtful: bool) -> tuple[set[int], set[int], list[date]]:
    """The half minutes of a month, those with assistants only, and the dates of its contacts."""
    ticks: set[int] = set()
    others: set[int] = set()
    contacts = []
    entries = case.raw["management"]
    limit = timedelta(days=case.settings["late_entry_days"])
    seen = [_ticks(visit) for visit in case.raw["visits"] if visit.get("start")]
    for each in entries:
        entered = datetime.fromisoformat(each.get("entered_at") or each["end"])
        late = entered - datetime.fromisoformat(each["end"]) > limit
        if (
            each["idle"]
            or each["billed_elsewhere"]
            or each["role"] == "unlicensed"
            or (late and not doubtful)
        ):
            continue
        taken = [
            _ticks(other) for other in entries if other["billed_elsewhere"] and other["by"] == each["by"]
        ]
        own = {tick for tick in _ticks(each).difference(*taken, *seen) if case.counts(_local(tick, case))}
        if own and case.settings["month_split"] == "start":
            own = own if _local(min(own), case).replace(day=1) == first else set()
        else:
            own = {tick for tick in own if _local(tick, case).replace(day=1) == first}
        ticks |= own
        others |= own if each["role"] != "assistant" else set()
        if own and each["contact"] in case.settings["contact_channels"]:
            contacts.append(_local(min(own), case))
    return ticks, ticks - others, contacts


def _ticks(entry: Mapping[str, Any]) -> set[int]:
    start, end = (int(datetime.fromisoformat(entry[name]).timestamp()) // TICK for name in ("start", "end"))
    return set(range(start, end))


def _local(tick: int, case: _Case) -> date:
    return datetime.fromtimestamp(tick * TICK, case.clinic).date()


def _visits(case: _Case) -> Iterable[_Proposal]:
    for on in sorted({each["on"] for each in case.raw["visits"] if each["on"] < case.raw["as_of"]}):
        spent: dict[str, Fraction] = {}
        assisted: dict[str, Fraction] = {}
        for service in (one for each in case.raw["visits"] if each["on"] == on for one in each["services"]):
            code = service["code"]
            spent[code] = spent.get(code, Fraction(0)) + Fraction(str(service["minutes"]))
            assisted[code] = assisted.get(code, Fraction(0)) + Fraction(str(service["assistant_minutes"]))
        if case.settings["timed_units"] == "ama":
            units = {code: _quarters(minutes) for code, minutes in spent.items()}
        else:
            units = {code: int(minutes // 15) for code, minutes in spent.items()}
            left = _quarters(sum(spent.values(), Fraction(0))) - sum(units.values())
            for code in sorted(spent, key=lambda each: (-(spent[each] % 15), each))[:left]:
                units[code] += 1
        for code, number in units.items():
            if number:
                day = _day(on)
                by_assistant = assisted[code] > spent[code] / 10
                yield _Proposal(code, number, (day, day), day, day, hold=False, assistant=by_assistant)


def _quarters(minutes: Fraction) -> int:
    """Units of 15 minutes, the last from 8 on: 8 to 22 are one, 23 to 37 two."""
    return int((minutes + 7) // 15)
