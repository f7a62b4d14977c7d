"""Edges that no other test stood on: bent code lived there unseen (`make mutation`)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from rtm_billing import evaluate as evaluate_case
from rtm_billing import payers
from rtm_billing.dates import month_of, zone
from rtm_billing.kit.build import OPEN, OVER_NEW_YEAR, case, days, entry
from rtm_billing.ledger_time import MINUTE, MonthLedger, Piece, unite_month
from rtm_billing.rules import rules_on

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


def test_a_doubtful_set_up_is_held_against_the_one_sent_in_the_episode() -> None:
    """98975 is once an episode: one sent before the 30 dates of this set-up stands against it, doubt or not."""
    made = case(
        {"episode.setup": {"on": "2026-03-10"}},
        data=days("2026-03-10", 3, doubt="a jump"),
        claims_sent=sent("98975", on="2026-03-05"),
    )
    assert "98975" not in dict(decisions(made))
    assert why_not(made)["98975"] == "already sent as A1"


def test_a_payer_that_covers_the_long_supply_alone() -> None:
    data = [*days("2026-03-01", 10), *days("2026-03-11", 6, doubt="a jump")]
    made = case(data=data, payer={"profile": "custom", "covered": ["98977"]})
    assert decisions(made) == [("98977", "hold")]
    assert why_not(made)["98985"] == "the payer (custom) does not cover 98985"


def test_doubt_about_days_is_told_of_minutes_in_their_month_only() -> None:
    data = [*days("2026-03-02", 1, doubt="a jump in March"), *days("2026-04-02", 1, doubt="a jump in April")]
    made = case(
        {"episode.discharged": None},
        data=data,
        management=[entry("2026-03-05T10:00", 20, doubt="a forgotten timer")],
    )
    (line,) = evaluate(made)["lines"]
    assert line["reasons"][:2] == [
        "rests on doubtful evidence: a forgotten timer",
        "rests on doubtful evidence: a jump in March",
    ]


def test_what_is_warned_of_in_whole_sentences() -> None:
    late = "2026-03-05T23:30"  # the clinic's date, not the UTC one, is compared with the visit's
    made = case(
        {"episode.device_basis": None},
        management=[entry(late, 10, "in_person"), entry("2026-03-05T23:35", 10, "in_person")],
        visits=[{"on": "2026-03-05"}],
    )
    assert evaluate(made)["warnings"] == [
        "device_basis is not given: taken as attested",
        "time entries of 2026-03 overlap by 5 minutes: united",
        "2026-03-05: a contact in person on the day of a visit; was it part of it?",
    ]


def test_a_contact_that_cannot_be_the_visits_is_not_asked_about() -> None:
    entries = [
        entry("2026-03-05T10:00", 10, "phone"),
        entry("2026-03-05T11:00", 10, "in_person", billed_elsewhere=True),
    ]
    assert evaluate(case(management=entries, visits=[{"on": "2026-03-05"}]))["warnings"] == []


def test_what_is_just_reached_has_no_last_date() -> None:
    made = case(
        {"episode.discharged": None},
        data=DATA[:1],
        management=[entry("2026-03-05T10:00", 20)],
        as_of="2026-03-31",
    )
    found = {(item["unit"], *item["codes"]): item for item in evaluate(made)["open"]}
    base, contact = found["minutes", "98980"], found["contact", "98980", "98981"]
    for item in (base, contact):
        assert (item["have"], item["reachable"], item["last_date"]) == (item["need"], True, None)
    add_on = found["minutes", "98981"]
    assert (add_on["need"], add_on["reachable"], add_on["last_date"]) == (40, True, "2026-03-31")


def test_a_reading_yet_to_come_hides_no_other() -> None:
    made = case(data=[{"on": "2026-05-01"}, *days("2026-03-01", 2)])
    assert decisions(made) == [("98985", "bill")]


def test_the_basis_of_days_holds_by_the_clinics_date_of_the_reading() -> None:
    """Taken on 31 March at the clinic (1 April in UTC), received on 5 April: the rule of March dates it."""
    made = case(
        {"episode.discharged": None},
        data=[
            {"at": "2026-03-31T23:30:00-04:00", "received_at": "2026-04-05T12:00:00Z"},
            {"on": "2026-03-30"},
        ],
        settings={"day_basis": [{"from": "2026-04-01", "value": "received"}]},
    )
    (line,) = evaluate(made)["lines"]
    assert line["evidence"]["data_days"] == ["2026-03-30", "2026-03-31"]


def test_late_entries_are_judged_by_the_clinics_date_of_their_end() -> None:
    settings = {"late_entry_days": [{"from": "2026-04-01", "value": 0}]}
    late = entry("2026-03-31T23:00", 30, entered_at="2026-04-03T12:00:00Z")
    assert decisions(
        case({"episode.discharged": None}, data=DATA[:1], management=[late], settings=settings)
    ) == [("98980", "bill")]


def test_time_of_the_day_of_the_evaluation_is_not_counted_yet() -> None:
    """An episode begun yesterday, with time of yesterday and of today."""
    made = case(
        {"episode.started": "2026-03-04", "episode.discharged": None},
        management=[entry("2026-03-04T10:00", 12), entry("2026-03-05T10:00", 7)],
        as_of="2026-03-05",
    )
    assert {item["have"] for item in evaluate(made)["open"] if item["unit"] == "minutes"} == {12}


def test_a_contact_in_the_last_microsecond_of_a_month_is_none_of_the_next() -> None:
    call = {**entry("2026-03-31T23:59", 0), "start": "2026-03-31T23:59:59.999999-04:00"}
    made = case(
        {"episode.discharged": None},
        data=[*DATA[:1], {"on": "2026-04-05"}],
        management=[{**call, "end": call["start"]}, entry("2026-04-05T10:00", 20, None)],
    )
    assert decisions(made) == []
    assert why_not(made)["98980"].startswith("20 minutes but no live two-way contact in the month")


def test_what_reaches_into_the_next_month_is_taken_from_its_own_kind() -> None:
    """Kept whole in March: 20 certain minutes until 00:10 on 1 April and 40 doubtful ones until 00:30.

    April keeps of its certain minutes what comes after the certain ones of March, of its doubtful ones what
    comes after all of March: 15 and 15.
    """
    late = {"entered_at": "2026-04-20T12:00:00Z"}
    made = case(
        {"episode.discharged": None},
        data=[*DATA[:1], {"on": "2026-04-05"}],
        management=[
            entry("2026-03-31T23:50", 20),
            entry("2026-03-31T23:50", 40, **late),
            entry("2026-04-01T00:05", 20),
            entry("2026-04-01T00:20", 25, **late),
        ],
        settings={"month_split": "start"},
        as_of="2026-06-01",
    )
    april = [line for line in evaluate(made)["lines"] if line["service_date"] == "2026-04-30"]
    assert [(line["code"], line["decision"], line["evidence"]["seconds"]) for line in april] == [
        ("98979", "bill", 900.0), ("98980", "hold", 1800.0),
    ]  # fmt: skip


def test_a_month_of_doubt_only_takes_nothing_from_certain_time() -> None:
    made = case(
        {"episode.discharged": None},
        data=[{"on": "2026-04-05"}],
        management=[
            entry("2026-03-31T23:50", 40, entered_at="2026-04-20T12:00:00Z"),
            entry("2026-04-01T00:00", 20),
        ],
        settings={"month_split": "start"},
    )
    april = [line for line in evaluate(made)["lines"] if line["service_date"] == "2026-04-30"]
    assert [(line["code"], line["decision"]) for line in april] == [("98980", "bill")]


def test_minutes_that_were_never_reached() -> None:
    ledger = MonthLedger([Piece(0, 20 * MINUTE, assistant=False, doubt=None)])
    time = unite_month(ledger, with_doubt=True)
    assert time.reached(20) == 20 * MINUTE
    with pytest.raises(ValueError, match=r"^21$"):
        time.reached(21)


def test_the_threshold_is_dated_to_the_microsecond() -> None:
    """Twenty minutes that end a microsecond after midnight are reached on the next day."""
    late = {"start": "2026-03-05T23:40:00.000001-05:00", "end": "2026-03-06T00:00:00.000001-05:00"}
    made = case(
        data=DATA[:1],
        management=[{**entry("2026-03-05T23:40", 20), **late}],
        settings={"management_date": "threshold"},
    )
    (line,) = evaluate(made)["lines"]
    assert line["service_date"] == "2026-03-06"


def test_what_a_case_says_of_its_payer_stands_over_the_profile() -> None:
    def lines(payer: dict[str, Any], **top: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = evaluate(case(payer=payer, **top))["lines"]
        return found

    assert lines({"rules_as_of": "2025-12-31"}, data=DATA[:15]) == []
    over = [{"on": "2026-03-01", "amount": "2480.01"}]
    for said, modifiers in ((None, ["GP", "KX"]), (False, ["GP"]), (True, ["GP", "KX"])):
        (line,) = lines({"therapy_threshold": said}, data=DATA, therapy_spend=over)
        assert line["modifiers"] == modifiers
    (line,) = lines({"profile": "custom", "therapy_threshold": True}, data=DATA, therapy_spend=over)
    assert line["modifiers"] == ["GP", "KX"]
    before = sent("98979", on="2026-03-31")
    for payer, correction in (
        ({}, "reopening"),
        ({"correction": "replacement"}, "replacement"),
        ({"profile": "commercial", "correction": "reopening"}, "reopening"),
    ):
        (line,) = lines(payer, data=DATA[:1], management=[entry("2026-03-05T10:00", 20)], claims_sent=before)
        assert (line["decision"], line["correction"]) == ("replace", correction)


def test_a_set_up_of_today_is_not_open_yet() -> None:
    changes = {"episode.setup": {"on": "2026-03-05"}, "episode.discharged": None}
    for as_of, codes in (("2026-03-05", set()), ("2026-03-06", {"98975"})):
        found = evaluate(case(changes, as_of=as_of))["open"]
        assert {code for item in found for code in item["codes"]} & {"98975"} == codes


def test_a_set_up_taught_before_there_was_a_code() -> None:
    """Taught in 2021, 16 days into 2022: held, by the rule of the year that had the code."""
    changes = {
        **OVER_NEW_YEAR,
        "episode.started": "2021-12-20",
        "episode.setup": {"on": "2021-12-20"},
    }
    made = case(
        changes, data=days("2021-12-20", 16), as_of="2022-03-01", settings={"setup_date": "education"}
    )
    line = next(line for line in evaluate(made)["lines"] if line["code"] == "98975")
    assert (line["service_date"], line["decision"]) == ("2021-12-20", "hold")
    assert line["evidence"]["need"] == [16, None]
    assert line["reasons"][0].startswith("data lie in 2021 and 2022")


def test_a_consent_that_ended_on_the_first_day_of_the_episode_still_anchors_its_windows() -> None:
    consent = [{"from": "2026-01-01", "to": "2026-03-01"}, {"from": "2026-03-10", "to": None}]
    made = case(
        {"episode.consent": consent, "episode.discharged": None},
        data=days("2026-03-10", 2),
        settings={"window_anchor": "consent"},
    )
    (line,) = evaluate(made)["lines"]
    assert line["period"] == ["2026-03-02", "2026-03-31"]  # the third window from 1 January


def test_no_window_is_open_before_its_first_day_is_over() -> None:
    changes = {"episode.discharged": None}
    for as_of, windows in (("2026-03-01", 0), ("2026-03-02", 2)):
        found = evaluate(case(changes, as_of=as_of, settings={"window_anchor": "started"}))["open"]
        assert len([item for item in found if item["unit"] == "days"]) == windows


@pytest.mark.parametrize(("first", "lines"), [("2030-12-24", [("98977", "hold")]), ("2030-12-10", [])])
def test_codes_that_end_with_a_year_hold_what_lies_in_both(
    first: str, lines: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if every code had ended with 2030: 16 days of both years are to be decided, 16 of 2030 are too late."""
    monkeypatch.setattr(
        payers, "rules_on", lambda kind, organ, on: rules_on(kind, organ, on) if on.year < 2031 else ()
    )
    changes = {**OVER_NEW_YEAR, "episode.started": "2030-12-10", "episode.discharged": "2031-01-08"}
    made = case(changes, data=days(first, 16), as_of="2031-03-01", settings={"window_anchor": "started"})
    found = evaluate(made)
    assert [(line["code"], line["decision"]) for line in found["lines"] if line["code"] == "98977"] == lines
    if lines:
        assert found["lines"][0]["reasons"][0].startswith("data lie in 2030 and 2031")


