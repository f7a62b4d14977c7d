"""Payers' answers: 999 written by the real validator, 277CA and 835 that it accepts, twice, torn and foreign."""

from __future__ import annotations

import contextlib
import io
from datetime import UTC, datetime
from uuid import UUID

import pytest
import pyx12.params
import pyx12.x12n_document
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_billing.errors import CaseError
from rtm_billing.remittance import read_response
from rtm_billing.x12 import interchange
from rtm_server.claims import lifecycle
from rtm_server.claims.errors import ClaimsError, ConflictError, NotAllowedError
from rtm_server.claims.export import export_month
from rtm_server.claims.intake import take_in
from rtm_server.claims.testing import LATER, MARCH, NOW, add_line, furnish, lines_of
from rtm_server.testing import Clinic, make_clinic

AT = datetime(2026, 5, 6, 9, 30, tzinfo=UTC)


def validated(text: str) -> str:
    """The 999 of pyx12 about a text."""
    answer = io.StringIO()
    pyx12.x12n_document.x12n_document(
        param=pyx12.params.params(), src_file=io.StringIO(text), fd_997=answer, fd_html=None
    )
    return answer.getvalue()


def faultless(text: str) -> bool:
    """Whether pyx12 finds nothing; without a 999, which it cannot write about an 835 (its ST has no ST03)."""
    return bool(
        pyx12.x12n_document.x12n_document(
            param=pyx12.params.params(), src_file=io.StringIO(text), fd_997=None, fd_html=None
        )
    )


def enveloped(kind: str, group: tuple[str, str], body: list[str], *, version: str = "") -> str:
    """An interchange of a payer."""
    head = f"ST*{kind}*0001{'*' + version if version else ''}~"
    segments = [head, *body]
    segments.append(f"SE*{len(segments) + 1}*0001~")
    return interchange(
        [segments], sender=("ZZ", "13282"), receiver=("ZZ", "SUB001"), control=7, group_control=7, group=group,
        at=AT, test=True,
    )  # fmt: skip


def acknowledgement(*claims: tuple[str, str]) -> str:
    """A 277CA: (our claim number, STC01) each."""
    body = [
        "BHT*0085*08*1*20260506*0930*TH~",
        "HL*1**20*1~", "NM1*PR*2*CONTRACTOR*****PI*13282~", "TRN*1*TRACE~", "DTP*050*D8*20260505~",
        "DTP*009*D8*20260506~",
        "HL*2*1*21*1~", "NM1*41*2*RIVERSIDE*****46*SUB001~", "TRN*2*000000001~", "STC*A1:19:PR*20260506*WQ*65~",
        "QTY*90*1~", "AMT*YU*65~",
        "HL*3*2*19*1~", "NM1*85*2*RIVERSIDE*****XX*1234567893~", "TRN*1*0~", "STC*A1:19:PR**WQ*65~", "QTY*QA*1~",
        "AMT*YU*65~",
    ]  # fmt: skip
    for number, (claim, status) in enumerate(claims, start=4):
        body += [
            f"HL*{number}*3*PT~", "NM1*QC*1*EXAMPLE*PAT****MI*1EG4TE5MK73~", f"TRN*2*{claim}~",
            f"STC*{status}*20260506*{'WQ' if status.startswith('A2') else 'U'}*65~", f"REF*1K*ICN{claim[-3:]}~",
            "DTP*472*D8*20260331~",
        ]  # fmt: skip
    return enveloped("277", ("HN", "005010X214"), body, version="005010X214")


def remittance(*claims: tuple[str, str, list[tuple[str, str, str, str]]]) -> str:
    """An 835: (claim, CLP02, [(line, code, paid, CAS)]) each; every line was charged 65."""
    body = [
        "BPR*I*40.08*C*CHK************20260506~", "TRN*1*CHECK1*1123456789~", "DTM*405*20260506~",
        "N1*PR*CONTRACTOR~", "N3*1 PAYER WAY~", "N4*ALBANY*NY*12207~", "PER*BL*HELP*TE*5185550199~",
        "N1*PE*RIVERSIDE*XX*1234567893~", "LX*1~",
    ]  # fmt: skip
    for claim, said, lines in claims:
        paid = sum(float(line[2]) for line in lines)
        body += [
            f"CLP*{claim}*{said}*{65 * len(lines)}*{paid:g}**MB*ICN{claim[-3:]}~",
            "NM1*QC*1*EXAMPLE*PAT****MI*1EG4TE5MK73~",
        ]
        for line, code, amount, cas in lines:
            body += [
                f"SVC*HC:{code}:GP*65*{amount}**1~",
                "DTM*472*20260331~",
                *([cas] if cas else []),
                f"REF*6R*{line}~",
            ]
    return enveloped("835", ("HP", "005010X221A1"), body)


