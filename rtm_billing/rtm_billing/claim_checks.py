"""Our own checks of a claim: what a syntax validator does not see, one sentence a problem."""

import re
from collections.abc import Iterable, Sequence
from datetime import date

from .claim import Address, Claim, ClaimLine, Provider
from .known_codes import IN_CLINIC
from .rules import RTM_CODES, RULES, SUPPLY_CODES

ICD_10 = re.compile(r"[A-TV-Z][0-9][0-9AB]\.?[0-9A-Z]{0,4}")
MODIFIER = re.compile(r"[0-9A-Z]{2}")
_TWINS = tuple(
    (short.code, long.code)
    for short in RULES
    for long in RULES
    if short.kind == long.kind == "supply"
    and short.organ_system == long.organ_system
    and short.low < long.low
)
NEVER_TOGETHER = frozenset(_TWINS) | {("98979", "98980"), ("98979", "98981")}


def npi_is_valid(npi: str) -> bool:
    """Whether ten digits carry the right check digit (Luhn over 80840 and the number; 45 CFR 162.406)."""
    if not re.fullmatch(r"[0-9]{10}", npi):
        return False
    values = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed("80840" + npi)))
    return sum(value - 9 if value > 9 else value for value in values) % 10 == 0


def code_exists(code: str, on: date) -> bool:
    """Whether a code of ours existed on a date; in-clinic codes are taken as always there."""
    if code in IN_CLINIC:
        return True
    return code in RTM_CODES and any(
        rule.code == code and rule.first <= on and (rule.last is None or on <= rule.last) for rule in RULES
    )


def problems(claim: Claim, *, today: date) -> list[str]:
    """Everything that would send a claim back; empty when it may go."""
    found = [*_parties(claim), *_header(claim)]
    for number, line in enumerate(claim.lines, start=1):
        found += [f"line {number}: {what}" for what in _line(line, claim, today)]
    return found + list(_together(claim.lines))


def _parties(claim: Claim) -> Iterable[str]:
    if not npi_is_valid(claim.billing.npi):
        yield "billing.npi: the check digit is wrong"
    if not re.fullmatch(r"[0-9]{9}", claim.billing.tax_id):
        yield "billing.tax_id: must have 9 digits"
    yield from _address("billing.address", claim.billing.address, digits=(9,))
    yield from _address("subscriber.address", claim.subscriber.address, digits=(5, 9))
    for role in ("rendering", "referring", "supervising"):
        provider: Provider | None = getattr(claim, role)
        if provider is not None and not npi_is_valid(provider.npi):
            yield f"{role}.npi: the check digit is wrong"
    for field, text in (
        ("billing.name", claim.billing.name),
        ("subscriber.last", claim.subscriber.last),
        ("subscriber.member_id", claim.subscriber.member_id),
        ("payer.name", claim.payer.name),
        ("payer.payer_id", claim.payer.payer_id),
    ):
        if not text.strip():
            yield f"{field}: is empty"


def _address(field: str, address: Address, digits: tuple[int, ...]) -> Iterable[str]:
    plain = address.zip_code.replace("-", "")
    if not plain.isascii() or not plain.isdigit() or len(plain) not in digits:
        yield f"{field}.zip_code: must have {' or '.join(map(str, digits))} digits"
    if not re.fullmatch(r"[A-Z]{2}", address.state):
        yield f"{field}.state: must be two capitals"
    if not address.street.strip() or not address.city.strip():
        yield f"{field}: street and city are needed"


def _header(claim: Claim) -> Iterable[str]:
    if not 1 <= len(claim.claim_id) <= 20:
        yield "claim_id: must have 1 to 20 characters"
    if not 1 <= len(claim.lines) <= 50:
        yield "lines: a claim has 1 to 50"
    if claim.total != sum(line.charge for line in claim.lines):
        yield "total: is not the sum of the lines"
    if not 1 <= len(claim.diagnoses) <= 12:
        yield "diagnoses: a claim has 1 to 12"
    for number, diagnosis in enumerate(claim.diagnoses, start=1):
        if not ICD_10.fullmatch(diagnosis):
            yield f"diagnoses {number}: is not an ICD-10-CM code"
    if len({code.replace(".", "") for code in claim.diagnoses}) < len(claim.diagnoses):
        yield "diagnoses: one is given twice"
    if not re.fullmatch(r"[0-9]{2}", claim.place):
        yield "place: must have two digits"
    if claim.frequency != "1" and not claim.payer_control_number:
        yield "payer_control_number: a replacement or void names the payer's number of the first claim"
    if claim.frequency != "1" and claim.payer.filing == "MB":
        yield "frequency: Medicare corrects an adjudicated claim by reopening, not by a replacement claim"


def _line(line: ClaimLine, claim: Claim, today: date) -> Iterable[str]:
    last = line.last_date or line.service_date
    if not code_exists(line.code, line.service_date):
        yield f"{line.code} is not a code of {line.service_date}"
    if not 1 <= len(line.pointers) <= 4 or len(set(line.pointers)) < len(line.pointers):
        yield "a line points to 1 to 4 different diagnoses"
    if any(not 1 <= pointer <= len(claim.diagnoses) for pointer in line.pointers):
        yield "points to a diagnosis that is not on the claim"
    if len(line.modifiers) > 4 or not all(MODIFIER.fullmatch(modifier) for modifier in line.modifiers):
        yield "at most 4 modifiers of two characters"
    if len(set(line.modifiers)) < len(line.modifiers):
        yield "a modifier is given twice"
    if not line.charge.is_finite() or line.charge <= 0 or line.charge != round(line.charge, 2):
        yield "the charge must be above zero, in whole cents"
    if not 1 <= line.units <= 999:
        yield "units must be from 1 to 999"
    if last < line.service_date:
        yield "its last date is before its first"
    if last > today:
        yield "is dated in the future"
    if line.service_date < claim.subscriber.born:
        yield "is dated before the patient was born"


def _together(lines: Sequence[ClaimLine]) -> Iterable[str]:
    dates: dict[str, set[date]] = {}
    for line in lines:
        dates.setdefault(line.code, set()).add(line.service_date)
    for one, other in sorted(NEVER_TOGETHER):
        if dates.get(one, set()) & dates.get(other, set()):
            yield f"lines: {one} and {other} never stand together"
    if "98981" in dates and "98980" not in dates:
        yield "lines: 98981 stands without 98980"
    supply = [line for line in lines if line.code in SUPPLY_CODES]
    if len({line.service_date for line in supply}) < len(supply):
        yield "lines: device supply twice on one date"
    if len({line.control_number for line in lines}) < len(lines):
        yield "lines: a control number is given twice"
