"""The case as typed values; `decode` fills them. Absent keys take the contract's defaults."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from .dates import BEGIN, END, Period
from .rules import OrganSystem

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
    """Which payer profile; the other fields, where given, stand over it (see `payers`)."""

    profile: str = "medicare"
    rules_as_of: date | None = None
    covered: list[Code] | None = None
    correction: Literal["reopening", "replacement"] | None = None
    timely_filing_days: Annotated[int, msgspec.Meta(ge=0, le=3660)] | None = None
    therapy_threshold: bool | None = None


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
    """One reading: an instant (`at`) or a local date of the patient (`on`); `doubt`: why not to trust it."""

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
    claim_id: Annotated[str, msgspec.Meta(min_length=1)]


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
