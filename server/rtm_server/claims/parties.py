"""Who bills, who was treated, who pays: from what the clinic has on file to the parties of a claim.

The keys are described in `docs/reference/claims.md`. Nothing is guessed: what is not on file is named in words, and
the claim waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

from rtm_billing.claim import Address, BillingProvider, Envelope, PayerName, Provider, Subscriber

Filed = Mapping[str, Any]


@dataclass(slots=True)
class Reader:
    """Reads what is on file, and remembers in words what is not."""

    filed: Filed
    where: str
    missing: list[str] = field(default_factory=list)

    def text(self, path: str, words: str) -> str:
        """The text at a dotted path; an empty one when it is missing."""
        found = self.optional(path)
        if not found:
            self.missing.append(f"{words} ({self.where}.{path})")
        return found

    def optional(self, path: str) -> str:
        """The text at a dotted path, or an empty one."""
        found = self.at(path)
        return found.strip() if isinstance(found, str) else ""

    def at(self, path: str) -> Any:
        """Whatever is at a dotted path; None when nothing is."""
        found: Any = self.filed
        for step in path.split("."):
            if not isinstance(found, Mapping):
                return None
            found = found.get(step)
        return found

    def day(self, path: str, words: str) -> date:
        """The date at a path."""
        try:
            return date.fromisoformat(self.optional(path))
        except ValueError:
            self.missing.append(f"{words} ({self.where}.{path})")
            return date.max

    def address(self, path: str, whose: str) -> Address:
        """The address at a path."""
        return Address(
            street=self.text(f"{path}.street", f"the street of {whose}"),
            more=self.optional(f"{path}.more"),
            city=self.text(f"{path}.city", f"the city of {whose}"),
            state=self.text(f"{path}.state", f"the state of {whose}"),
            zip_code=self.text(f"{path}.zip", f"the ZIP code of {whose}"),
        )


def billing_provider(practice: Reader, clinic_name: str) -> BillingProvider:
    """The practice that bills."""
    return BillingProvider(
        name=practice.optional("name") or clinic_name,
        npi=practice.text("npi", "the practice's NPI"),
        tax_id=practice.text("tax_id", "the practice's tax id"),
        taxonomy=practice.optional("taxonomy"),
        address=practice.address("address", "the practice"),
    )


def provider(reader: Reader, path: str, words: str) -> Provider:
    """A person with an NPI."""
    return Provider(
        last=reader.text(f"{path}.last", f"the last name of {words}"),
        first=reader.text(f"{path}.first", f"the first name of {words}"),
        npi=reader.text(f"{path}.npi", f"the NPI of {words}"),
        taxonomy=reader.optional(f"{path}.taxonomy"),
    )


def subscriber(patient: Reader) -> Subscriber:
    """The patient, who is the insured person."""
    sex = patient.text("sex", "the patient's sex")
    if sex and sex not in ("F", "M", "U"):
        patient.missing.append("the patient's sex as F, M or U (patient.sex)")
    return Subscriber(
        last=patient.text("last", "the patient's last name"),
        first=patient.text("first", "the patient's first name"),
        middle=patient.optional("middle"),
        member_id=patient.text("payer.member_id", "the member id"),
        address=patient.address("address", "the patient"),
        born=patient.day("birth_date", "the patient's birth date"),
        sex=cast(Literal["F", "M", "U"], sex),
    )


def payer(patient: Reader) -> PayerName:
    """Who pays."""
    return PayerName(
        name=patient.text("payer.name", "the payer's name"),
        payer_id=patient.text("payer.id", "the payer's id"),
        filing=patient.text("payer.filing", "the claim filing indicator, MB for Medicare Part B"),
    )


def diagnoses(patient: Reader) -> tuple[str, ...]:
    """ICD-10-CM codes, the main one first."""
    found = patient.at("diagnoses")
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        patient.missing.append("the ICD-10 diagnosis (patient.diagnoses)")
        return ()
    return tuple(found)


def charge(practice: Reader, code: str, units: int) -> Decimal:
    """The practice's own charge of a line, from its charge master."""
    try:
        each = Decimal(practice.optional(f"charges.{code}"))
    except InvalidOperation:
        each = Decimal("NaN")
    if not each.is_finite():
        practice.missing.append(f"a charge for {code} in the charge master (practice.charges.{code})")
        return Decimal(0)
    return each * units


def envelope(practice: Reader, clinic_name: str, *, control: int, at: datetime) -> Envelope:
    """Submitter, receiver and numbers of an interchange. `at`: local time of the clinic.

    Whether it is a test must be said (`practice.interchange.test`): a default would be a claim nobody meant to send,
    or one that is never paid.
    """
    test = practice.at("interchange.test")
    if not isinstance(test, bool):
        practice.missing.append("whether interchanges are tests (practice.interchange.test)")
    return Envelope(
        sender=_party(practice, "sender"),
        receiver=_party(practice, "receiver"),
        control=control,
        group_control=control,
        at=at,
        test=bool(test),
        submitter=practice.optional("submitter.name") or practice.optional("name") or clinic_name,
        submitter_id=practice.text("submitter.id", "the submitter's id"),
        contact=practice.text("submitter.contact", "the submitter's contact person"),
        telephone=practice.text("submitter.telephone", "the submitter's telephone number"),
        receiver_name=practice.text("receiver.name", "the receiver's name"),
        receiver_id=practice.text("receiver.id", "the receiver's id"),
    )


def _party(practice: Reader, which: str) -> tuple[str, str]:
    return (
        practice.optional(f"interchange.{which}_qualifier") or "ZZ",
        practice.text(f"interchange.{which}", f"the interchange id of the {which}"),
    )


def of_episode(identifiers: Filed, episode: str) -> dict[str, Any]:
    """A patient's identifiers with what is particular to one episode laid over them."""
    own = identifiers.get("episodes", {})
    own = own.get(episode, {}) if isinstance(own, Mapping) else {}
    return {**identifiers, **(own if isinstance(own, Mapping) else {})}
