"""Corners that the worked cases do not reach: dated settings, spans by brute force, forecasts, midnights."""

import copy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_billing import CaseError, settings_table
from rtm_billing import evaluate as evaluate_case
from rtm_billing.kit import WORKED, Worked
from rtm_billing.kit.build import case, days, entry
from rtm_billing.spans import clip, covers, length, subtract, unite

billing = settings.get_profile("billing")
DEFAULTS = {str(row["name"]): row["default"] for row in settings_table()}


def evaluate(made: dict[str, Any]) -> dict[str, Any]:
    """The answer, with its JSON taken as it comes."""
    return evaluate_case(made)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    "worked", [w for w in WORKED if "error" not in w.expect], ids=lambda worked: worked.name
)
def test_a_dated_setting_is_the_value_in_force(worked: Worked, backwards: bool) -> None:
    """Every setting given by dates, with other values before and long after, answers as the plain value does."""
    given_settings = worked.case["settings"]
    if any(isinstance(v, list) and v and isinstance(v[0], dict) for v in given_settings.values()):
        return
    dated = copy.deepcopy(worked.case)
    dated["settings"] = {}
    for name, default in DEFAULTS.items():
        if name == "correction":  # unset, the payer says
            continue
        values = [
            {"from": None, "value": _other(name)},
            {"from": "2021-01-01", "value": given_settings.get(name, default)},
            {"from": "2100-01-01", "value": _other(name)},
        ]
        dated["settings"][name] = values[::-1] if backwards else values
    assert evaluate(dated) == evaluate(worked.case)


def _other(name: str) -> Any:
    if name == "late_entry_days":
        return 0
    if name == "contact_channels":
        return ["message"]
    row = next(row for row in settings_table() if row["name"] == name)
    values = row["values"]
    assert isinstance(values, list)
    return values[-1]


def test_a_dated_setting_needs_from_and_value() -> None:
    for wrong in ([{"from": "2026-01-01"}], [{"value": "clinic"}, 5], [5, {"from": None, "value": "clinic"}]):
        with pytest.raises(
            CaseError, match=r'settings\.day_zone\[\d\]: must be an object with "from" and "value"'
        ):
            evaluate(case(settings={"day_zone": wrong}))


@pytest.mark.parametrize(
    ("number", "right"), [(0, True), (3660, True), (3661, False), (-1, False), (True, False)]
)
def test_late_entry_days_have_limits(number: int, right: bool) -> None:
    made = case(settings={"late_entry_days": number})
    if right:
        evaluate(made)
    else:
        with pytest.raises(CaseError, match="late_entry_days"):
            evaluate(made)


spans = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda p: (p[0], p[0] + p[1])), max_size=8
)


def _points(some: list[tuple[int, int]]) -> set[int]:
    return {point for start, end in some for point in range(start, end)}


@settings(billing)
@given(spans, spans, st.integers(0, 40), st.integers(1, 10))
def test_spans_against_brute_force(
    one: list[tuple[int, int]], two: list[tuple[int, int]], start: int, size: int
) -> None:
    united, removed = unite(one), unite(two)
    assert _points(united) == _points(one)
    assert length(united) == len(_points(one))
    assert all(a[1] < b[0] for a, b in pairwise(united))
    assert all(a < b for a, b in united)
    rest = subtract(united, removed)
    assert _points(rest) == _points(one) - _points(two)
    assert rest == sorted(rest)
    assert all(a < b for a, b in rest)
    whole = (start, start + size)
    assert _points(clip(whole, united)) == _points([whole]) & _points(one)
    assert covers(united, whole) == (_points([whole]) <= _points(one))


def _open(made: dict[str, Any], code: str, unit: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        item for item in evaluate(made)["open"] if code in item["codes"] and item["unit"] == unit
    ]
    assert len(found) == 1
    return found[0]


def test_forecast_of_days() -> None:
    exactly = case(data=days("2026-03-01", 11), as_of="2026-03-26")
    assert _open(exactly, "98977", "days") == {
        "codes": ["98977"],
        "period": ["2026-03-01", "2026-03-30"],
        "have": 11,
        "need": 16,
        "unit": "days",
        "days_left": 5,
        "reachable": True,
        "last_date": "2026-03-26",
    }
    too_few = case(data=days("2026-03-01", 10), as_of="2026-03-26")
    assert (_open(too_few, "98977", "days")["reachable"], _open(too_few, "98977", "days")["last_date"]) == (
        False,
        None,
    )
    reached = case(data=days("2026-03-01", 16), as_of="2026-03-26")
    assert (_open(reached, "98977", "days")["reachable"], _open(reached, "98977", "days")["last_date"]) == (
        True,
        None,
    )


def test_forecast_of_minutes() -> None:
    made = case(
        {"episode.discharged": None},
        data=days("2026-03-01", 1),
        management=[
            entry("2026-03-05T10:00", 39),
            entry("2026-03-06T10:00", 7, entered_at="2026-03-30T10:00:00Z"),
        ],
        as_of="2026-03-31",
    )
    add_on = _open(made, "98981", "minutes")
    assert (add_on["have"], add_on["need"], add_on["days_left"], add_on["reachable"]) == (46, 60, 1, True)
    assert add_on["last_date"] == "2026-03-31"
    assert _open(made, "98980", "minutes")["last_date"] is None
    contact = _open(made, "98980", "contact")
    assert (contact["have"], contact["need"], contact["last_date"]) == (2, 1, None)
    first = case(data=days("2026-03-01", 1), management=[entry("2026-03-05T10:00", 20)], as_of="2026-03-30")
    assert _open(first, "98981", "minutes")["need"] == 40


