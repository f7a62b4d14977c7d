"""The claims export as CSV text for a spreadsheet or billing system, with a manifest that proves it whole.

A text cell never starts a formula: one that would, also behind blanks or after a line break, gets an
apostrophe in front, and every text cell is quoted (OWASP, CSV injection). Numbers stay numbers only in
columns typed so.
"""

import csv
import hashlib
import io
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal

import msgspec

_STARTS, _BREAKS = frozenset("=+-@|%"), frozenset("\t\r\n")


class ClaimRow(msgspec.Struct, frozen=True, kw_only=True):
    """One exported claim line; the field order is the column order, `row_hash` is added behind."""

    claim_line_id: str
    clinic_id: str
    billing_npi: str
    rendering_npi: str
    supervising_npi: str = ""
    patient_account: str
    mrn: str = ""
    last_name: str
    first_name: str
    dob: date
    sex: str
    payer: str
    member_id: str
    episode_id: str
    dx1: str
    dx2: str = ""
    dx3: str = ""
    dx4: str = ""
    cpt: str
    modifier1: str = ""
    modifier2: str = ""
    modifier3: str = ""
    modifier4: str = ""
    units: int
    dos_from: date
    dos_to: date
    pos: str
    charge: Decimal
    window_start: date | None = None
    window_end: date | None = None
    data_days: int | None = None
    data_day_list_ref: str = ""
    month_minutes: int | None = None
    interactive_contact_date: date | None = None
    contact_mode: str = ""
    plan_of_care_from: date | None = None
    plan_of_care_to: date | None = None
    consent_date: date | None = None
    order_id: str = ""
    device_id: str = ""
    rules_version: str
    generated_at_utc: datetime


COLUMNS: tuple[str, ...] = (*ClaimRow.__struct_fields__, "row_hash")


def write_claims_csv(rows: Iterable[ClaimRow]) -> str:
    """The file, header first, CRLF line ends (RFC 4180). The same rows give the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    for row in rows:
        cells = [_cell(getattr(row, name)) for name in ClaimRow.__struct_fields__]
        writer.writerow([*cells, row_hash(cells)])
    return text.getvalue()


def row_hash(cells: Sequence[object]) -> str:
    """SHA-256 of a row's cells as written, joined by the unit separator."""
    return hashlib.sha256("\x1f".join(map(str, cells)).encode()).hexdigest()


def manifest(rows: Sequence[ClaimRow], text: str, *, by: str, at: datetime) -> dict[str, object]:
    """What `manifest.json` holds: count, totals, the file's SHA-256, who and when."""
    return {
        "rows": len(rows),
        "units": sum(row.units for row in rows),
        "charge": str(sum(row.charge for row in rows)),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "by": by,
        "at": at.isoformat(),
    }


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return _Number(f"{value:.2f}")
    if isinstance(value, int):
        return value
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return defused(str(value))


class _Number(float):
    """A number that is written with the digits it was given, not as a float would show it."""

    def __new__(cls, digits: str) -> "_Number":
        made = super().__new__(cls, digits)
        made.digits = digits
        return made

    digits: str

    def __repr__(self) -> str:
        return self.digits

    __str__ = __repr__


def defused(text: str) -> str:
    """The text, behind an apostrophe when one of its lines would start a formula; no control characters."""
    kept = "".join(c for c in text if c in _BREAKS or unicodedata.category(c) not in ("Cc", "Cs"))
    return (
        f"'{kept}"
        if any(map(_starts_formula, kept.replace("\r", "\n").split("\n"))) or _odd_start(kept)
        else kept
    )


def _odd_start(text: str) -> bool:
    return text[:1] in _BREAKS


def _starts_formula(line: str) -> bool:
    shown = (c for c in unicodedata.normalize("NFKC", line) if unicodedata.category(c) != "Cf")
    return next((c in _STARTS for c in shown if not c.isspace()), False)
