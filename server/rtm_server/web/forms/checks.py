"""What a typed value must be. Each check gives the value to keep, or raises ValueError with a sentence to show."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation

from rtm_billing.claim_checks import ICD_10, npi_is_valid

Value = str | bool | list[str]
Check = Callable[[str], Value]
LONGEST = 80  # characters; what an 837P takes is shorter still, and said by the export


def text(typed: str) -> str:
    """Any words on one line."""
    if len(typed) > LONGEST:
        raise ValueError(f"Use at most {LONGEST} characters.")
    if any(ord(character) < 32 or ord(character) == 127 for character in typed):
        raise ValueError("Use letters, digits and signs only.")
    return typed


def npi(typed: str) -> str:
    """A National Provider Identifier with its check digit."""
    if not npi_is_valid(typed):
        raise ValueError("An NPI has 10 digits and a check digit at its end; one of them is wrong.")
    return typed


def matching(pattern: str, problem: str, *, drop: str = "", upper: bool = False) -> Check:
    """A check for one written form: characters in `drop` may be typed and are left out."""
    form = re.compile(pattern)

    def check(typed: str) -> str:
        plain = "".join(character for character in typed if character not in drop)
        plain = plain.upper() if upper else plain
        if not form.fullmatch(plain):
            raise ValueError(problem)
        return plain

    return check


tax_id = matching("[0-9]{9}", "A tax id has 9 digits.", drop="- ")
taxonomy = matching("[0-9A-Z]{10}", "A taxonomy code has 10 letters and digits.", upper=True)
state = matching("[A-Z]{2}", "A state is two letters, such as NY.", upper=True)
zip_9 = matching("[0-9]{9}", "This ZIP code needs all 9 digits.", drop="- ")
zip_code = matching("[0-9]{5}|[0-9]{9}", "A ZIP code has 5 or 9 digits.", drop="- ")
place_of_service = matching("[0-9]{2}", "A place of service has two digits, such as 11 for an office.")
qualifier = matching("[0-9A-Z]{2}", "A qualifier has two letters or digits, such as ZZ.", upper=True)
telephone = matching(r"\+?[0-9() .-]{7,20}", "Write a telephone number with its area code.")
sex = matching("[FMU]", "Choose F, M or U, as the payer has it.", upper=True)
filing = matching(
    "[0-9A-Z]{1,2}", "A claim filing indicator has one or two characters, such as MB.", upper=True
)


def money(typed: str) -> str:
    """Dollars and cents, as text: `65.00`."""
    try:
        amount = Decimal(typed.replace("$", "").replace(",", ""))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 < amount < 100_000 or amount != amount.quantize(Decimal("0.01")):
        raise ValueError("Give dollars and cents, such as 65.00.")
    return f"{amount:.2f}"


def yes_or_no(typed: str) -> bool:
    """`true` or `false`, from a choice."""
    if typed not in {"true", "false"}:
        raise ValueError("Choose one of the two.")
    return typed == "true"


def day(typed: str) -> str:
    """A date, kept in ISO form."""
    try:
        return date.fromisoformat(typed).isoformat()
    except ValueError:
        raise ValueError("Give a date.") from None


def diagnoses(typed: str) -> list[str]:
    """ICD-10-CM codes, the main one first, apart by commas or blanks."""
    codes = [code.upper() for code in re.split(r"[,;\s]+", typed) if code]
    if not 1 <= len(codes) <= 12:
        raise ValueError("Give 1 to 12 diagnoses.")
    for code in codes:
        if not ICD_10.fullmatch(code):
            raise ValueError(f"{code[:12]} is not an ICD-10-CM code, such as M25.561.")
    if len({code.replace(".", "") for code in codes}) < len(codes):
        raise ValueError("One diagnosis is given twice.")
    return codes
