"""The fields of the two forms, in the keys that `docs/reference/claims.md` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from rtm_billing.rules import RULES
from rtm_server.web.forms import checks
from rtm_server.web.forms.fields import Field, Group
from rtm_server.web.wording import code_words

RTM_CODES: tuple[str, ...] = tuple(sorted({rule.code for rule in RULES}))
# What a therapist teaches with sensors on: the codes of the exercise catalogue.
VISIT_WORDS: Mapping[str, str] = {
    "97110": "Therapeutic exercise, 15 minutes",
    "97530": "Therapeutic activities, 15 minutes",
}
TEST = (("true", "Test: nobody is to pay"), ("false", "Real claims"))

_PRACTICE = Group(
    "The practice",
    (
        Field("name", "Legal name", hint="As the payer has it; empty: the clinic's name."),
        Field("npi", "NPI", checks.npi, needed=True),
        Field("tax_id", "Tax id (EIN)", checks.tax_id, needed=True),
        Field("taxonomy", "Taxonomy code", checks.taxonomy),
        Field(
            "phone", "Telephone for patients", checks.telephone, "Stands on every patient's page.", kind="tel"
        ),
        Field("place_of_service", "Place of service", checks.place_of_service, "Empty: 11, an office."),
    ),
)
_SENDING = Group(
    "Sending the 837P",
    (
        Field("interchange.test", "Claims are", checks.yes_or_no, needed=True, choices=TEST),
        Field("submitter.name", "Submitter's name", hint="Empty: the legal name."),
        Field("submitter.id", "Submitter's id", needed=True),
        Field("submitter.contact", "Contact person", needed=True),
        Field("submitter.telephone", "Telephone", checks.telephone, needed=True, kind="tel"),
        Field("interchange.sender", "Sender's interchange id", needed=True),
        Field("interchange.sender_qualifier", "Its qualifier", checks.qualifier, "Empty: ZZ."),
        Field("receiver.name", "Receiver's name", needed=True),
        Field("receiver.id", "Receiver's id", needed=True),
        Field("interchange.receiver", "Receiver's interchange id", needed=True),
        Field("interchange.receiver_qualifier", "Its qualifier", checks.qualifier, "Empty: ZZ."),
    ),
    "Your clearing house or contractor gives you these.",
)


def address(path: str, zip_check: checks.Check) -> tuple[Field, ...]:
    """The five lines of an address."""
    return (
        Field(f"{path}.street", "Street", needed=True),
        Field(f"{path}.more", "Suite or apartment"),
        Field(f"{path}.city", "City", needed=True),
        Field(f"{path}.state", "State", checks.state, needed=True),
        Field(f"{path}.zip", "ZIP code", zip_check, needed=True),
    )


def person(path: str, *, needed: bool, taxonomy: bool = False) -> tuple[Field, ...]:
    """Somebody with an NPI."""
    extra = (Field(f"{path}.taxonomy", "Taxonomy code", checks.taxonomy),) if taxonomy else ()
    return (
        Field(f"{path}.first", "First name", needed=needed),
        Field(f"{path}.last", "Last name", needed=needed),
        Field(f"{path}.npi", "NPI", checks.npi, needed=needed),
        *extra,
    )


def practice_groups(therapists: Mapping[UUID, str], charged: Sequence[str] = ()) -> list[Group]:
    """The practice's form. therapists: who treats, by id of the sign-in. charged: codes with a charge besides ours."""
    codes = [*RTM_CODES, *VISIT_WORDS, *sorted(set(charged) - {*RTM_CODES, *VISIT_WORDS})]
    return [
        _PRACTICE,
        Group("Its address", address("address", checks.zip_9), "The street address of the practice; no box."),
        *(
            Group(f"Who treats: {name}", person(f"providers.{user}", needed=True, taxonomy=True))
            for user, name in therapists.items()
        ),
        Group("Who supervises", person("supervising", needed=False), "Where the payer asks for it."),
        Group(
            "Charge master",
            tuple(Field(f"charges.{code}", code, checks.money, _code_hint(code)) for code in codes),
            "The practice's own charge for one unit, in dollars. A code without a charge is left out of claims.",
        ),
        _SENDING,
    ]


def account_groups() -> list[Group]:
    """A patient's form."""
    return [
        Group(
            "The insured patient",
            (
                Field("first", "First name", needed=True),
                Field("middle", "Middle name"),
                Field("last", "Last name", needed=True),
                Field(
                    "sex", "Sex, as the payer has it", checks.sex, needed=True,
                    choices=(("F", "F"), ("M", "M"), ("U", "U")),
                ),
            ),
            "As on the insurance card.",
        ),
        Group("Address", address("address", checks.zip_code)),
        Group(
            "Payer",
            (
                Field("payer.name", "Name", needed=True),
                Field("payer.id", "Payer id", needed=True),
                Field(
                    "payer.filing", "Claim filing indicator", checks.filing, "MB: Medicare Part B. CI: commercial.",
                    needed=True,
                ),
                Field("payer.member_id", "Member id", needed=True),
                Field("payer.prior_authorization", "Prior authorization"),
            ),
        ),
        Group(
            "Diagnoses",
            (Field("diagnoses", "ICD-10-CM codes", checks.diagnoses, "The main one first.", needed=True),),
        ),
        Group("Who refers or certifies", person("referring", needed=False), "Medicare asks for it."),
    ]  # fmt: skip


def _code_hint(code: str) -> str:
    return VISIT_WORDS.get(code) or code_words(code)
