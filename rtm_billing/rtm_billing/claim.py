"""A professional claim as typed values: who, for whom, to whom, what, when, for how much."""

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import msgspec


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A US postal address; `zip_code` with 9 digits for the billing provider."""

    street: str
    more: str = ""
    city: str
    state: str
    zip_code: str


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A rendering, referring or supervising person, by NPI."""

    last: str
    first: str
    npi: str
    taxonomy: str = ""


class BillingProvider(msgspec.Struct, frozen=True, kw_only=True):
    """The practice that bills: organisation name, NPI (type 2), employer id (9 digits)."""

    name: str
    npi: str
    tax_id: str
    address: Address
    taxonomy: str = ""


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """The patient, who is the subscriber (always so for Medicare)."""

    last: str
    first: str
    middle: str = ""
    member_id: str
    address: Address
    born: date
    sex: Literal["F", "M", "U"]


class PayerName(msgspec.Struct, frozen=True, kw_only=True):
    """The payer; `filing` is the claim filing indicator, MB = Medicare Part B, CI = commercial."""

    name: str
    payer_id: str
    filing: str


class ClaimLine(msgspec.Struct, frozen=True, kw_only=True):
    """A service line; `charge` is the practice's own, for all units; `pointers` count the diagnoses from 1.

    `control_number` comes back on the remittance and links it to our line. `last_date`: for a span of dates.
    """

    control_number: str
    code: str
    modifiers: tuple[str, ...] = ()
    charge: Decimal
    units: int
    service_date: date
    last_date: date | None = None
    pointers: tuple[int, ...] = (1,)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim. `frequency` 1 = original, 7 = replacement, 8 = void; those two need `payer_control_number`.

    `place`: place of service (11 office, 12 home). Diagnoses: ICD-10-CM, the dot is optional, main one first.
    """

    claim_id: str
    billing: BillingProvider
    subscriber: Subscriber
    payer: PayerName
    total: Decimal
    lines: tuple[ClaimLine, ...]
    diagnoses: tuple[str, ...]
    place: str = "11"
    frequency: Literal["1", "7", "8"] = "1"
    payer_control_number: str = ""
    prior_authorization: str = ""
    medical_record: str = ""
    note: str = ""
    rendering: Provider | None = None
    referring: Provider | None = None
    supervising: Provider | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What the interchange needs besides the claims; numbers and time come from the caller, frozen."""

    sender: tuple[str, str]
    receiver: tuple[str, str]
    control: int
    group_control: int
    transaction_control: int = 1
    at: datetime
    test: bool
    submitter: str
    submitter_id: str
    contact: str
    telephone: str
    receiver_name: str
    receiver_id: str