def test_forecast_of_the_set_up() -> None:
    made = case(
        {
            "episode.started": "2025-12-20",
            "episode.setup": {"on": "2025-12-20"},
            "episode.consent": [{}],
            "episode.discharged": None,
        },
        data=days("2026-01-02", 1),
        as_of="2026-01-05",
    )
    assert _open(made, "98975", "days")["need"] == 2
    made["settings"] = {"setup_date": "education"}
    assert _open(made, "98975", "days")["need"] == 16
    made["payer"] = {"profile": "none_covered"}
    assert evaluate(made)["open"] == []


def test_thresholds_are_dated_in_the_clinics_zone() -> None:
    """The 20th minute ends at the clinic's midnight: it belongs to the day before; a second later, to the next."""
    made = case(
        data=days("2026-03-01", 1),
        management=[entry("2026-03-05T23:40", 20)],
        settings={"management_date": "threshold"},
    )
    assert evaluate(made)["lines"][0]["service_date"] == "2026-03-05"
    made["management"] = [entry("2026-03-05T23:40", 19), entry("2026-03-06T00:00", 1)]
    assert evaluate(made)["lines"][0]["service_date"] == "2026-03-06"


def test_the_plan_must_cover_from_the_clinics_date_of_the_first_minute() -> None:
    made = case(
        {"episode.plan_of_care": [{"from": "2026-03-05", "to": None}]},
        data=days("2026-03-06", 1),
        management=[entry("2026-03-05T23:50", 20)],
    )
    assert evaluate(made)["lines"][0]["decision"] == "bill"
    made["episode"]["plan_of_care"] = [{"from": "2026-03-06", "to": None}]
    assert evaluate(made)["lines"][0]["decision"] == "hold"


def test_exactly_a_day_is_not_more_than_a_day() -> None:
    made = case(data=days("2026-03-01", 1), management=[entry("2026-03-05T10:00", 1440)])
    assert {line["decision"] for line in evaluate(made)["lines"]} == {"bill"}


def test_doubt_keeps_other_holds_and_counts_only_what_it_adds() -> None:
    late = {"entered_at": "2026-03-30T10:00:00Z"}
    made = case(
        {"episode.plan_of_care": []},
        data=days("2026-03-01", 1),
        management=[entry("2026-03-05T10:00", 45), entry("2026-03-06T10:00", 60, **late)],
    )
    held = [line for line in evaluate(made)["lines"] if line["code"] == "98981"]
    assert [line["units"] for line in held] == [1, 3] or [line["units"] for line in held] == [3, 1]
    doubtful = next(line for line in held if line["units"] == 3)
    assert any("plan of care" in reason for reason in doubtful["reasons"])
    assert any("7 days" in reason for reason in doubtful["reasons"])


def test_warnings() -> None:
    made = case(
        {"episode.device_basis": None, "episode.consent": []},
        data=days("2026-03-01", 2),
        management=[entry("2026-03-05T10:00", 10, "in_person")],
        visits=[{"on": "2026-03-05", "services": []}],
        other_services=[
            {"kind": "code", "code": "12345"},
            {"kind": "code", "code": "98977", "same_practitioner": True},
            {"kind": "code", "code": "99490"},
        ],
        claims_sent=[{"code": "99999", "service_date": "2026-03-01", "claim_id": "A1"}],
    )
    said = "\n".join(evaluate(made)["warnings"])
    for words in (
        "device_basis is not given",
        "no consent",
        "2 dates do not count: outside consent",
        "2026-03-05: a contact in person on the day of a visit",
        "other service 12345: unknown code",
        "98977 is this practitioner's own",
        "claim sent A1: 99999 is an unknown code",
    ):
        assert words in said
    assert "99490" not in said
    overlapping = case(management=[entry("2026-03-05T10:00", 10), entry("2026-03-05T10:05", 10)])
    assert "time entries of 2026-03 overlap by 5 minutes: united" in evaluate(overlapping)["warnings"]


def test_an_assistants_late_time_changes_no_certain_line() -> None:
    made = case(
        data=days("2026-03-01", 1),
        management=[
            entry("2026-03-05T10:00", 22),
            entry("2026-03-06T10:00", 10, role="assistant", entered_at="2026-03-30T10:00:00Z"),
        ],
    )
    assert [(line["code"], line["decision"], line["modifiers"]) for line in evaluate(made)["lines"]] == [
        ("98980", "bill", ["GP"])
    ]


def test_visits_just_at_the_edge() -> None:
    made = case(
        visits=[
            {
                "on": "2026-03-20",
                "services": [{"code": "97110", "minutes": 8}, {"code": "97140", "minutes": 1}],
            }
        ]
    )
    whys = [item["why"] for item in evaluate(made)["not_billable"] if item["code"] == "97140"]
    assert whys == ["1 minutes: the day's 9 timed minutes give no unit more"]
    made["visits"][0]["services"] = [{"code": "97110", "minutes": 4}, {"code": "97140", "minutes": 3.5}]
    whys = [item["why"] for item in evaluate(made)["not_billable"] if item["code"] == "97140"]
    assert whys == ["7.5 minutes, fewer than 8: no unit"]
