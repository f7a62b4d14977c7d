"""Words and bytes exactly as they leave: a mutant that changes a sentence, a segment or a column is seen here."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from msgspec.structs import replace

from rtm_billing import CaseError
from rtm_billing.claim import Claim, Envelope
from rtm_billing.claim837p import write_837p
from rtm_billing.claim_checks import code_exists, npi_is_valid, problems
from rtm_billing.claims_csv import defused, manifest, row_hash
from rtm_billing.documentation import ExerciseNote, TimedNote, missing, prefilled
from rtm_billing.tables import Edits, Fee, Pair, load_fees, load_most_units, load_pairs
from rtm_billing.text import short
from rtm_billing.visits import ama_units, cms_units
from rtm_billing.x12 import identifier, plain

TODAY = date(2026, 5, 1)


def _spoiled(claim: Claim) -> Claim:
    """A claim with everything wrong at once."""
    address = replace(claim.billing.address, street=" ", state="ny", zip_code="12207")
    bad = replace(claim.lines[0], pointers=(1, 1), modifiers=("G",), charge=Decimal("-1"), units=1000)
    late = replace(claim.lines[1], service_date=date(2026, 5, 2), last_date=date(2026, 5, 1), pointers=(9,))
    return replace(
        claim,
        claim_id="",
        billing=replace(claim.billing, name=" ", npi="1234567890", tax_id="12", address=address),
        subscriber=replace(
            claim.subscriber,
            last="",
            member_id="",
            address=replace(claim.subscriber.address, zip_code="1220", city=""),
        ),
        payer=replace(claim.payer, name="", payer_id=""),
        rendering=replace(claim.rendering, npi="1") if claim.rendering else None,
        referring=replace(claim.referring, npi="2") if claim.referring else None,
        supervising=replace(claim.referring, npi="3") if claim.referring else None,
        diagnoses=("X", "M25.561", "M25561"),
        place="1",
        frequency="7",
        lines=(bad, late, replace(claim.lines[2], control_number="L1", modifiers=("GP", "GP"))),
    )


def test_every_problem_has_its_sentence(claim: Claim) -> None:
    assert problems(_spoiled(claim), today=TODAY) == [
        "billing.npi: the check digit is wrong",
        "billing.tax_id: must have 9 digits",
        "billing.address.zip_code: must have 9 digits",
        "billing.address.state: must be two capitals",
        "billing.address: street and city are needed",
        "subscriber.address.zip_code: must have 5 or 9 digits",
        "subscriber.address: street and city are needed",
        "rendering.npi: the check digit is wrong",
        "referring.npi: the check digit is wrong",
        "supervising.npi: the check digit is wrong",
        "billing.name: is empty",
        "subscriber.last: is empty",
        "subscriber.member_id: is empty",
        "payer.name: is empty",
        "payer.payer_id: is empty",
        "claim_id: must have 1 to 20 characters",
        "total: is not the sum of the lines",
        "diagnoses 1: is not an ICD-10-CM code",
        "diagnoses: one is given twice",
        "place: must have two digits",
        "payer_control_number: a replacement or void names the payer's number of the first claim",
        "frequency: Medicare corrects an adjudicated claim by reopening, not by a replacement claim",
        "line 1: a line points to 1 to 4 different diagnoses",
        "line 1: at most 4 modifiers of two characters",
        "line 1: the charge must be above zero, in whole cents",
        "line 1: units must be from 1 to 999",
        "line 2: points to a diagnosis that is not on the claim",
        "line 2: its last date is before its first",
        "line 3: a modifier is given twice",
        "lines: a control number is given twice",
    ]


def test_the_edges_of_the_checks(claim: Claim) -> None:
    def said(**changes: object) -> list[str]:
        return problems(replace(claim, **changes), today=TODAY)

    first = claim.lines[0]
    alone = replace(first, charge=claim.total)
    assert said(claim_id="C" * 20) == []
    assert said(claim_id="C" * 21) == ["claim_id: must have 1 to 20 characters"]
    assert said(lines=()) == ["lines: a claim has 1 to 50", "total: is not the sum of the lines"]
    many = tuple(
        replace(first, control_number=f"L{n}", code="97110", charge=Decimal("1.00")) for n in range(51)
    )
    assert said(lines=many[:50], total=Decimal(50)) == []
    assert said(lines=many, total=Decimal(51)) == ["lines: a claim has 1 to 50"]
    codes = tuple(f"M25.{n}" for n in range(100, 113))
    assert said(diagnoses=codes[:12]) == []
    assert said(diagnoses=codes) == ["diagnoses: a claim has 1 to 12"]
    assert said(lines=(replace(alone, units=999, pointers=(2, 1)),)) == []
    assert said(lines=(replace(alone, service_date=TODAY, modifiers=("GP", "CQ", "KX", "59")),)) == []
    assert said(lines=(replace(alone, last_date=date(2026, 5, 2)),)) == ["line 1: is dated in the future"]
    born = replace(claim.subscriber, born=first.service_date)
    assert said(lines=(alone,), subscriber=born) == []
    nine = replace(claim.subscriber, address=replace(claim.subscriber.address, zip_code="122081234"))
    assert said(subscriber=nine) == []
    twice = (first, replace(first, control_number="L2"))
    assert said(lines=twice, total=2 * first.charge) == ["lines: device supply twice on one date"]
    assert code_exists("98985", date(2026, 1, 1))
    assert code_exists("98975", date(2025, 12, 31))
    assert code_exists("97110", date(2020, 1, 1))
    assert not code_exists("99999", TODAY)
    # the check digit of a number whose doubled digits stay below ten, and of one whose do not
    assert [npi_is_valid(npi) for npi in ("1234567893", "1003000126", "1003000127")] == [True, True, False]


def test_the_whole_interchange(claim: Claim, envelope: Envelope) -> None:
    """Every segment there can be, in its place."""
    span = replace(claim.lines[0], last_date=date(2026, 4, 2))
    full = replace(
        claim,
        claim_id="HS-2",
        frequency="7",
        payer=replace(claim.payer, filing="CI", name="Plan", payer_id="60054"),
        payer_control_number="ICN9",
        prior_authorization="PA1",
        lines=(span, *claim.lines[1:]),
        subscriber=replace(claim.subscriber, middle="q"),
        supervising=replace(claim.referring, npi="1003000126") if claim.referring else None,
    )
    own = replace(
        claim,
        claim_id="HS-3",
        rendering=replace(claim.rendering, npi=claim.billing.npi) if claim.rendering else None,
        referring=None,
        note="",
        medical_record="",
    )
    elsewhere = replace(own, claim_id="HS-4", billing=replace(claim.billing, name="Other", taxonomy=""))
    text = write_837p([claim, full, own, elsewhere], replace(envelope, test=False))
    assert text.split("\n") == [*INTERCHANGE.strip("\n").split("\n"), ""]


def test_letters_and_marks() -> None:
    assert plain("x", "Straße Æsir œuvre Øre Łódź Đà Þór ẞ") == "STRASSE AESIR OEUVRE ORE LODZ DA THOR SS"
    assert plain("x", "a‘b’c`d“e”f–g—h‐i‑j|k#l%m") == "A'B'C'D\"E\"F-G-H-I-J/KNO.LPCTM"
    assert plain("x", " a\tb\nc\rd  e ") == "A B C D E"
    assert plain("x", "a" * 100) == "A" * 80
    assert plain("x", "abc", 2) == "AB"
    with pytest.raises(
        CaseError, match=r"^name: a character has no twin in the X12 character set; give it in plain"
    ):
        plain("name", "李")
    assert identifier("x", "aB-1", 4) == "aB-1"
    for text in ("", "aB-12", "a*b"):
        with pytest.raises(CaseError, match=r"^x: must be 1 to 4 plain characters$"):
            identifier("x", text, 4)
    for text in (" a", "a "):
        with pytest.raises(CaseError, match=r"^x: begins or ends with a space$"):
            identifier("x", text, 4)


def test_what_a_note_lacks_in_words() -> None:
    assert missing(TimedNote()) == [
        "the body part, muscles or joints", "the exercises", "the functional goal", "how the patient felt after it",
    ]  # fmt: skip
    found = missing(
        TimedNote(
            body_part="knee", functional_goal="stairs", response="tight",
            exercises=(ExerciseNote(exercise="squat", resistance="5 kg"), ExerciseNote()),
        )
    )  # fmt: skip
    assert found == [
        "squat: what it trains (strength, endurance, range of motion or flexibility)",
        "squat: sets",
        "squat: repetitions",
        "squat: how it was determined",
        "squat: hold time",
        "squat: type (isometric, isotonic, isokinetic; stretch: active, ballistic)",
        "exercise 2: its name",
        "exercise 2: what it trains (strength, endurance, range of motion or flexibility)",
        "exercise 2: sets",
        "exercise 2: repetitions",
        "exercise 2: resistance (or none)",
        "exercise 2: hold time",
        "exercise 2: type (isometric, isotonic, isokinetic; stretch: active, ballistic)",
    ]
    whole = ExerciseNote(
        exercise="squat",
        parameters=("strength",),
        sets=1,
        repetitions=2,
        resistance="none",
        hold_s=0.0,
        type="isotonic",
    )
    note = TimedNote(muscles_or_joints="knee", exercises=(whole,), functional_goal="stairs", response="tight")
    assert missing(note) == []
    assert prefilled(whole, sets=[5, 5], hold_s=3.0) == whole
    counted = prefilled(ExerciseNote(), sets=[5, 6], hold_s=3.0)
    assert (counted.sets, counted.repetitions, counted.hold_s) == (2, 11, 3.0)


def test_tables_row_by_row() -> None:
    rows = [
        "preamble", "Column 1\tColumn 2\tEffective\tDeletion\tModifier",
        "98977\tnot\t20260101\t*\t1", "no\t98985\t20260101\t*\t1", "98977\t98985\t20260101\t*\t9",
        "short", "98977\t98976\t20260101\t\t0 never", "98980\t98979\t20260101\t20261231\t1 allowed",
    ]  # fmt: skip
    never = Pair("98977", "98976", date(2026, 1, 1), None, modifier=False)
    allowed = Pair("98980", "98979", date(2026, 1, 1), date(2026, 12, 31), modifier=True)
    assert load_pairs(rows) == (never, allowed)
    edges = (date(2025, 12, 31), date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1))
    assert [allowed.holds_on(on) for on in edges] == [False, True, True, False]
    assert Edits((never, allowed)).conflict("98979", "98980", TODAY) == allowed
    assert load_most_units(["HCPCS,MUE Values", "bad,1", "98981,2"]) == {"98981": 2}
    fees = [
        "2026,01112,00,98977,  ,40.08",
        "x,1,2,98975,,1",
        "2026,1,2,bad,,1",
        "2026,1",
        "2026,01112,00,98980,26,54.11",
    ]
    assert load_fees(fees) == {
        ("0111200", "98977", ""): Fee("98977", "", "0111200", Decimal("40.08")),
        ("0111200", "98980", "26"): Fee("98980", "26", "0111200", Decimal("54.11")),
    }
    for load, lines, said in (
        (load_fees, ["2026,1,2,98975,,x"], "fee file line 1: 'x' is not an amount"),
        (load_most_units, ["HCPCS,MUE Value", "98981,many"], "MUE table line 2: 'many' is not a whole number"),
        (load_pairs, [rows[1], "98977\t98985\t2026\t*\t1"], "NCCI table line 2: '2026' is not a date (YYYYMMDD)"),
        (
            load_pairs, [rows[1], "98977\t98985\t20260101\tnever\t1"],
            "NCCI table line 2: 'never' is not a date (YYYYMMDD)",
        ),
        (load_most_units, ["nothing"], "table: no header with the columns code, mue"),
    ):  # fmt: skip
        with pytest.raises(CaseError) as caught:
            load(lines)
        assert str(caught.value) == said


def test_cells_and_hashes() -> None:
    assert defused("a\x00b\x1fc\tX") == "abc\tX"
    assert defused("plain\n=1") == "'plain\n=1"
    assert defused("\tplain") == "'\tplain"
    assert defused("XX") == "XX"
    assert row_hash(["a", 1]) == hashlib.sha256(b"a\x1f1").hexdigest()
    assert row_hash(["a", 1]) == row_hash(["a", "1"])
    assert row_hash(["a", "b"]) != row_hash(["ab"])
    at = datetime(2026, 5, 1, tzinfo=UTC)
    assert manifest([], "x", by="me", at=at) == {
        "rows": 0, "units": 0, "charge": "0", "by": "me", "at": "2026-05-01T00:00:00+00:00",
        "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
    }  # fmt: skip


def test_units_of_timed_services() -> None:
    day = {"97110": Fraction(33), "97140": Fraction(7)}
    assert cms_units(day) == {"97110": 2, "97140": 1}
    assert ama_units(day) == {"97110": 2, "97140": 0}
    assert cms_units({}) == {}
    assert [cms_units({"97110": Fraction(n)})["97110"] for n in (7, 8, 22, 23, 37, 38)] == [0, 1, 1, 2, 2, 3]


def test_values_shown_short() -> None:
    assert short({"a": 1}) == "an object"
    assert short(["a"] * 7) == "['a', 'a', 'a', 'a', 'a', 'a', 'a']"
    assert short(["a"] * 8) == "a list"
    assert short([1]) == "a list"
    assert short(10**20) == "1" + "0" * 20
    assert short(-(10**20) - 1) == "a number of more than 20 digits"
    assert short("a" * 58) == "'" + "a" * 58 + "'"
    assert short("a" * 59) == "'" + "a" * 56 + "..."


INTERCHANGE = """
ISA*00*          *00*          *ZZ*HOMESTRETCH    *ZZ*13282          *260501*0930*^*00501*000000042*0*P*:~
GS*HC*HOMESTRETCH*13282*20260501*0930*42*X*005010X222A1~
ST*837*0001*005010X222A1~
BHT*0019*00*000000042*20260501*093000*CH~
NM1*41*2*RIVERSIDE PHYSICAL THERAPY*****46*SUB001~
PER*IC*BILLING OFFICE*TE*5185550100~
NM1*40*2*NGS MEDICARE*****46*13282~
HL*1**20*1~
PRV*BI*PXC*261QP2000X~
NM1*85*2*RIVERSIDE PHYSICAL THERAPY*****XX*1234567893~
N3*1 MAIN ST~
N4*ALBANY*NY*122071234~
REF*EI*123456789~
HL*2*1*22*0~
SBR*P*18*******MB~
NM1*IL*1*NUNEZ O'BRIEN*ZOE****MI*1EG4TE5MK73~
N3*2 ELM ST*APT 3~
N4*ALBANY*NY*12208~
DMG*D8*19500228*F~
NM1*PR*2*MEDICARE PART B*****PI*13282~
CLM*HS-000123*190.1***11:B:1*Y*A*Y*Y~
REF*EA*MRN 77~
NTE*ADD*PLAN OF CARE CERTIFIED 03/01~
HI*ABK:M25561*ABF:Z96651~
NM1*DN*1*LUKASZ*ANNA****XX*1679576722~
NM1*82*1*MULLER*JORG****XX*1003000126~
PRV*PE*PXC*225100000X~
LX*1~
SV1*HC:98977:GP*80.1*UN*1***1~
DTP*472*D8*20260330~
REF*6R*L1~
LX*2~
SV1*HC:98980:GP:CQ*60*UN*1***1:2~
DTP*472*D8*20260331~
REF*6R*L2~
LX*3~
SV1*HC:98981:GP:CQ*50*UN*1***2~
DTP*472*D8*20260331~
REF*6R*L3~
CLM*HS-3*190.1***11:B:1*Y*A*Y*Y~
HI*ABK:M25561*ABF:Z96651~
LX*1~
SV1*HC:98977:GP*80.1*UN*1***1~
DTP*472*D8*20260330~
REF*6R*L1~
LX*2~
SV1*HC:98980:GP:CQ*60*UN*1***1:2~
DTP*472*D8*20260331~
REF*6R*L2~
LX*3~
SV1*HC:98981:GP:CQ*50*UN*1***2~
DTP*472*D8*20260331~
REF*6R*L3~
HL*3*1*22*0~
SBR*P*18*******CI~
NM1*IL*1*NUNEZ O'BRIEN*ZOE*Q***MI*1EG4TE5MK73~
N3*2 ELM ST*APT 3~
N4*ALBANY*NY*12208~
DMG*D8*19500228*F~
NM1*PR*2*PLAN*****PI*60054~
CLM*HS-2*190.1***11:B:7*Y*A*Y*Y~
REF*G1*PA1~
REF*F8*ICN9~
REF*EA*MRN 77~
NTE*ADD*PLAN OF CARE CERTIFIED 03/01~
HI*ABK:M25561*ABF:Z96651~
NM1*DN*1*LUKASZ*ANNA****XX*1679576722~
NM1*82*1*MULLER*JORG****XX*1003000126~
PRV*PE*PXC*225100000X~
NM1*DQ*1*LUKASZ*ANNA****XX*1003000126~
LX*1~
SV1*HC:98977:GP*80.1*UN*1***1~
DTP*472*RD8*20260330-20260402~
REF*6R*L1~
LX*2~
SV1*HC:98980:GP:CQ*60*UN*1***1:2~
DTP*472*D8*20260331~
REF*6R*L2~
LX*3~
SV1*HC:98981:GP:CQ*50*UN*1***2~
DTP*472*D8*20260331~
REF*6R*L3~
HL*4**20*1~
NM1*85*2*OTHER*****XX*1234567893~
N3*1 MAIN ST~
N4*ALBANY*NY*122071234~
REF*EI*123456789~
HL*5*4*22*0~
SBR*P*18*******MB~
NM1*IL*1*NUNEZ O'BRIEN*ZOE****MI*1EG4TE5MK73~
N3*2 ELM ST*APT 3~
N4*ALBANY*NY*12208~
DMG*D8*19500228*F~
NM1*PR*2*MEDICARE PART B*****PI*13282~
CLM*HS-4*190.1***11:B:1*Y*A*Y*Y~
HI*ABK:M25561*ABF:Z96651~
LX*1~
SV1*HC:98977:GP*80.1*UN*1***1~
DTP*472*D8*20260330~
REF*6R*L1~
LX*2~
SV1*HC:98980:GP:CQ*60*UN*1***1:2~
DTP*472*D8*20260331~
REF*6R*L2~
LX*3~
SV1*HC:98981:GP:CQ*50*UN*1***2~
DTP*472*D8*20260331~
REF*6R*L3~
SE*107*0001~
GE*1*42~
IEA*1*000000042~
"""
