"""What an independent reading of the rules found: codes outgrown, and figures the rules do not know."""

from typing import Any

import pytest

from rtm_billing import CaseError, evaluate
from rtm_billing.kit.build import OPEN, case, days, entry

RUNNING: dict[str, Any] = {"as_of": "2026-03-20"}


def _open_codes(made: dict[str, Any], unit: str) -> list[list[str]]:
    open_items: Any = evaluate(made)["open"]
    return [item["codes"] for item in open_items if item["unit"] == unit]


@pytest.mark.parametrize(
    ("count", "codes"), [(1, [["98985"], ["98977"]]), (15, [["98977"], ["98985"]]), (16, [["98977"]])]
)
def test_a_short_supply_outgrown_is_no_longer_open(count: int, codes: list[list[str]]) -> None:
    assert _open_codes(case(data=days("2026-03-01", count), **RUNNING), "days") == codes


def test_doubtful_days_outgrow_nothing() -> None:
    data = [*days("2026-03-01", 15), *days("2026-03-16", 3, doubt="a replay")]
    assert ["98985"] in _open_codes(case(data=data, **RUNNING), "days")


def test_a_short_supply_is_not_open_beside_its_twin() -> None:
    """The long supply stands as a line, or was sent."""
    made = case(data=days("2026-03-01", 16), settings={"supply_when": "threshold"}, **RUNNING)
    assert [line["code"] for line in evaluate(made)["lines"]] == ["98977"]  # type: ignore[attr-defined]  # an object of JSON
    assert _open_codes(made, "days") == []
    sent = [{"code": "98977", "service_date": "2026-03-16", "claim_id": "A1"}]
    assert _open_codes(case(data=days("2026-03-01", 5), claims_sent=sent, **RUNNING), "days") == []


@pytest.mark.parametrize(
    ("minutes", "codes"),
    [
        (19, [["98980"], ["98979"]]),
        (20, [["98981"], ["98980"]]),
        (45, [["98981"], ["98980"]]),
    ],
)
def test_the_first_ten_minutes_outgrown_are_no_longer_open(minutes: int, codes: list[list[str]]) -> None:
    made = case(management=[entry("2026-03-05T10:00", minutes)], **RUNNING)
    assert _open_codes(made, "minutes") == codes
    assert (["98979", "98980", "98981"] in _open_codes(made, "contact")) == (minutes < 20)


def test_late_minutes_outgrow_nothing() -> None:
    late = entry("2026-03-06T10:00", 10, entered_at="2026-03-19T10:00:00-04:00")
    made = case(management=[entry("2026-03-05T10:00", 12), late], **RUNNING)
    assert ["98979"] in _open_codes(made, "minutes")


def test_ten_minutes_are_not_open_beside_twenty_sent() -> None:
    sent = [{"code": "98980", "service_date": "2026-03-12", "claim_id": "A1"}]
    made = case(management=[entry("2026-03-05T10:00", 12)], claims_sent=sent, **RUNNING)
    assert ["98979"] not in _open_codes(made, "minutes")
    assert _open_codes(made, "contact") == [["98981"]]


SPENT = [{"on": "2023-02-01", "amount": "9000.00"}]


def _warnings_of_2023(**top: Any) -> list[str]:
    changes = {"episode.started": "2023-03-01", "episode.discharged": "2023-03-30"}
    warnings: Any = evaluate(case(changes, as_of="2023-05-01", **top))["warnings"]
    return [warning for warning in warnings if "consent" not in warning]


def test_spend_of_a_year_without_a_known_threshold_is_said() -> None:
    assert _warnings_of_2023(therapy_spend=SPENT) == [
        "therapy spend of 2023: no annual threshold is known for that year, so no KX is set"
    ]
    assert _warnings_of_2023(therapy_spend=SPENT, payer={"profile": "commercial"}) == []


@pytest.mark.parametrize(("on", "said"), [("2023-12-31T23:30", True), ("2024-01-01T00:00", False)])
def test_assistants_before_general_supervision_are_said(on: str, said: bool) -> None:
    """By the clinic's date: the supervision of assistants in private practice is general from 2024."""
    made = case(
        {"episode.started": "2023-12-01", "episode.discharged": None, "episode.consent": OPEN},
        as_of="2024-03-01",
        management=[entry(on, 20, role="assistant")],
    )
    warnings: Any = evaluate(made)["warnings"]
    assert any("direct supervision" in warning for warning in warnings) == said
    made["episode"] |= {"discipline": "SLP"}  # speech-language pathology has no assistants that bill
    warnings = evaluate(made)["warnings"]
    assert not any("direct supervision" in warning for warning in warnings)


@pytest.mark.parametrize("offset", ["Z", "-05:00", "-0500"])
def test_a_time_may_end_at_the_minute(offset: str) -> None:
    """ISO 8601 without seconds, in every field that holds an instant."""
    start, end = f"2026-03-05T10:00{offset}", f"2026-03-05T10:20{offset}"
    made = case(
        data=[{"at": start, "received_at": end}],
        management=[{"start": start, "end": end, "entered_at": end, "role": "therapist", "contact": "phone"}],
        visits=[{"on": "2026-03-05", "start": end, "end": end}],
    )
    lines: Any = evaluate(made)["lines"]
    assert [(line["code"], line["evidence"]["seconds"]) for line in lines] == [("98980", 1200.0)]


@pytest.mark.parametrize(
    "at", ["2026-03-05T10:00", "2026-03-05T10", "2026-03-05T24:00Z", "2026-03-05T10:60Z"]
)
def test_no_other_time_is_read_into_it(at: str) -> None:
    with pytest.raises(CaseError, match=f"^data\\[0\\].at: '{at}' is not a date-time with offset$"):
        evaluate(case(data=[{"at": at}]))
