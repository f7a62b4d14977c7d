"""Payers' answers word for word, without a database: TA1, 999, 277CA, 835, and files that are not whole."""

from __future__ import annotations

import pytest

from rtm_billing import CaseError
from rtm_billing.remittance import Answer, read_response

ISA = "ISA*00*          *00*          *ZZ*13282          *ZZ*SUB001         *260506*0930*^*00501*000000007*0*T*:~"


def file_of(kind: str, *body: str, version: str = "") -> str:
    """An interchange with one transaction, its counts right."""
    head = f"ST*{kind}*0001" + (f"*{version}" if version else "")
    return "\n".join(
        [
            ISA, "GS*XX*13282*SUB001*20260506*0930*7*X*005010~", f"{head}~", *(f"{part}~" for part in body),
            f"SE*{len(body) + 2}*0001~", "GE*1*7~", "IEA*1*000000007~", "",
        ]
    )  # fmt: skip


def test_an_envelopes_acknowledgement() -> None:
    for code, verdict, words in (
        ("A", "noted", "accepted (note 000)"),
        ("E", "noted", "accepted, with errors noted (note 000)"),
        ("R", "rejected", "rejected (note 000)"),
    ):
        text = f"{ISA}TA1*000000042*260501*0930*{code}*000~IEA*0*000000007~"
        response = read_response(text)
        assert response.kind == "TA1"
        assert response.answers == (
            Answer(verdict=verdict, words=f"TA1: the interchange was {words}", interchange=42),  # type: ignore[arg-type]  # a literal
        )


def test_an_acknowledgement_of_the_file() -> None:
    noted = ["IK3*CLM*21**8", "IK4*2*782*6", "IK3*SV1*29*2400", "IK5*R*5"]
    (answer,) = read_response(file_of("999", "AK1*HC*42", "AK2*837*0001", *noted, "AK9*R*1*1*0")).answers
    assert answer == Answer(
        verdict="rejected",
        words="999: the file was rejected (segment CLM at 21: error 8; its element 2: error 6;"
        " segment SV1 at 29: error below)",
        interchange=42,
    )
    for said, verdict, words in (
        ("A", "noted", "accepted"), ("E", "noted", "accepted, with errors noted"), ("P", "noted", "accepted in part"),
        ("M", "rejected", "rejected: the signature fails"), ("X", "rejected", "rejected: it cannot be decrypted"),
        ("W", "rejected", "rejected: the security check fails"),
    ):  # fmt: skip
        (answer,) = read_response(file_of("999", "AK1*HC*42", f"AK9*{said}*1*1*1")).answers
        assert (answer.verdict, answer.words) == (verdict, f"999: the file was {words}")
    for body, sentence in (
        (["AK9*A*1*1*1"], "the 999 does not say which group it is about"),
        (["AK1*HC*42", "AK9*Q*1*1*1"], "the 999 does not say whether the group was accepted"),
        (["AK1*HC*x", "AK9*A*1*1*1"], "AK1-02: 'x' is not a control number"),
        (["AK1*HC*1234567890", "AK9*A*1*1*1"], "AK1-02: '1234567890' is not a control number"),
    ):
        with pytest.raises(CaseError) as caught:
            read_response(file_of("999", *body))
        assert str(caught.value) == sentence