def test_an_open_window_lacks_nothing_yet() -> None:
    made = case({"episode.discharged": None}, data=DATA[:1], settings=THRESHOLD, as_of="2026-03-10")
    assert evaluate(made)["not_billable"] == []


def test_days_enough_for_a_code_that_came_after_them() -> None:
    made = case(
        OVER_NEW_YEAR,
        data=days("2025-12-28", 2),
        as_of="2026-02-01",
        settings={"supply_date": "threshold"},
    )
    assert why_not(made)["98985"] == "the last of its 2 data days was 2025-12-29, when 98985 did not exist"
    assert why_not(made)["98977"].startswith("2 of 16 data days;")


@pytest.mark.parametrize(("minutes", "more"), [(20, "1 more unit"), (45, "2 more units")])
def test_units_in_doubt_beyond_what_was_sent(minutes: int, more: str) -> None:
    made = case(
        data=DATA[:1],
        management=[
            entry("2026-03-05T10:00", 40),
            entry("2026-03-06T10:00", minutes, doubt="a forgotten timer"),
        ],
        claims_sent=sent("98980", "98981", on="2026-03-31"),
    )
    found = [item["why"] for item in evaluate(made)["not_billable"] if item["code"] == "98981"]
    assert found == [
        "already sent as A2",
        f"already sent as A2; {more} would rest on doubtful evidence",
    ]


