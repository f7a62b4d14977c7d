"""Edges of claims and their files that no other test stood on: bent code lived there unseen (`make mutation`)."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from rtm_billing import CaseError
from rtm_billing.claim import Claim, Envelope
from rtm_billing.claim837p import write_837p
from rtm_billing.claim_checks import problems

TODAY = date(2026, 5, 1)


def said(claim: Claim, **changes: object) -> list[str]:
    return problems(replace(claim, **changes), today=TODAY)


def alone(claim: Claim, **changes: object) -> list[str]:
    """The problems of the claim with its first line only, changed."""
    return said(claim, lines=(replace(claim.lines[0], charge=claim.total, **changes),))


def test_the_least_and_most_of_a_claim(claim: Claim) -> None:
    assert said(claim, claim_id="C") == []
    lines = tuple(replace(line, pointers=(1,)) for line in claim.lines)
    assert said(claim, lines=lines, diagnoses=claim.diagnoses[:1]) == []
    five = replace(claim, diagnoses=("M25.561", "Z96.651", "M25.562", "Z96.652", "M17.11"))
    assert alone(five, pointers=(1, 2, 3, 4)) == []
    assert alone(five, pointers=(1, 2, 3, 4, 5)) == ["line 1: a line points to 1 to 4 different diagnoses"]


def test_digits_of_another_script_are_no_postal_code(claim: Claim) -> None:
    address = replace(claim.subscriber.address, zip_code="１２２０８")
    assert said(claim, subscriber=replace(claim.subscriber, address=address)) == [
        "subscriber.address.zip_code: must have 5 or 9 digits"
    ]


def test_a_line_before_the_patients_birth(claim: Claim) -> None:
    born = replace(claim.subscriber, born=date(2026, 3, 31))
    assert said(claim, subscriber=born) == ["line 1: is dated before the patient was born"]


def test_what_never_stands_together_does_on_two_dates(claim: Claim) -> None:
    first = replace(claim.lines[0], code="98979", service_date=date(2026, 2, 28))
    assert said(claim, lines=(first, *claim.lines[1:])) == []
    same = replace(first, service_date=claim.lines[1].service_date)
    assert said(claim, lines=(same, *claim.lines[1:])) == [
        "lines: 98979 and 98980 never stand together",
        "lines: 98979 and 98981 never stand together",
    ]


def test_an_add_on_needs_its_base(claim: Claim) -> None:
    assert alone(claim, code="98981") == ["lines: 98981 stands without 98980"]


@pytest.mark.parametrize(
    ("control", "group", "right"),
    [
        (1, 1, True),
        (999_999_999, 999_999_999, True),
        (0, 1, False),
        (1, 0, False),
        (10**9, 1, False),
        (1, 10**9, False),
    ],
)
def test_control_numbers_have_one_to_nine_digits(
    control: int, group: int, right: bool, claim: Claim, envelope: Envelope
) -> None:
    numbered = replace(envelope, control=control, group_control=group)
    if right:
        lines = write_837p([claim], numbered).split("\n")
        assert lines[0].split("*")[13] == f"{control:09}"
        assert lines[1].split("*")[6] == str(group)
    else:
        with pytest.raises(CaseError, match=r"^interchange\.control: must have 1 to 9 digits$"):
            write_837p([claim], numbered)


@pytest.mark.parametrize(("test", "usage"), [(True, "T"), (False, "P")])
def test_a_test_file_says_so(test: bool, usage: str, claim: Claim, envelope: Envelope) -> None:
    assert write_837p([claim], replace(envelope, test=test)).split("\n")[0].split("*")[15] == usage


@pytest.mark.parametrize("party", ["sender", "receiver"])
def test_each_party_is_named_in_a_refusal(party: str, claim: Claim, envelope: Envelope) -> None:
    for given, said_of_it in (
        (("ZZ", "A" * 16), "must be 1 to 15 plain characters"),
        (("Z", "A" * 15), "its qualifier must have 2 characters"),
    ):
        with pytest.raises(CaseError) as caught:
            write_837p([claim], replace(envelope, **{party: given}))
        assert str(caught.value) == f"interchange.{party}: {said_of_it}"