def states(clinic: Clinic) -> dict[str, str]:
    return {line["code"]: line["state"] for line in lines_of(clinic)}


def reasons(clinic: Clinic, code: str) -> list[str]:
    (line,) = [each["line_id"] for each in lines_of(clinic) if each["code"] == code]
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        return [event.reason for event in lifecycle.history(tx, clinic.tenant, line)]


@pytest.fixture
def clerk(clinic: Clinic) -> UUID:
    """The clerk of a clinic whose first claim, of two lines, has left."""
    clerk = furnish(clinic)
    add_line(clinic, clerk, "98977")
    add_line(clinic, clerk, "98980")
    export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    return clerk


def take(clinic: Clinic, clerk: UUID, text: str) -> tuple[int, int, int]:
    taken = take_in(clinic.store, clinic.tenant, text.encode(), actor=clerk, now=LATER)
    return taken.moved, taken.unchanged, taken.unmatched


def test_the_samples_are_real() -> None:
    """The validator takes our 277CA and 835: the parser is not tested against its own idea of them."""
    claims = acknowledgement(("HS000000001", "A2:20:PR"), ("HS000000002", "A7:562:85"))
    money = remittance(("HS000000001", "1", [("L000000001", "98977", "40.08", "CAS*CO*45*24.92~")]))
    assert [faultless(text) for text in (claims, money)] == [True, True]
    assert not faultless(money.replace("CLP*", "CLQ*")), "negative control"


def test_the_validators_own_999(clinic: Clinic, clerk: UUID) -> None:
    (document,) = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW).documents
    text = document.content.decode()
    assert take(clinic, clerk, validated(text)) == (0, 2, 0)
    assert reasons(clinic, "98977")[-1] == "999: the file was accepted"
    assert take(clinic, clerk, validated(text.replace("DMG*D8*", "DMG*D9*"))) == (2, 0, 0)
    assert states(clinic) == {"98977": "rejected", "98980": "rejected"}
    assert reasons(clinic, "98977")[-1].startswith("999: the file was rejected (segment DMG")


def test_a_rejected_line_may_be_released_and_sent_anew(clinic: Clinic, clerk: UUID) -> None:
    take(clinic, clerk, acknowledgement(("HS000000001", "A7:562:85")))
    assert reasons(clinic, "98980")[-1] == "277CA: rejected: something is wrong: the NPI (A7:562)"
    add_line(clinic, clerk, "98977")
    documents = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER).documents
    assert "CLM*HS000000002*65*" in documents[1].content.decode()


def test_accepted_then_paid_and_denied_in_part(clinic: Clinic, clerk: UUID) -> None:
    assert take(clinic, clerk, acknowledgement(("HS000000001", "A2:20:PR"))) == (2, 0, 0)
    assert set(states(clinic).values()) == {"accepted"}
    paid = remittance(
        (
            "HS000000001", "1",
            [("L000000001", "98977", "40.08", "CAS*CO*45*24.92~"), ("L000000002", "98980", "0", "CAS*CO*50*65~")],
        )
    )  # fmt: skip
    assert take(clinic, clerk, paid) == (2, 0, 0)
    assert states(clinic) == {"98977": "paid", "98980": "denied"}
    assert reasons(clinic, "98977")[-1] == (
        "835: 40.08 of 65.00 paid; 24.92 not paid, the practice bears it: above the agreed fee (CO-45)"
    )
    assert "not seen as medically necessary (CO-50)" in reasons(clinic, "98980")[-1]
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute("SELECT payer_control FROM claim").fetchone()
    assert row == {"payer_control": "ICN001"}


