"""Edges of claims and their files that no other test stood on: bent code lived there unseen (`make mutation`)."""

from __future__ import annotations

import re
from datetime import date

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from rtm_billing import CaseError
from rtm_billing.claim import Claim, Envelope
from rtm_billing.claim837p import write_837p
from rtm_billing.claim_checks import problems
from rtm_billing.claims_csv import defused
from rtm_billing.tables import load_pairs

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


def changed(struct: Struct, path: str, value: object) -> Struct:
    """The struct with the field at a dotted path replaced."""
    name, _, rest = path.partition(".")
    return replace(struct, **{name: changed(getattr(struct, name), rest, value) if rest else value})


def written(claim: Claim, envelope: Envelope, path: str, value: object) -> list[str]:
    """The segments of the claim, with one field of claim or envelope replaced."""
    whole, _, field = path.partition(".")
    if whole == "envelope":
        text = write_837p([claim], msgspec.convert(changed(envelope, field, value), Envelope))
    else:
        text = write_837p([msgspec.convert(changed(claim, field, value), Claim)], envelope)
    return text.split("~\n")


WORDS = [
    ("envelope.submitter", "submitter", 60, "NM1*41*", 3),
    ("envelope.contact", "contact", 60, "PER*", 2),
    ("envelope.receiver_name", "receiver_name", 60, "NM1*40*", 3),
    ("claim.billing.name", "billing.name", 60, "NM1*85*", 3),
    ("claim.billing.address.street", "billing.address", 55, "N3*", 1),
    ("claim.billing.address.more", "billing.address", 55, "N3*", 2),
    ("claim.billing.address.city", "billing.address", 30, "N4*", 1),
    ("claim.subscriber.last", "subscriber.last", 60, "NM1*IL*", 3),
    ("claim.subscriber.first", "subscriber.first", 35, "NM1*IL*", 4),
    ("claim.subscriber.middle", "subscriber.middle", 25, "NM1*IL*", 5),
    ("claim.payer.name", "payer.name", 60, "NM1*PR*", 3),
    ("claim.note", "note", 80, "NTE*", 2),
    ("claim.rendering.last", "provider.last", 60, "NM1*82*", 3),
    ("claim.rendering.first", "provider.first", 35, "NM1*82*", 4),
]


@pytest.mark.parametrize(("path", "field", "most", "segment", "place"), WORDS, ids=[row[0] for row in WORDS])
def test_words_are_cut_to_their_element_and_refused_by_their_field(
    path: str, field: str, most: int, segment: str, place: int, claim: Claim, envelope: Envelope
) -> None:
    found = next(each for each in written(claim, envelope, path, "A" * 100) if each.startswith(segment))
    assert found.split("*")[place] == "A" * most
    with pytest.raises(CaseError, match=rf"^{re.escape(field)}: a character has no twin"):
        written(claim, envelope, path, "李")


def test_the_address_of_a_patient_is_named(claim: Claim, envelope: Envelope) -> None:
    with pytest.raises(CaseError, match=r"^subscriber\.address: a character has no twin"):
        written(claim, envelope, "claim.subscriber.address.street", "李")


NUMBERS = [
    ("envelope.submitter_id", "submitter_id", 80),
    ("envelope.receiver_id", "receiver_id", 80),
    ("claim.billing.taxonomy", "billing.taxonomy", 10),
    ("claim.subscriber.member_id", "subscriber.member_id", 80),
    ("claim.payer.payer_id", "payer.payer_id", 80),
    ("claim.payer.filing", "payer.filing", 2),
    ("claim.prior_authorization", "prior_authorization", 50),
    ("claim.medical_record", "medical_record", 50),
    ("claim.rendering.taxonomy", "rendering.taxonomy", 10),
]


@pytest.mark.parametrize(("path", "field", "most"), NUMBERS, ids=[row[0] for row in NUMBERS])
def test_a_number_is_sent_whole_or_refused_by_its_field(
    path: str, field: str, most: int, claim: Claim, envelope: Envelope
) -> None:
    assert any("A" * most in each for each in written(claim, envelope, path, "A" * most))
    with pytest.raises(CaseError) as caught:
        written(claim, envelope, path, "A" * (most + 1))
    assert str(caught.value) == f"{field}: must be 1 to {most} plain characters"


def test_the_payers_number_and_the_lines_own(claim: Claim, envelope: Envelope) -> None:
    replacement = replace(claim, frequency="7", payer=replace(claim.payer, filing="CI"))
    path = "claim.payer_control_number"
    assert f"REF*F8*{'A' * 50}" in written(replacement, envelope, path, "A" * 50)
    with pytest.raises(CaseError, match=r"^payer_control_number: must be 1 to 50 plain characters$"):
        written(replacement, envelope, path, "A" * 51)
    lines = (replace(claim.lines[0], control_number="A" * 30), *claim.lines[1:])
    assert f"REF*6R*{'A' * 30}" in written(claim, envelope, "claim.lines", lines)
    lines = (replace(claim.lines[0], control_number="A" * 31), *claim.lines[1:])
    with pytest.raises(CaseError, match=r"^line\.control_number: must be 1 to 30 plain characters$"):
        written(claim, envelope, "claim.lines", lines)


def test_why_nothing_is_written(claim: Claim, envelope: Envelope) -> None:
    for claims, to, said_of_it in (
        ([], envelope, "claims: there is none to write"),
        ([claim, claim], envelope, "claim HS-000123: is given twice"),
        ([replace(claim, place="1")], envelope, "claim HS-000123: place: must have two digits"),
        ([claim], replace(envelope, telephone="555-0100"), "telephone: must have 10 digits"),
    ):
        with pytest.raises(CaseError) as caught:
            write_837p(claims, to)
        assert str(caught.value) == said_of_it


def test_a_cell_is_defused_by_its_lines() -> None:
    for text in ("a\r=1", "a\n=1", "\u00a0=1", "\u200b=1", "\rplain", "\tplain", "\nplain", "  +1"):
        assert defused(text) == f"'{text}"
    for text in ("a =1", "", " ", "a\rb", "1=1"):
        assert defused(text) == text
    assert defused("a\ud800b") == "ab"


def test_rows_of_published_tables_at_their_edges() -> None:
    head = "Column 1\tColumn 2\tEffective\tDeletion\tModifier"
    rows = [head, "", "98977\t98985\t20260101\t*", "98977\t98985\t20260101\t*\t9 not used"]
    assert load_pairs(rows) == ()
    with pytest.raises(CaseError, match=r"^NCCI table line 2: '202601011' is not a date \(YYYYMMDD\)$"):
        load_pairs([head, "98977\t98985\t202601011\t*\t1"])


def test_a_first_claim_names_no_number_of_the_payers(claim: Claim, envelope: Envelope) -> None:
    assert not any(
        each.startswith("REF*F8") for each in written(claim, envelope, "claim.payer_control_number", "ICN9")
    )


def test_a_claims_number_holds_no_delimiter(claim: Claim, envelope: Envelope) -> None:
    with pytest.raises(CaseError, match=r"^claim_id: must be 1 to 20 plain characters$"):
        written(claim, envelope, "claim.claim_id", "A*B")


def test_only_who_renders_says_the_taxonomy(claim: Claim, envelope: Envelope) -> None:
    assert not any(
        each.startswith("PRV*PE") for each in written(claim, envelope, "claim.rendering.taxonomy", "")
    )
    found = written(claim, envelope, "claim.referring.taxonomy", "207Q00000X")
    assert [each for each in found if each.startswith("PRV*PE")] == ["PRV*PE*PXC*225100000X"]
