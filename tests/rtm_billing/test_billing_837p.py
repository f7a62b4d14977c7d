"""The 837P against the real validator, and our own checks against mutants that the validator lets pass."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest
import pyx12.params
import pyx12.x12n_document
from msgspec.structs import replace

from rtm_billing import CaseError
from rtm_billing.claim import Claim, ClaimLine, Envelope
from rtm_billing.claim837p import write_837p
from rtm_billing.claim_checks import npi_is_valid, problems
from rtm_billing.x12 import plain


@dataclass
class Verdict:
    """What pyx12 says: its own boolean and the 999 it writes."""

    accepted: bool
    acknowledgement: str


def validate(text: str) -> Verdict:
    """Run pyx12 over an interchange."""
    params = pyx12.params.params()
    answer = io.StringIO()
    accepted = pyx12.x12n_document.x12n_document(
        param=params, src_file=io.StringIO(text), fd_997=answer, fd_html=None
    )
    return Verdict(bool(accepted), answer.getvalue())


def assert_accepted(text: str) -> None:
    verdict = validate(text)
    assert verdict.accepted, verdict.acknowledgement
    assert "IK5*A~" in verdict.acknowledgement
    assert "AK9*A*" in verdict.acknowledgement
    assert "IK3" not in verdict.acknowledgement


def test_pyx12_accepts(claim: Claim, envelope: Envelope) -> None:
    assert_accepted(write_837p([claim], envelope))


def test_pyx12_accepts_several_claims_and_patients(claim: Claim, envelope: Envelope) -> None:
    other = replace(claim.subscriber, last="Smith", member_id="2EG4TE5MK73")
    commercial = replace(claim.payer, name="Plan", payer_id="60054", filing="CI")
    again = replace(
        claim, claim_id="C", subscriber=other, payer=commercial, frequency="7", payer_control_number="ICN9"
    )
    span = replace(claim.lines[0], last_date=date(2026, 4, 2), charge=Decimal("190.10"))
    spanned = replace(
        claim, claim_id="D", lines=(span,), supervising=claim.referring, prior_authorization="PA1"
    )
    assert_accepted(write_837p([claim, again, spanned], envelope))


def test_pyx12_sees_a_broken_interchange(claim: Claim, envelope: Envelope) -> None:
    """Negative control: the validator is really asked."""
    text = write_837p([claim], envelope)
    assert "IK5*A~" not in validate(text.replace("DMG*D8*", "DMG*D9*")).acknowledgement


def test_same_bytes(claim: Claim, envelope: Envelope) -> None:
    assert write_837p([claim], envelope) == write_837p([claim], envelope)


def test_envelope_is_exact(claim: Claim, envelope: Envelope) -> None:
    text = write_837p([claim], envelope)
    segments = text.replace("\n", "").split("~")
    assert len(segments[0]) == 105  # 106 with its terminator
    assert segments[0].split("*")[13] == segments[-2].split("*")[2] == "000000042"
    start = next(i for i, part in enumerate(segments) if part.startswith("ST*"))
    end = next(i for i, part in enumerate(segments) if part.startswith("SE*"))
    assert segments[end] == f"SE*{end - start + 1}*{segments[start].split('*')[2]}"
    assert text.isascii()


def test_names_are_transliterated(claim: Claim, envelope: Envelope) -> None:
    text = write_837p([claim], envelope)
    assert "NM1*IL*1*NUNEZ O'BRIEN*ZOE****MI*1EG4TE5MK73~" in text
    assert "NM1*82*1*MULLER*JORG****XX*1003000126~" in text
    assert "NM1*DN*1*LUKASZ*ANNA****XX*1679576722~" in text


def test_money_and_lines(claim: Claim, envelope: Envelope) -> None:
    text = write_837p([claim], envelope)
    assert "CLM*HS-000123*190.1***11:B:1*Y*A*Y*Y~" in text
    assert "SV1*HC:98980:GP:CQ*60*UN*1***1:2~" in text
    assert "HI*ABK:M25561*ABF:Z96651~" in text
    assert "REF*6R*L3~" in text


@pytest.mark.parametrize("words", ["李", "🙂", "Иван"])
def test_other_scripts_are_refused_by_field(claim: Claim, envelope: Envelope, words: str) -> None:
    with pytest.raises(CaseError, match=r"subscriber\.last"):
        write_837p([replace(claim, subscriber=replace(claim.subscriber, last=words))], envelope)


def test_delimiters_never_reach_the_text() -> None:
    assert plain("x", "a*b:c^d~e\nf|g") == "A B C D-E F/G"


def test_long_names_are_cut_without_a_blank_at_the_end(claim: Claim, envelope: Envelope) -> None:
    long = replace(claim, subscriber=replace(claim.subscriber, last="A" * 59 + " B", first="C" * 34 + " D"))
    text = write_837p([long], envelope)
    assert f"NM1*IL*1*{'A' * 59}*{'C' * 34}****MI" in text
    assert_accepted(text)


def _first(claim: Claim, **changes: object) -> Claim:
    return replace(claim, lines=(replace(claim.lines[0], **changes), *claim.lines[1:]))


def _lines(claim: Claim, *lines: ClaimLine) -> Claim:
    return replace(claim, lines=lines, total=sum((line.charge for line in lines), Decimal(0)))


MUTANTS: dict[str, tuple[Callable[[Claim], Claim], str]] = {
    "billing npi": (lambda c: replace(c, billing=replace(c.billing, npi="1234567890")), "billing.npi"),
    "rendering npi": (
        lambda c: replace(c, rendering=replace(c.rendering, npi="1003000127") if c.rendering else None),
        "rendering.npi",
    ),
    "total": (lambda c: replace(c, total=c.total + Decimal("0.01")), "total"),
    "pointer": (lambda c: _first(c, pointers=(3,)), "points to a diagnosis"),
    "pointer zero": (lambda c: _first(c, pointers=(0,)), "points to a diagnosis"),
    "no pointer": (lambda c: _first(c, pointers=()), "1 to 4"),
    "code": (lambda c: _first(c, code="98987"), "98987 is not a code"),
    "code before its time": (
        lambda c: _first(c, code="98985", service_date=date(2025, 12, 31)),
        "98985 is not a code of 2025-12-31",
    ),
    "zip": (
        lambda c: replace(
            c, billing=replace(c.billing, address=replace(c.billing.address, zip_code="12207"))
        ),
        "billing.address.zip_code",
    ),
    "tax id": (lambda c: replace(c, billing=replace(c.billing, tax_id="12-345678")), "tax_id"),
    "diagnosis": (lambda c: replace(c, diagnoses=("M25561", "X")), "ICD-10"),
    "diagnosis twice": (lambda c: replace(c, diagnoses=("M25.561", "M25561")), "twice"),
    "medicare replacement": (lambda c: replace(c, frequency="7", payer_control_number="1"), "reopening"),
    "replacement of nothing": (
        lambda c: replace(c, frequency="7", payer=replace(c.payer, filing="CI")),
        "payer_control_number",
    ),
    "future": (lambda c: _first(c, service_date=date(2026, 5, 2)), "future"),
    "not born": (lambda c: replace(c, subscriber=replace(c.subscriber, born=date(2026, 4, 1))), "born"),
    "zero charge": (lambda c: _lines(c, replace(c.lines[0], charge=Decimal(0))), "charge"),
    "half cent": (lambda c: _lines(c, replace(c.lines[0], charge=Decimal("1.005"))), "whole cents"),
    "no units": (lambda c: _first(c, units=0), "units"),
    "five modifiers": (lambda c: _first(c, modifiers=("GP", "CQ", "KX", "59", "76")), "modifiers"),
    "modifier twice": (lambda c: _first(c, modifiers=("GP", "GP")), "twice"),
    "98981 alone": (lambda c: _lines(c, c.lines[0], c.lines[2]), "98981 stands without 98980"),
    "twins": (
        lambda c: _lines(c, c.lines[0], replace(c.lines[0], code="98985", control_number="L9")),
        "98985 and 98977",
    ),
    "98979 beside 98980": (
        lambda c: _lines(c, c.lines[1], replace(c.lines[1], code="98979", control_number="L9")),
        "98979 and 98980",
    ),
    "control number twice": (
        lambda c: _lines(c, c.lines[0], replace(c.lines[1], control_number="L1")),
        "control number",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_of_our_own_checks_is_caught(name: str, claim: Claim, envelope: Envelope) -> None:
    mutate, said = MUTANTS[name]
    assert problems(claim, today=envelope.at.date()) == []
    found = problems(mutate(claim), today=envelope.at.date())
    assert any(said in sentence for sentence in found), found
    with pytest.raises(CaseError):
        write_837p([mutate(claim)], envelope)


def test_npi_check_digit_finds_every_single_wrong_digit() -> None:
    right = "1234567893"
    assert npi_is_valid(right)
    for place in range(10):
        for digit in "0123456789":
            wrong = right[:place] + digit + right[place + 1 :]
            assert npi_is_valid(wrong) == (wrong == right)
    assert not npi_is_valid("123456789")
    assert not npi_is_valid("123456789٣")


def test_duplicate_and_no_claims(claim: Claim, envelope: Envelope) -> None:
    with pytest.raises(CaseError, match="given twice"):
        write_837p([claim, claim], envelope)
    with pytest.raises(CaseError, match="none"):
        write_837p([], envelope)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"control": 0}, "control"),
        ({"control": 10**9}, "control"),
        ({"sender": ("ZZ", "x" * 16)}, "sender"),
        ({"receiver": ("Z", "x")}, "receiver"),
        ({"telephone": "1"}, "telephone"),
        ({"submitter_id": "a*b"}, "submitter_id"),
    ],
)
def test_bad_envelopes_are_named(
    claim: Claim, envelope: Envelope, change: dict[str, object], said: str
) -> None:
    with pytest.raises(CaseError, match=said):
        write_837p([claim], replace(envelope, **change))
