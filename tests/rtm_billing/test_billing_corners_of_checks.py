"""Corners that bent code showed: edges of dates and units, who must say what, words of holds."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from rtm_billing import CaseError, settings_table
from rtm_billing import evaluate as evaluate_case
from rtm_billing.dates import Period, one_year_after
from rtm_billing.kit.build import OPEN, OVER_NEW_YEAR, case, days, entry
from rtm_billing.providers import standing, who_may_bill
from rtm_billing.spans import clip, covers, subtract
from rtm_billing.tables import Edits, Pair

DATA = days("2026-03-01", 16)
HOUR = [entry("2026-03-05T10:00", 60)]


def evaluate(made: dict[str, Any], **more: Any) -> dict[str, Any]:
    return evaluate_case(made, **more)


def decisions(made: dict[str, Any], **more: Any) -> dict[str, str]:
    return {line["code"]: line["decision"] for line in evaluate(made, **more)["lines"]}


@pytest.mark.parametrize(
    ("same", "related", "decision"),
    [
        (None, None, "hold"), (True, None, "hold"), (None, True, "hold"), (None, False, "bill"),
        (False, None, "bill"), (False, False, "bill"), (True, False, "bill"), (False, True, "bill"),
    ],
)  # fmt: skip
def test_whose_global_period_it_is(same: bool | None, related: bool | None, decision: str) -> None:
    surgery = {"kind": "global_surgery", "from": "2026-03-01", "same_practitioner": same, "related": related}
    assert decisions(case(data=DATA, other_services=[surgery])) == {"98977": decision}


@pytest.mark.parametrize(
    ("code", "same", "decision"),
    [
        ("98980", None, "hold"), ("98980", False, "hold"), ("98980", True, "bill"), ("99457", True, "hold"),
        ("99490", False, "bill"), ("97110", False, "bill"), ("12345", False, "bill"),
    ],
)  # fmt: skip
def test_other_services_by_code_and_practitioner(code: str, same: bool | None, decision: str) -> None:
    other = {
        "kind": "code",
        "code": code,
        "from": "2026-03-30",
        "to": "2026-03-30",
        "same_practitioner": same,
    }
    assert decisions(case(data=DATA, other_services=[other])) == {"98977": decision}


def test_a_set_up_sent_on_the_first_day_of_the_episode() -> None:
    sent = [{"code": "98975", "service_date": "2026-03-01", "claim_id": "A1"}]
    later = {"episode.setup": {"on": "2026-03-10"}}
    assert "98975" not in decisions(case(later, data=DATA, claims_sent=sent))
    before = [{**sent[0], "service_date": "2026-02-28"}]
    assert decisions(case(later, data=DATA, claims_sent=before))["98975"] == "bill"


def test_loaded_edits_hold_only_what_they_say() -> None:
    made = case(data=DATA, management=HOUR)
    assert decisions(made, edits=Edits(most_units={"98981": 2})) == dict.fromkeys(
        ("98977", "98980", "98981"), "bill"
    )
    held = evaluate(made, edits=Edits(most_units={"98981": 1}))["lines"][-1]
    assert held["reasons"][0] == "2 units are more than the 1 of the loaded MUE table"
    for modifier, how in ((True, "a modifier may allow it"), (False, "no modifier allows it")):
        edits = Edits((Pair("98980", "98981", date(2026, 1, 1), None, modifier),))
        lines = evaluate(made, edits=edits)["lines"]
        assert [line["decision"] for line in lines] == ["bill", "bill", "hold"]
        assert lines[2]["reasons"][0] == f"the loaded NCCI table does not pay it beside 98980: {how}"
    other_date = Edits((Pair("98977", "98980", date(2026, 1, 1), None, modifier=True),))
    assert set(decisions(made, edits=other_date).values()) == {"bill"}


def test_spend_of_new_years_day_counts() -> None:
    for on, modifiers in (("2026-01-01", ["GP", "KX"]), ("2025-12-31", ["GP"]), ("2026-03-30", ["GP", "KX"])):
        spend = [{"on": on, "amount": "2480.01"}]
        (line,) = evaluate(case(data=DATA, therapy_spend=spend))["lines"]
        assert line["modifiers"] == modifiers
    spend = [{"on": "2026-03-31", "amount": "2480.01"}]
    assert evaluate(case(data=DATA, therapy_spend=spend))["lines"][0]["modifiers"] == ["GP"]


def test_amounts_as_numbers_too() -> None:
    (line,) = evaluate(case(data=DATA, therapy_spend=[{"on": "2026-03-01", "amount": Decimal("2480.01")}]))[
        "lines"
    ]
    assert "KX" in line["modifiers"]


def test_periods_and_years() -> None:
    march = Period(date(2026, 3, 1), date(2026, 3, 31))
    assert [on in march for on in (date(2026, 2, 28), march.first, march.last, date(2026, 4, 1))] == [
        False, True, True, False,
    ]  # fmt: skip
    assert "2026-03-02" not in march
    one = Period(march.last, date(2026, 4, 5))
    assert march.meets(one)
    assert one.meets(march)
    assert not march.meets(Period(date(2026, 4, 1), date(2026, 4, 1)))
    assert one_year_after(date(2024, 2, 29)) == date(2025, 2, 28)
    assert one_year_after(date(2024, 2, 28)) == date(2025, 2, 28)


def test_minutes_of_a_visit_at_their_edges() -> None:
    def visit(minutes: float, assistant: float) -> dict[str, Any]:
        service = {"code": "97110", "minutes": minutes, "assistant_minutes": assistant}
        return case(visits=[{"on": "2026-03-05", "services": [service]}])

    assert evaluate(visit(1440, 1440))["lines"][0]["modifiers"] == ["GP", "CQ"]
    for made, said in (
        (visit(1440.5, 0), "visits[0].services[0].minutes: 1440.5 is not between 0 and 1440 minutes"),
        (visit(10, -1), "visits[0].services[0].assistant_minutes: -1 is not between 0 and 1440 minutes"),
        (visit(10, 10.5), "visits[0].services[0].assistant_minutes: 10.5 is more than its minutes"),
    ):
        with pytest.raises(CaseError) as caught:
            evaluate(made)
        assert str(caught.value) == said


def test_why_a_service_got_no_unit() -> None:
    services = [{"code": "97110", "minutes": 4.5}, {"code": "97140", "minutes": 3.5}]
    found = evaluate(case(visits=[{"on": "2026-03-05", "services": services}]))["not_billable"]
    assert (
        next(each["why"] for each in found if each["code"] == "97140")
        == "3.5 minutes: the day's 8 timed minutes give no unit more"
    )


def test_what_a_payer_does_not_cover_is_not_open() -> None:
    payer = {"profile": "custom", "covered": ["98977", "98980"]}
    made = case({"episode.setup": {"on": "2026-03-01"}}, data=DATA[:1], payer=payer, as_of="2026-03-10")
    codes = {code for each in evaluate(made)["open"] for code in each["codes"]}
    assert codes == {"98977", "98980"}
    payer["covered"] = ["98975"]
    assert [each["codes"] for each in evaluate({**made, "payer": payer})["open"]] == [["98975"]]


def test_the_table_of_settings_is_plain() -> None:
    rows = {str(row["name"]): row for row in settings_table()}
    assert all(list(row) == ["name", "default", "values", "what", "source"] for row in rows.values())
    channels = ["phone", "video", "in_person"]
    assert rows["contact_channels"]["default"] == channels
    assert rows["contact_channels"]["values"] == [channels, [*channels, "message"]]
    assert rows["late_entry_days"]["values"] == ["a whole number of days from 0 to 3660"]


def test_a_hold_names_every_reason() -> None:
    made = case(OVER_NEW_YEAR, data=days("2025-12-25", 10, doubt="a jump"), as_of="2026-02-01")
    (line,) = evaluate(made)["lines"]
    assert [reason.split(":")[0] for reason in line["reasons"][:2]] == [
        "data lie in 2025 and 2026 and the rules of the two years differ",
        "rests on doubtful evidence",
    ]


def test_how_a_correction_is_made() -> None:
    sent = [{"code": "98979", "service_date": "2026-03-31", "claim_id": "A1"}]
    made = case(data=DATA[:1], management=[entry("2026-03-05T10:00", 20)], claims_sent=sent)
    for settings, profile, correction in (
        ({}, "medicare", "reopening"),
        ({}, "commercial", "replacement"),
        ({"correction": "replacement"}, "medicare", "replacement"),
        ({"correction": "reopening"}, "commercial", "reopening"),
        ({"correction": [{"from": "2026-04-01", "value": "replacement"}]}, "medicare", "reopening"),
        ({"correction": [{"from": "2026-03-31", "value": "replacement"}]}, "medicare", "replacement"),
    ):
        (line,) = evaluate({**made, "settings": settings, "payer": {"profile": profile}})["lines"]
        assert (line["decision"], line["replaces"], line["correction"]) == ("replace", "A1", correction)
        assert line["reasons"][-1] == f"replaces what was sent as A1, by {correction}"


def test_why_there_is_no_set_up_line() -> None:
    def why(setup: str, data: list[dict[str, Any]], as_of: str, **settings: str) -> str:
        changes = {**OVER_NEW_YEAR, "episode.started": "2021-01-01", "episode.setup": {"on": setup}}
        found = evaluate(case(changes, data=data, as_of=as_of, settings=settings))["not_billable"]
        return next(str(each["why"]) for each in found if each["code"] == "98975")

    over = "the 30 dates are over, so it can no longer be reached"
    assert why("2025-12-20", days("2026-01-05", 1), "2026-02-01") == (
        f"1 of 2 data days from 2025-12-20 to 2026-01-18; {over}"
    )
    assert why("2025-12-20", days("2026-01-05", 1), "2026-02-01", setup_date="education") == (
        f"1 of 16 data days from 2025-12-20 to 2026-01-18; {over}"
    )
    assert why("2021-03-01", days("2021-03-01", 20), "2021-05-01") == "98975 did not exist on 2021-03-01"


def test_an_episode_without_any_day() -> None:
    changes = {"episode.discharged": None, "episode.consent": OPEN}
    assert evaluate(case(changes, as_of="2026-03-01"))["not_billable"] == []
    found = evaluate(case(changes, as_of="2026-03-02"))["not_billable"]
    assert [(each["code"], each["period"]) for each in found] == [
        ("98977", ["2026-03-01", "2026-03-01"]), ("98985", ["2026-03-01", "2026-03-01"]),
    ]  # fmt: skip
    ended = evaluate(case({"episode.discharged": "2026-03-10"}, as_of="2026-03-20"))["not_billable"]
    assert {tuple(each["period"]) for each in ended} == {("2026-03-01", "2026-03-10")}


def test_spans_with_several_holes() -> None:
    holes = [(10, 20), (30, 40), (50, 60), (70, 80)]
    assert subtract([(0, 100)], holes) == [(0, 10), (20, 30), (40, 50), (60, 70), (80, 100)]
    assert subtract([(0, 15), (15, 35), (60, 70)], holes) == [(0, 10), (20, 30), (60, 70)]
    assert clip((15, 55), holes) == [(15, 20), (30, 40), (50, 55)]
    assert [covers(holes, span) for span in ((10, 20), (9, 20), (10, 21), (30, 31), (20, 30))] == [
        True, False, False, True, False,
    ]  # fmt: skip


def test_providers_from_their_first_day() -> None:
    assert [who_may_bill("physical_therapist", date(2021 + n, 12, 31)) for n in (0, 1)] == [False, True]
    assert who_may_bill("physical_therapist", date(2022, 1, 1))
    direct, general = (
        standing("physical_therapist_assistant", on) for on in (date(2023, 12, 31), date(2024, 1, 1))
    )
    assert (direct and direct.supervision, general and general.supervision) == ("direct", "general")
    assert not who_may_bill("unlicensed", date(2026, 1, 1))


@pytest.mark.parametrize("setting", ["split", "start"])
def test_overlap_over_a_months_end_is_counted_once(setting: str) -> None:
    made = case(
        {"episode.discharged": "2026-04-20"},
        data=[{"on": "2026-03-05"}, {"on": "2026-04-05"}],
        management=[
            {
                "start": "2026-03-31T23:50:00-04:00",
                "end": "2026-04-01T00:10:00-04:00",
                "role": "therapist",
                "contact": "phone",
            },
            {
                "start": "2026-04-01T00:00:00-04:00",
                "end": "2026-04-01T00:12:00-04:00",
                "role": "therapist",
                "contact": "phone",
            },
        ],
        settings={"month_split": setting, "no_data_month": "bill"},
    )
    answer = evaluate(made)
    total = sum(line["evidence"]["seconds"] for line in answer["lines"] if line["code"] in ("98979", "98980"))
    assert total == (22 * 60 if setting == "split" else 20 * 60)


def test_an_unknown_setting_is_named_with_its_neighbours() -> None:
    for name, said in (
        (
            "window_anker",
            "settings.window_anker: is not a setting; nearest: window_anchor, no_data_month, day_zone",
        ),
        ("zzz", "settings.zzz: is not a setting"),
    ):
        with pytest.raises(CaseError) as caught:
            evaluate(case(settings={name: 1}))
        assert str(caught.value) == said


def test_98980_and_98979_were_both_sent() -> None:
    """The add-on belongs to the 98980 that stands: it replaces nothing."""
    sent = [
        {"code": code, "service_date": "2026-03-31", "claim_id": claim}
        for code, claim in (("98980", "A1"), ("98979", "A2"))
    ]
    made = case(data=DATA[:1], management=[entry("2026-03-05T10:00", 40)], claims_sent=sent)
    assert [(line["code"], line["decision"]) for line in evaluate(made)["lines"]] == [("98981", "bill")]


def test_windows_by_a_consent_that_nobody_gave() -> None:
    made = case({"episode.consent": []}, data=DATA, settings={"window_anchor": "consent"})
    assert evaluate(made)["lines"] == []


def test_a_month_before_the_codes() -> None:
    changes = {**OVER_NEW_YEAR, "episode.started": "2021-03-01", "episode.discharged": "2021-03-20"}
    found = evaluate(case(changes, management=[entry("2021-03-05T10:00", 40)], as_of="2021-04-01"))[
        "not_billable"
    ]
    assert {
        "code": "98980",
        "period": ["2021-03-01", "2021-03-31"],
        "why": "98980 did not exist on 2021-03-31",
    } in found