def test_an_open_window_that_doubtful_days_would_decide() -> None:
    made = case(
        {"episode.discharged": None},
        data=[*DATA[:1], *days("2026-03-02", 1, doubt="a jump")],
        settings=THRESHOLD,
        as_of="2026-03-10",
    )
    assert decisions(made) == [("98985", "hold")]
    assert evaluate(made)["not_billable"] == []


@pytest.mark.parametrize(("at", "have"), [("2026-03-09T23:59:59-04:00", 2), ("2026-03-10T00:00:00-04:00", 1)])
def test_a_reading_at_the_clinics_midnight_of_the_evaluation_is_not_known_yet(at: str, have: int) -> None:
    """Wherever the patient is: in Los Angeles it is still the evening before."""
    made = case(
        {"episode.discharged": None},
        data=[*DATA[:1], {"at": at, "zone": "America/Los_Angeles"}],
        as_of="2026-03-10",
    )
    assert {item["have"] for item in evaluate(made)["open"] if item["unit"] == "days"} == {have}


@pytest.mark.parametrize("as_of", ["2023-05-01", "2023-05-02"])
def test_no_warning_of_what_is_not_known_yet(as_of: str) -> None:
    made = case(
        {"episode.started": "2023-04-01", "episode.discharged": None, "episode.consent": OPEN},
        management=[entry("2023-05-01T10:00", 10, role="assistant")],
        therapy_spend=[{"on": "2023-05-01", "amount": "10"}],
        as_of=as_of,
    )
    said = [
        "an assistant's time of 2023: in private practice it needed direct supervision then, "
        "which a case does not show",
        "therapy spend of 2023: no annual threshold is known for that year, so no KX is set",
    ]
    assert evaluate(made)["warnings"] == (said if as_of > "2023-05-01" else [])
