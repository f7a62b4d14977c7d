"""The case as typed values: strict decoding that names the field, before any rule looks at it."""

import difflib
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Annotated, Literal

import msgspec

from .dates import BEGIN, END, FIRST_YEAR, LAST_YEAR, Period, zone
from .errors import CaseError
from .rules import OrganSystem
from .settings import Settings

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Code = Annotated[str, msgspec.Meta(pattern="^[0-9A-Z][0-9]{3}[0-9A-Z]$")]
Discipline = Literal["PT", "OT", "SLP", "none"]
DataKind = Literal["sensor", "reported", "access", "test"]
Place = Literal["home", "clinic"]
Channel = Literal["phone", "video", "in_person", "message", "voicemail"]
Role = Literal["therapist", "assistant", "physician", "other_qualified", "clinical_staff", "unlicensed"]


class Practice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The clinic: its zone divides months."""

    timezone: str


class Payer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which payer profile; the other fields are for `custom` alone (see `payers`)."""

    profile: str = "medicare"
    rules_as_of: date | None = None
    covered: list[Code] | None = None
    correction: Literal["reopening", "replacement"] | None = None
    timely_filing_days: Annotated[int, msgspec.Meta(ge=0, le=3660)] | None = None
    therapy_threshold: bool = False


class Patient(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The patient: the zone is where a reading without one of its own was taken. Absent: the clinic's."""

    timezone: str | None = None


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Two inclusive dates, null = open."""

    from_: date | None = msgspec.field(name="from", default=None)
    to: date | None = None

    @property
    def period(self) -> Period:
        return Period(self.from_ or BEGIN, self.to or END)


class Setup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The set-up and education session; `assistant_share` 0 to 1 of its time."""

    on: date
    assistant_share: float = 0.0


class Episode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One episode of care."""

    started: date
    discharged: date | None = None
    organ_system: OrganSystem
    discipline: Discipline = "none"
    therapist_billed: bool | None = None
    consent: list[Range] = []
    plan_of_care: list[Range] = []
    device_basis: bool | None = None
    setup: Setup | None = None
    setup_billed_before: bool = False


class Datum(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One therapeutic reading: an instant (`at`) or a local date of the patient (`on`). `doubt`: why not to trust it."""

    at: Moment | None = None
    on: date | None = None
    zone: str | None = None
    received_at: Moment | None = None
    kind: DataKind = "sensor"
    place: Place = "home"
    doubt: str | None = None


class TimeEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Practitioner time, start and end as instants; `entered_at`: when it was written down."""

    start: Moment
    end: Moment
    by: str | None = None
    role: Role
    contact: Channel | None = None
    billed_elsewhere: bool = False
    entered_at: Moment | None = None
    idle: bool = False
    doubt: str | None = None


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One in-clinic service of a visit; minutes of a code timed by units of 15."""

    code: Code
    minutes: int | float = 0
    assistant_minutes: int | float = 0


class Visit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A visit; with clock times its minutes are taken out of RTM time."""

    on: date
    services: list[Service] = []
    start: Moment | None = None
    end: Moment | None = None


class Spend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Therapy spend counted towards the annual threshold, US dollars."""

    on: date
    amount: Decimal


class OtherService(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something billed or paid besides: a code with its dates, or a global surgical period."""

    kind: Literal["code", "global_surgery"] = "code"
    code: str | None = None
    from_: date | None = msgspec.field(name="from", default=None)
    to: date | None = None
    same_practitioner: bool | None = None
    related: bool | None = None

    @property
    def period(self) -> Period:
        return Period(self.from_ or BEGIN, self.to or END)


class SentClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line that was already sent."""

    code: Code
    service_date: date
    claim_id: str


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything `evaluate` looks at."""

    as_of: date
    practice: Practice
    payer: Payer = Payer()
    settings: dict[str, object] = {}
    patient: Patient = Patient()
    episode: Episode
    data: list[Datum] = []
    management: list[TimeEntry] = []
    visits: list[Visit] = []
    therapy_spend: list[Spend] = []
    other_services: list[OtherService] = []
    claims_sent: list[SentClaim] = []


_WORDS = {
    "datetime": "a date-time with offset",
    "date": "a date (YYYY-MM-DD)",
    "str": "text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "int | float": "a number",
    "decimal": "an amount in decimal digits",
    "object": "an object",
    "array": "a list",
}
_PLACE = re.compile(r" - at `(?:key in )?\$(?P<path>.*)`$", re.DOTALL)


def decode_case(raw: object) -> tuple[Case, Settings]:
    """The typed case and its settings; `CaseError` with one sentence otherwise."""
    if not isinstance(raw, Mapping):
        raise CaseError("case: must be an object")
    try:
        case = msgspec.convert(raw, type=Case, strict=True)
    except (msgspec.ValidationError, RecursionError, OverflowError) as problem:
        raise CaseError(_sentence(str(problem), raw)) from None
    settings = Settings(case.settings)
    _check_episode(case)
    _check_data(case.data)
    _check_management(case.management)
    _check_rest(case)
    return case, settings


def _sentence(message: str, raw: object) -> str:
    place = _PLACE.search(message)
    path = place["path"].lstrip(".") if place else ""
    what = message[: place.start()] if place else message
    named = re.search(r"unknown field `(.*)`$", what)
    if named:
        return f"{_join(path, named[1])}: is not a key of a case{_nearest(path, named[1])}"
    named = re.search(r"missing required field `(.*)`$", what)
    if named:
        return f"{_join(path, named[1])}: is missing"
    value = _short(_look_up(raw, path))
    if what.startswith("Invalid enum value"):
        return f"{path}: {value} is not one of {', '.join(_choices(path))}"
    if "datetime" in what:
        return f"{path}: {value} is not {_WORDS['datetime']}"
    if "encoded date" in what:
        return f"{path}: {value} is not {_WORDS['date']}"
    expected = re.search(r"Expected `([^`]*?)(?: \| null)?`", what)
    if expected:
        return f"{path or 'case'}: {value} is not {_WORDS.get(expected[1], expected[1])}"
    if "regex" in what or "matching" in what:
        return f"{path}: {value} is not a procedure code (five characters)"
    return f"{path or 'case'}: {value} cannot be used ({what})"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _keys(path: str) -> tuple[str, ...]:
    kind: object = Case
    for name in re.findall(r"[A-Za-z_]+", path):
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}  # type: ignore[arg-type]  # only struct types are walked
        kind = _struct_in(fields.get(name))
        if kind is None:
            return ()
    return tuple(field.encode_name for field in msgspec.structs.fields(kind))  # type: ignore[arg-type]  # as above


def _struct_in(kind: object) -> object:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    for inner in getattr(kind, "__args__", ()):
        found = _struct_in(inner)
        if found is not None:
            return found
    return None


def _nearest(path: str, name: str) -> str:
    near = difflib.get_close_matches(name, _keys(path), n=3, cutoff=0.4)
    return f"; nearest: {', '.join(near)}" if near else ""


def _choices(path: str) -> tuple[str, ...]:
    return _CHOICES.get(re.findall(r"[A-Za-z_]+", path)[-1], ())


_CHOICES: dict[str, tuple[str, ...]] = {
    "organ_system": OrganSystem.__args__,  # type: ignore[attr-defined]  # a Literal has __args__
    "discipline": Discipline.__args__,  # type: ignore[attr-defined]  # as above
    "kind": (*DataKind.__args__, "code", "global_surgery"),  # type: ignore[attr-defined]  # as above
    "place": Place.__args__,  # type: ignore[attr-defined]  # as above
    "contact": Channel.__args__,  # type: ignore[attr-defined]  # as above
    "role": Role.__args__,  # type: ignore[attr-defined]  # as above
    "correction": ("reopening", "replacement"),
}


def _look_up(raw: object, path: str) -> object:
    value = raw
    for name, index in re.findall(r"([A-Za-z_]+)|\[(\d+)\]", path):
        if name and isinstance(value, Mapping):
            value = value.get(name)
        elif index and isinstance(value, (list, tuple)) and int(index) < len(value):
            value = value[int(index)]
    return value


def _short(value: object) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        return "an object" if isinstance(value, Mapping) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _zone(field: str, name: str) -> None:
    try:
        zone(name)
    except ValueError:
        raise CaseError(f"{field}: {_short(name)} is not a time zone name") from None


def _year(field: str, *dates: date | None) -> None:
    for on in dates:
        if on is not None and not FIRST_YEAR <= on.year <= LAST_YEAR:
            raise CaseError(f"{field}: {on.isoformat()} is not between {FIRST_YEAR} and {LAST_YEAR}")


def _range(field: str, item: Range | OtherService) -> None:
    _year(f"{field}.from", item.from_)
    _year(f"{field}.to", item.to)
    if item.from_ and item.to and item.to < item.from_:
        raise CaseError(f"{field}.to: {item.to} is before its from, {item.from_}")


def _check_episode(case: Case) -> None:
    _year("as_of", case.as_of)
    _zone("practice.timezone", case.practice.timezone)
    if case.patient.timezone is not None:
        _zone("patient.timezone", case.patient.timezone)
    episode = case.episode
    _year("episode.started", episode.started)
    _year("episode.discharged", episode.discharged)
    if episode.discharged and episode.discharged < episode.started:
        raise CaseError(
            f"episode.discharged: {episode.discharged} is before the episode started, {episode.started}"
        )
    for name, ranges in (("consent", episode.consent), ("plan_of_care", episode.plan_of_care)):
        for index, item in enumerate(ranges):
            _range(f"episode.{name}[{index}]", item)
    if episode.setup is not None:
        _year("episode.setup.on", episode.setup.on)
        if not 0 <= episode.setup.assistant_share <= 1:
            raise CaseError(
                f"episode.setup.assistant_share: {episode.setup.assistant_share} is not between 0 and 1"
            )


def _check_data(data: list[Datum]) -> None:
    for index, item in enumerate(data):
        if (item.at is None) == (item.on is None):
            raise CaseError(f"data[{index}]: needs either at (a date-time with offset) or on (a local date)")
        for name, on in (("at", item.at), ("on", item.on), ("received_at", item.received_at)):
            if on is not None and not FIRST_YEAR <= on.year <= LAST_YEAR:
                raise CaseError(
                    f"data[{index}].{name}: {on.isoformat()} is not between {FIRST_YEAR} and {LAST_YEAR}"
                )
        if item.zone is not None:
            _zone(f"data[{index}].zone", item.zone)


def _check_management(management: list[TimeEntry]) -> None:
    for index, item in enumerate(management):
        for name, at in (("start", item.start), ("end", item.end), ("entered_at", item.entered_at)):
            if at is not None and not FIRST_YEAR <= at.year <= LAST_YEAR:
                raise CaseError(
                    f"management[{index}].{name}: {at.isoformat()} is not between {FIRST_YEAR} and {LAST_YEAR}"
                )
        if item.end < item.start:
            raise CaseError(f"management[{index}].end: {item.end.isoformat()} is before its start")


def _check_rest(case: Case) -> None:
    for index, visit in enumerate(case.visits):
        field = f"visits[{index}]"
        _year(f"{field}.on", visit.on, visit.start, visit.end)
        if (visit.start is None) != (visit.end is None):
            raise CaseError(f"{field}: needs both start and end, or neither")
        if visit.start and visit.end and visit.end < visit.start:
            raise CaseError(f"{field}.end: {visit.end.isoformat()} is before its start")
        for number, service in enumerate(visit.services):
            _check_minutes(f"{field}.services[{number}]", service)
    for index, spend in enumerate(case.therapy_spend):
        _year(f"therapy_spend[{index}].on", spend.on)
        if not spend.amount.is_finite():
            raise CaseError(
                f"therapy_spend[{index}].amount: {spend.amount} is not an amount in decimal digits"
            )
    for index, other in enumerate(case.other_services):
        _range(f"other_services[{index}]", other)
        if other.kind == "code" and other.code is None:
            raise CaseError(f"other_services[{index}].code: is missing")
    for index, sent in enumerate(case.claims_sent):
        _year(f"claims_sent[{index}].service_date", sent.service_date)


def _check_minutes(field: str, service: Service) -> None:
    for name, minutes in (("minutes", service.minutes), ("assistant_minutes", service.assistant_minutes)):
        if not isfinite(minutes) or not 0 <= minutes <= 1440:
            raise CaseError(f"{field}.{name}: {_short(minutes)} is not between 0 and 1440 minutes")
    if service.assistant_minutes > service.minutes:
        raise CaseError(f"{field}.assistant_minutes: {service.assistant_minutes} is more than its minutes")