def test_the_same_file_twice_and_the_same_answer_in_another_file(clinic: Clinic, clerk: UUID) -> None:
    text = acknowledgement(("HS000000001", "A2:20:PR"))
    take(clinic, clerk, text)
    again = take_in(clinic.store, clinic.tenant, text.encode(), actor=clerk, now=LATER)
    assert again.known
    before = reasons(clinic, "98977")
    assert take(clinic, clerk, text.replace("TRACE", "OTHER")) == (0, 2, 0)
    assert reasons(clinic, "98977") == before


def test_late_answers_move_nothing_back(clinic: Clinic, clerk: UUID) -> None:
    take(clinic, clerk, remittance(("HS000000001", "1", [("L000000001", "98977", "40.08", "")])))
    assert take(clinic, clerk, acknowledgement(("HS000000001", "A2:20:PR"))) == (1, 1, 0)
    assert states(clinic) == {"98977": "paid", "98980": "accepted"}


def test_a_deductible_is_no_denial_and_a_reversal_takes_back(clinic: Clinic, clerk: UUID) -> None:
    take(clinic, clerk, remittance(("HS000000001", "1", [("L000000001", "98977", "0", "CAS*PR*1*65~")])))
    assert states(clinic)["98977"] == "paid"
    assert "the patient owes it: the deductible (PR-1)" in reasons(clinic, "98977")[-1]
    take(clinic, clerk, remittance(("HS000000001", "22", [("L000000001", "98977", "-40.08", "")])))
    assert states(clinic) == {"98977": "denied", "98980": "denied"}


def test_remark_codes_say_what_is_meant(clinic: Clinic, clerk: UUID) -> None:
    text = remittance(("HS000000001", "4", [("L000000001", "98977", "0", "CAS*CO*16*65~")]))
    text = text.replace("REF*6R*L000000001~", "REF*6R*L000000001~LQ*HE*M76~LQ*HE*Z99~")
    text = text.replace("NM1*QC*1", "MOA***MA01~NM1*QC*1").replace("SE*17", "SE*20")
    assert take(clinic, clerk, text) == (1, 0, 0)
    assert reasons(clinic, "98977")[-1].endswith(
        "an appeal is possible (MA01); 65.00 not paid, the practice bears it: something is missing or wrong on the"
        " claim; the remark codes say what (CO-16); the diagnosis is missing or wrong (M76); remark Z99"
    )


def test_money_besides_the_claims_moves_no_line_and_is_said(clinic: Clinic, clerk: UUID) -> None:
    text = remittance(("HS000000001", "1", [("L000000001", "98977", "40.08", "")]))
    text = text.replace("SE*16", "PLB*1234567893*20261231*WO:HS000000001*12.5*L6*-0.75~SE*17")
    taken = take_in(clinic.store, clinic.tenant, text.encode(), actor=clerk, now=LATER)
    assert taken.besides == (
        "835: 12.50 withheld from the payment besides the claims: an overpayment taken back (WO)",
        "835: 0.75 added to the payment besides the claims: interest (L6)",
    )
    assert (taken.moved, taken.unmatched) == (1, 0)
    assert states(clinic) == {"98977": "paid", "98980": "exported"}
    assert "an overpayment taken back (WO)" in reasons(clinic, "98980")[-1]


def test_a_late_rejection_opens_no_denied_line(clinic: Clinic, clerk: UUID) -> None:
    """A person may, where the payer wants a new claim; a file that comes out of order may not."""
    take(clinic, clerk, remittance(("HS000000001", "4", [("L000000001", "98977", "0", "CAS*CO*16*65~")])))
    take(clinic, clerk, acknowledgement(("HS000000001", "A7:562:85")))
    assert states(clinic)["98977"] == "denied"
    (line,) = [each["line_id"] for each in lines_of(clinic) if each["code"] == "98977"]
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        lifecycle.mark(tx, clinic.tenant, clerk, line, "rejected", reason="they want a new claim", at=LATER)
    assert states(clinic)["98977"] == "rejected"


def test_unknown_codes_speak_for_themselves(clinic: Clinic, clerk: UUID) -> None:
    take(clinic, clerk, remittance(("HS000000001", "4", [("L000000001", "98977", "0", "CAS*CO*P24*65~")])))
    assert reasons(clinic, "98977")[-1].endswith("65.00 not paid, the practice bears it: CO-P24")


def test_a_stranger_is_counted_and_another_clinics_lines_are_strangers(clinic: Clinic, clerk: UUID) -> None:
    other = make_clinic(clinic.store)
    theirs = furnish(other)
    assert take(other, theirs, acknowledgement(("HS000000001", "A7:562:85"))) == (0, 0, 1)
    assert set(states(clinic).values()) == {"exported"}


