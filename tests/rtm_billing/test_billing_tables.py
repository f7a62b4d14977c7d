"""Loaders of the published tables, who may bill, and what a timed note must say."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from rtm_billing import CaseError, evaluate
from rtm_billing.documentation import ExerciseNote, TimedNote, missing, prefilled, suggested_code
from rtm_billing.kit.build import case
from rtm_billing.providers import standing, who_may_bill
from rtm_billing.tables import Edits, load_fees, load_most_units, load_pairs

PAIRS = """CPT only copyright
\t\t\t\t\t
Column 1\tColumn 2\tprior to 1996\tEffective Date\tDeletion Date *=no data\tModifier 0=not allowed
97530\t97116\t\t20200101\t*\t1
97150\t97110\t\t20240101\t20251231\t0
97140\t97530\t\t20200101\t20200101\t9
""".splitlines()


def test_pairs() -> None:
    edits = Edits(load_pairs(PAIRS))
    assert len(edits.pairs) == 2
    on = date(2026, 3, 1)
    found = edits.conflict("97116", "97530", on)
    assert found is not None
    assert found.modifier
    assert edits.conflict("97110", "97150", date(2025, 12, 31)) is not None
    assert edits.conflict("97110", "97150", on) is None
    assert Edits().conflict("97116", "97530", on) is None


def test_bad_tables_are_named() -> None:
    with pytest.raises(CaseError, match="no header"):
        load_pairs(["a,b"])
    with pytest.raises(CaseError, match=r"line 4.*not a date"):
        load_pairs([*PAIRS[:3], "97530\t97116\t\tlast year\t*\t1"])
    with pytest.raises(CaseError, match=r"line 2.*not a whole number"):
        load_most_units(["HCPCS/CPT Code,Practitioner Services MUE Values", "97110,many"])
    with pytest.raises(CaseError, match="not an amount"):
        load_fees(['"2026","01112","05","98980"," ","x"'])


def test_most_units() -> None:
    lines = [
        "notice",
        "HCPCS/CPT Code,Practitioner Services MUE Values,MUE Adjudication Indicator",
        "97110,6,3",
        ",,",
    ]
    assert load_most_units(lines) == {"97110": 6}


def test_fees() -> None:
    fees = load_fees(['"2026","01112","05","98980","  ","0000061.20","0000031.00"', '"TRAILER"'])
    assert fees["0111205", "98980", ""].amount == Decimal("61.20")


def test_who_may_bill() -> None:
    assert who_may_bill("physical_therapist", date(2026, 1, 1))
    assert not who_may_bill("physical_therapist", date(2021, 12, 31))
    assert not who_may_bill("physical_therapist_assistant", date(2026, 1, 1))
    before, after = (standing("physical_therapist_assistant", date(year, 6, 1)) for year in (2023, 2024))
    assert before is not None
    assert after is not None
    assert (before.supervision, after.supervision) == ("direct", "general")


def test_timed_note() -> None:
    assert missing(TimedNote())[:2] == ["the body part, muscles or joints", "the exercises"]
    exercise = ExerciseNote(
        exercise="squat",
        parameters=("strength",),
        resistance="10 kg",
        resistance_from="60 %1RM",
        type="isotonic",
    )
    note = TimedNote(
        body_part="knee", exercises=(exercise,), functional_goal="stairs", response="no tightness"
    )
    assert missing(note) == ["squat: sets", "squat: repetitions", "squat: hold time"]
    filled = prefilled(exercise, sets=[10, 8], hold_s=0.0)
    assert (filled.sets, filled.repetitions) == (2, 18)
    assert missing(TimedNote(body_part="knee", exercises=(filled,), functional_goal="x", response="y")) == []
    assert prefilled(filled, sets=[1], hold_s=9).repetitions == 18
    assert suggested_code(note) == "97110"
    several = ExerciseNote(parameters=("strength", "flexibility"))
    assert suggested_code(TimedNote(exercises=(several,))) == "97530"


def test_loaded_edits_hold_lines() -> None:
    services = [{"code": code, "minutes": 30} for code in ("97116", "97530")]
    made = case(visits=[{"on": "2026-03-20", "services": services}])
    lines: Any = evaluate(made, edits=Edits(load_pairs(PAIRS), {"97530": 1}))["lines"]
    assert [(line["code"], line["decision"]) for line in lines] == [("97116", "hold"), ("97530", "hold")]
    assert "modifier may allow" in lines[0]["reasons"][0]
    assert "MUE" in lines[1]["reasons"][0]
    plain: Any = evaluate(made)["lines"]
    assert [line["decision"] for line in plain] == ["bill", "bill"]