def test_an_acknowledgement_of_claims() -> None:
    body = [
        "HL*1**20*1", "TRN*1*TRACE", "STC*A1:19:PR*20260506*WQ*65",
        "HL*2*1*PT", "TRN*1*other", "TRN*2*HS1", "STC*A2:20:PR*20260506*WQ*65", "REF*D9*x", "REF*1K*ICN1",
        "SVC*HC:98977*65", "STC*A2:20*20260506", "REF*FJ*L1",
        "SVC*HC:98980*65", "STC*A7:562:85*20260506", "REF*6R*no", "REF*FJ*L2",
        "SVC*HC:98981*65", "STC*A7:454*20260506",
        "HL*3*1*PT", "TRN*2*HS2", "STC*A5:Z9*20260506", "STC*A8*20260506", "STC*ZZ:19*20260506",
    ]  # fmt: skip
    answers = read_response(file_of("277", *body, version="005010X214")).answers
    assert [(a.verdict, a.claim, a.line, a.payer_control, a.words) for a in answers] == [
        ("accepted", "HS1", "", "ICN1", "277CA: accepted into adjudication: accepted for processing (A2:20)"),
        ("rejected", "HS1", "L2", "ICN1", "277CA: rejected: something is wrong: the NPI (A7:562)"),
        ("accepted", "HS2", "", "", "277CA: split (A5:Z9)"),
        ("rejected", "HS2", "", "", "277CA: rejected: fields do not fit each other (A8:)"),
        ("noted", "HS2", "", "", "277CA: ZZ: the whole claim was taken (ZZ:19)"),
    ]
    for category in ("A3", "A4", "A6"):
        text = file_of("277", "HL*1**PT", "TRN*2*HS1", f"STC*{category}:21*20260506", version="005010X214")
        assert read_response(text).answers[0].verdict == "rejected"
    for old, new, said in (
        ("TRN*2*HS1", "TRN*2*", "a claim of the 277CA has no number"),
        ("*005010X214~", "*005010X212~", "the 277 is not a claim acknowledgement (005010X214)"),
    ):
        with pytest.raises(CaseError) as caught:
            read_response(file_of("277", *body, version="005010X214").replace(old, new))
        assert str(caught.value) == said


REMITTANCE = [
    "BPR*I*40.08*C*CHK", "TRN*1*CHECK1*1123456789", "LX*1",
    "CLP*HS1*1*195*40.08**MB*ICN1", "CAS*OA*23*1", "MOA*1*2*MA01**N130",
    "SVC*HC:98977*65*40.08**1", "CAS*CO*45*20.92*1*253*4", "CAS*PR*2*0.5", "REF*6R*L1", "LQ*HE*N362", "LQ*RX*zz",
    "SVC*HC:98980*65*0**1", "CAS*CO*50*65", "REF*6R*L2", "LQ*HE*N362", "LQ*HE*N362",
    "SVC*HC:98981*65*0**1", "CAS*PR*1*65", "REF*6R*L3",
    "CLP*HS2*4*65*0**MB*ICN2", "CAS*ZZ*P24*65", "CLP*HS3*1*65*12.5**MB", "CLP*HS4*22*-65*-40.08**MB*ICN4",
    "SVC*HC:98977*-65*-40.08**1", "REF*6R*L4",
    "PLB*1234567893*20261231*WO:HS1*12.5*L6*-0.75**1*QQ:x*2",
]  # fmt: skip