def test_the_number_at_the_payer_lets_a_replacement_go(clinic: Clinic) -> None:
    plan = {"name": "Plan", "id": "60054", "filing": "CI", "member_id": "M1"}
    clerk = furnish(clinic, profile="commercial", payer=plan)
    add_line(clinic, clerk, "98979")
    export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    add_line(clinic, clerk, "98980", decision="replace")
    assert export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER).left_out
    take(clinic, clerk, acknowledgement(("HS000000001", "A2:20:PR")))
    done = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER)
    assert done.left_out == ()
    assert "REF*F8*ICN001" in done.documents[1].content.decode()


def test_by_hand_with_a_reason(clinic: Clinic, clerk: UUID) -> None:
    line = lines_of(clinic)[0]["line_id"]
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        with pytest.raises(ClaimsError, match="few words"):
            lifecycle.mark(tx, clinic.tenant, clerk, line, "rejected", reason="", at=LATER)
        with pytest.raises(ClaimsError, match="by hand"):
            lifecycle.mark(tx, clinic.tenant, clerk, line, "replaced", reason="they said so", at=LATER)
        with pytest.raises(NotAllowedError):
            lifecycle.mark(tx, clinic.tenant, clinic.therapist, line, "paid", reason="they said so", at=LATER)
        lifecycle.mark(tx, clinic.tenant, clerk, line, "rejected", reason="letter of 3 May", at=LATER)
        with pytest.raises(ConflictError):
            lifecycle.mark(tx, clinic.tenant, clerk, line, "paid", reason="letter of 4 May", at=LATER)


def test_who_may(clinic: Clinic, clerk: UUID) -> None:
    text = acknowledgement(("HS000000001", "A2:20:PR")).encode()
    with pytest.raises(NotAllowedError):
        take_in(clinic.store, clinic.tenant, text, actor=clinic.therapist, now=LATER)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[:0], "empty"),
        (lambda text: "hello" + text, "ISA segment"),
        (lambda text: text[: len(text) // 2], "cut off"),
        (lambda text: text.replace("IEA*1*000000007", "IEA*1*000000008"), "control number it began with"),
        (lambda text: text.replace("GE*1*7", "GE*2*7"), "does not end as it began"),
        (lambda text: text.replace("SE*", "SE*9"), "does not hold what its end says"),
        (lambda text: text.replace("*005010X214~", "*005010X212~"), "not a claim acknowledgement"),
        (lambda text: text.replace("ST*277*", "ST*834*"), "no TA1, 999, 277CA or 835"),
        (lambda text: text.replace("TRN*2*HS000000001~", "TRN*2*~"), "has no number"),
        (lambda text: text.replace("EXAMPLE", "MÜLLER"), "outside ASCII"),
    ],
)
def test_a_bad_file_is_one_sentence_and_changes_nothing(
    clinic: Clinic, clerk: UUID, change: object, said: str
) -> None:
    assert callable(change)
    text = change(acknowledgement(("HS000000001", "A2:20:PR")))
    with pytest.raises(ClaimsError, match=said):
        take_in(clinic.store, clinic.tenant, text.encode("latin-1"), actor=clerk, now=LATER)
    assert set(states(clinic).values()) == {"exported"}


def test_amounts_and_line_numbers_are_needed() -> None:
    text = remittance(("HS000000001", "1", [("L000000001", "98977", "40.08", "")]))
    for old, new, said in (
        ("*40.08**1~", "*NaN**1~", "not an amount"),
        ("REF*6R*", "REF*6P*", "control number"),
    ):
        with pytest.raises(CaseError, match=said):
            read_response(text.replace(old, new))


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 2000), character=st.sampled_from("*~:^A0 \n"), cut=st.booleans())
def test_a_torn_file_is_read_or_refused_never_a_crash(place: int, character: str, cut: bool) -> None:
    text = remittance(("HS000000001", "1", [("L000000001", "98977", "40.08", "CAS*CO*45*24.92~")]))
    at = place % len(text)
    torn = text[:at] if cut else text[:at] + character + text[at + 1 :]
    with contextlib.suppress(CaseError):
        read_response(torn)
