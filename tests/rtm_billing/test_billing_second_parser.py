"""Our 837P through a second parser of other authors (x12sdk): the same claims, the same segments, and what breaks.

It also writes 835s from a seed, which our own reading of remittances is held against.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from x12sdk.generate import generate_835
from x12sdk.io import X12ModelReader, X12SegmentReader

from rtm_billing.claim import Claim, ClaimLine, Envelope
from rtm_billing.claim837p import write_837p
from rtm_billing.remittance import read_response
from rtm_billing.rules import RTM_CODES


def segments(text: str) -> list[str]:
    return [part for part in text.replace("\n", "").split("~") if part]


def read_again(text: str) -> Any:
    with X12ModelReader(text) as reader:
        (model,) = reader.models()
    return model


def assert_same(claims: list[Claim], envelope: Envelope) -> None:
    """The second parser finds our claims, and writes our segments again."""
    text = write_837p(claims, envelope)
    with X12SegmentReader(text) as reader:
        assert ["*".join(fields) for _, fields in reader.segments()] == segments(text)
    model = read_again(text)
    assert segments(model.x12()) == segments(text)[2:-2]  # without ISA, GS and their ends
    found = {each.patient_control_number: each for each in model.claims()}
    assert set(found) == {claim.claim_id for claim in claims}
    for claim in claims:
        assert Decimal(str(found[claim.claim_id].charge)) == claim.total
        lines = found[claim.claim_id].claim.loop_2400
        assert [line.sv1_segment.product_service_id_qualifier for line in lines] == [
            ":".join(["HC", line.code, *line.modifiers]) for line in claim.lines
        ]


def test_the_second_parser_reads_what_we_wrote(claim: Claim, envelope: Envelope) -> None:
    assert_same([claim], envelope)


def test_several_patients_payers_and_a_replacement(claim: Claim, envelope: Envelope) -> None:
    other = replace(claim.subscriber, last="Smith", member_id="2EG4TE5MK73")
    commercial = replace(claim.payer, name="Plan", payer_id="60054", filing="CI")
    again = replace(
        claim, claim_id="C", subscriber=other, payer=commercial, frequency="7", payer_control_number="ICN9"
    )
    span = replace(claim.lines[0], last_date=date(2026, 4, 2), charge=Decimal("190.10"))
    spanned = replace(
        claim, claim_id="D", lines=(span,), supervising=claim.referring, prior_authorization="PA1"
    )
    assert_same([claim, again, spanned], envelope)


@st.composite
def drawn_lines(draw: st.DrawFn) -> tuple[ClaimLine, ...]:
    """One to six lines of different codes that may stand together."""
    codes = draw(st.lists(st.sampled_from(sorted(RTM_CODES - {"98979", "98981"})), min_size=1, unique=True))
    return tuple(
        ClaimLine(
            control_number=f"L{number}",
            code=code,
            modifiers=draw(st.sampled_from([(), ("GP",), ("GP", "CQ"), ("GO", "CO", "KX")])),
            charge=draw(st.decimals("0.01", "9999.99", places=2)),
            units=draw(st.integers(1, 999)),
            service_date=date(2026, 3, 1 + number),
            pointers=draw(st.sampled_from([(1,), (2,), (1, 2), (2, 1)])),
        )
        for number, code in enumerate(codes)
    )


@settings(settings.get_profile("billing"), max_examples=15)
@given(lines=drawn_lines())
def test_any_lines_of_a_claim(claim: Claim, envelope: Envelope, lines: tuple[ClaimLine, ...]) -> None:
    total = sum((line.charge for line in lines), Decimal(0))
    assert_same([replace(claim, lines=lines, total=total)], envelope)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("DMG*D8*", "DMG*D9*"),
        ("DTP*472*D8*20260330", "DTP*472*D8*20261330"),
        ("HL*1**20*1", "HL*1**20*"),
        ("SBR*P*18", "SBR*P*99"),
        ("*UN*1***1:2", "*XX*1***1:2"),
    ],
)
def test_the_second_parser_is_really_asked(claim: Claim, envelope: Envelope, old: str, new: str) -> None:
    """Negative control: a segment that is wrong is refused, or at least not given back as the same."""
    text = write_837p([claim], envelope)
    assert old in text
    try:
        given_back = segments(read_again(text.replace(old, new)).x12())
    except ValueError:
        return
    assert given_back != segments(text)[2:-2]


@pytest.mark.parametrize("seed", range(12))
def test_remittances_of_another_author(seed: int) -> None:
    """Every claim and amount of a generated 835 comes out; lines without our control number are refused in words."""
    text = generate_835(seed=seed, claims=3, payer_name="EXAMPLE PLAN", payee_name="EXAMPLE GROUP")
    theirs = list(read_again(text).claims())
    numbered = _with_line_numbers(text)
    answers = read_response(numbered).answers
    assert {each.claim for each in answers if each.claim} == {
        each.claim.clp_segment.patient_control_number for each in theirs
    }
    assert len([each for each in answers if each.line]) == sum(len(each.service_lines) for each in theirs)


def _with_line_numbers(text: str) -> str:
    """The 835 with a REF*6R behind every SVC, and SE counting them."""
    made, number = [], 0
    for part in segments(text):
        if part.startswith("SE*"):
            _, count, control = part.split("*")
            made.append(f"SE*{int(count) + number}*{control}")
            continue
        made.append(part)
        if part.startswith("SVC*"):
            number += 1
            made.append(f"REF*6R*L{number}")
    return "~".join(made) + "~"