def test_a_remittance() -> None:
    response = read_response(file_of("835", *REMITTANCE))
    assert response.kind == "835"
    about = (
        "1.00 not paid, another adjustment: what another payer did (OA-23); an appeal is possible (MA01); "
        + ("see the plan's rules on what is covered (N130)")
    )
    more = "more units than the payer's most (N362)"
    assert [(a.verdict, a.claim, a.line, a.payer_control, a.reference, a.words) for a in response.answers] == [
        (
            "noted", "", "", "", "HS1",
            "835: 12.50 withheld from the payment besides the claims: an overpayment taken back (WO)",
        ),
        ("noted", "", "", "", "", "835: 0.75 added to the payment besides the claims: interest (L6)"),
        ("noted", "", "", "", "x", "835: 2.00 withheld from the payment besides the claims: QQ"),
        (
            "paid", "HS1", "L1", "ICN1", "",
            f"835: 40.08 of 65.00 paid; {about}; 20.92 not paid, the practice bears it: above the agreed fee (CO-45);"
            " 4.00 not paid, the practice bears it: sequestration (CO-253);"
            f" 0.50 not paid, the patient owes it: the coinsurance (PR-2); {more}",
        ),
        (
            "denied", "HS1", "L2", "ICN1", "",
            f"835: 0.00 of 65.00 paid; {about};"
            f" 65.00 not paid, the practice bears it: not seen as medically necessary (CO-50); {more}",
        ),
        (
            "paid", "HS1", "L3", "ICN1", "",
            f"835: 0.00 of 65.00 paid; {about}; 65.00 not paid, the patient owes it: the deductible (PR-1)",
        ),
        ("denied", "HS2", "", "ICN2", "", "835: 0.00 paid; 65.00 not paid, ZZ: ZZ-P24"),
        ("paid", "HS3", "", "", "", "835: 12.50 paid"),
        ("denied", "HS4", "", "ICN4", "", "835: the payer took back its earlier payment"),
    ]  # fmt: skip
    assert [answer.of_the_practice for answer in response.answers[:4]] == [True, True, True, False]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("CLP*HS1", "CLP*", "a claim of the 835 has no number"),
        ("REF*6R*L2", "REF*6P*L2", "a line of claim HS1 in the 835 has no control number (REF 6R)"),
        ("*65*40.08**1", "*65*much**1", "SVC03: 'much' is not an amount"),
        ("*65*40.08**1", "*1e13*40.08**1", "SVC02: '1e13' is not an amount"),
        ("*12.5**MB", "*NaN**MB", "CLP04: 'NaN' is not an amount"),
        ("CAS*CO*50*65", "CAS*CO*50*x", "CAS: 'x' is not an amount"),
        ("*QQ:x*2", "*QQ:x*x", "PLB: 'x' is not an amount"),
        ("ST*835", "ST*834", "the file is no TA1, 999, 277CA or 835"),
        (
            "IEA*1*000000007",
            "IEA*1*000000008",
            "the interchange does not end with the control number it began with",
        ),
        ("IEA*1*", "IEA*2*", "the interchange does not hold as many groups as it says"),
        ("GE*1*7", "GE*2*7", "a group does not end as it began"),
        ("GE*1*7", "GE*1*8", "a group does not end as it began"),
        ("SE*29*0001", "SE*30*0001", "transaction 0001 does not hold what its end says"),
        ("SE*29*0001", "SE*29*0002", "transaction 0002 does not hold what its end says"),
        ("GE*1*7~\n", "", "a group or transaction has no end"),
        ("SE*29*0001~\nGE*1*7~\n", "", "a group or transaction has no end"),
        ("ST*835*0001~", "ST*835*0001~\nST*835*0002~", "transaction 0002 begins outside its place"),
        ("GS*XX", "GS*XX*1*1*1*1*1*1*1~\nGS*XX", "the interchange does not hold as many groups as it says"),
        ("LX*1~", "1X*1~", "segment 6 has no name"),
        ("IEA*1*000000007~\n", "IEA*1*000000007", "the file is cut off in segment 33"),
        ("ISA*", "IS*", "the file does not begin with an ISA segment of 106 characters"),
        ("*T*:~", "*T**~", "the delimiters of the ISA segment cannot be told apart"),
        ("*T*:~", "*T*:A", "the delimiters of the ISA segment cannot be told apart"),
    ],
)
def test_what_is_not_whole_is_named(old: str, new: str, said: str) -> None:
    text = file_of("835", *REMITTANCE)
    assert old in text
    with pytest.raises(CaseError) as caught:
        read_response(text.replace(old, new, 1))
    assert str(caught.value) == said


def test_several_interchanges_and_other_kinds() -> None:
    one = file_of("835", *REMITTANCE)
    assert len(read_response(one + one).answers) == 2 * len(read_response(one).answers)
    with pytest.raises(CaseError, match=r"^the file holds answers of different kinds$"):
        read_response(one + file_of("999", "AK1*HC*42", "AK9*A*1*1*1"))
    with pytest.raises(CaseError, match=r"^the file is empty$"):
        read_response(" \n")
    with pytest.raises(CaseError, match=r"^the file is longer than 20000000 characters$"):
        read_response(" " * 20_000_001)
