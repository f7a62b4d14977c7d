"""Edges that no other test stood on: bent code lived there unseen (`make mutation`)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from rtm_billing import evaluate as evaluate_case
from rtm_billing.dates import month_of, zone
from rtm_billing.kit.build import case, days, entry

DATA = days("2026-03-01", 16)


def evaluate(made: dict[str, Any]) -> dict[str, Any]:
    return evaluate_case(made)


def decisions(made: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line["code"], line["decision"]) for line in evaluate(made)["lines"]]


def why_not(made: dict[str, Any]) -> dict[str, str]:
    return {item["code"]: item["why"] for item in evaluate(made)["not_billable"]}


def sent(*codes: str, on: str = "2026-03-30") -> list[dict[str, str]]:
    return [{"code": code, "service_date": on, "claim_id": f"A{n}"} for n, code in enumerate(codes, start=1)]


def test_a_code_after_a_global_period_is_still_looked_up() -> None:
    others = [
        {"kind": "global_surgery", "from": "2020-01-01", "to": "2020-02-01"},
        {"kind": "code", "code": "12345"},
        {"kind": "code", "code": "99490"},
        {"kind": "code", "code": "98977", "same_practitioner": True},
    ]
    assert evaluate(case(data=DATA, other_services=others))["warnings"][-2:] == [
        "other service 12345: unknown code, its effect on these lines is not known",
        "other service 98977 is this practitioner's own: list it under claims_sent",
    ]


def test_each_twin_is_held_against_what_was_sent() -> None:
    """Ten certain days give 98985, six doubtful ones 98977: the long twin was sent, so neither is left."""
    data = [*days("2026-03-01", 10), *days("2026-03-11", 6, doubt="a jump")]
    made = case(data=data, claims_sent=sent("98977"))
    assert decisions(made) == []
    found = why_not(made)
    assert found["98985"] == "98977 already sent as A1 for the same period, never both"
    assert found["98977"] == "already sent as A1"


@pytest.mark.parametrize("rival", ["98980", "98981"])
def test_98979_never_stands_beside_98980_or_its_add_on(rival: str) -> None:
    made = case(
        data=DATA[:1],
        management=[entry("2026-03-05T10:00", 12)],
        claims_sent=sent(rival, on="2026-03-31"),
    )
    assert decisions(made) == []
    assert why_not(made)["98979"] == f"{rival} already sent as A1 for the same period, never both"


@pytest.mark.parametrize(
    ("discipline", "modifiers", "decision"), [("PT", ["GP"], "hold"), ("none", [], "bill")]
)
def test_who_bills_is_told_by_the_discipline_where_it_is_not_given(
    discipline: str, modifiers: list[str], decision: str
) -> None:
    """A therapist's line needs a plan of care and a modifier, a physician's neither."""
    changes: dict[str, Any] = {
        "episode.discipline": discipline,
        "episode.therapist_billed": None,
        "episode.plan_of_care": [],
    }
    (line,) = evaluate(case(changes, data=DATA))["lines"]
    assert (line["modifiers"], line["decision"]) == (modifiers, decision)


THRESHOLD = {"supply_when": "threshold"}  # decided at once, and still dated by the window's end


@pytest.mark.parametrize(("on", "kx"), [("2026-03-19", True), ("2026-03-20", False)])
def test_spend_on_the_day_of_the_evaluation_is_not_known_yet(on: str, kx: bool) -> None:
    made = case(
        {"episode.discharged": None},
        data=DATA,
        settings=THRESHOLD,
        as_of="2026-03-20",
        therapy_spend=[{"on": on, "amount": "2480.01"}],
    )
    (line,) = evaluate(made)["lines"]
    assert (line["service_date"], "KX" in line["modifiers"]) == ("2026-03-30", kx)


@pytest.mark.parametrize(("first", "decision"), [("2026-03-19", "hold"), ("2026-03-20", "bill")])
def test_another_service_from_the_day_of_the_evaluation_is_not_known_yet(first: str, decision: str) -> None:
    other = {"kind": "code", "code": "99457", "from": first, "to": "2026-03-28"}
    made = case(
        {"episode.discharged": None},
        data=DATA,
        settings=THRESHOLD,
        as_of="2026-03-20",
        other_services=[other],
    )
    assert decisions(made) == [("98977", decision)]


def test_a_patient_without_a_zone_lives_in_the_clinics() -> None:
    late = [{"at": f"2026-03-0{day}T23:30:00-05:00"} for day in (2, 3)]
    (line,) = evaluate(case(data=late, patient={}))["lines"]
    assert line["evidence"]["data_days"] == ["2026-03-02", "2026-03-03"]


def test_a_zone_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"^Mars/Olympus$"):
        zone("Mars/Olympus")


@pytest.mark.parametrize(
    ("on", "last"), [("2024-02-29", 29), ("2026-02-01", 28), ("2026-04-30", 30), ("2026-12-31", 31)]
)
def test_months_end_on_their_last_date(on: str, last: int) -> None:
    day = date.fromisoformat(on)
    assert month_of(day) == (day.replace(day=1), day.replace(day=last))
