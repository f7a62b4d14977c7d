"""Every date of a case has its field named when its year is out of reach, and may lie in the years at the edge."""

from typing import Any

import pytest

from rtm_billing import CaseError, evaluate
from rtm_billing.kit.build import case, entry

MOMENT = entry("2026-03-05T10:00", 10)
PLACES: dict[str, dict[str, Any]] = {
    "as_of": {"as_of": "{}"},
    "episode.started": {"episode.started": "{}"},
    "episode.discharged": {"episode.discharged": "{}"},
    "episode.setup.on": {"episode.setup": {"on": "{}"}},
    "episode.consent[0].from": {"episode.consent": [{"from": "{}"}]},
    "episode.consent[0].to": {"episode.consent": [{"to": "{}"}]},
    "episode.plan_of_care[0].from": {"episode.plan_of_care": [{"from": "{}"}]},
    "episode.plan_of_care[0].to": {"episode.plan_of_care": [{"to": "{}"}]},
    "data[0].on": {"data": [{"on": "{}"}]},
    "data[0].at": {"data": [{"at": "{}T12:00:00Z"}]},
    "data[0].received_at": {"data": [{"on": "2026-03-01", "received_at": "{}T12:00:00Z"}]},
    "management[0].start": {"management": [{**MOMENT, "start": "{}T12:00:00Z"}]},
    "management[0].end": {"management": [{**MOMENT, "end": "{}T12:00:00Z"}]},
    "management[0].entered_at": {"management": [{**MOMENT, "entered_at": "{}T12:00:00Z"}]},
    "visits[0].on": {"visits": [{"on": "{}"}]},
    "visits[0].start": {"visits": [{"on": "2026-03-01", "start": "{}T12:00:00Z", "end": "2026-03-01T12:00:00Z"}]},
    "visits[0].end": {"visits": [{"on": "2026-03-01", "start": "2026-03-01T12:00:00Z", "end": "{}T12:00:00Z"}]},
    "therapy_spend[0].on": {"therapy_spend": [{"on": "{}", "amount": "1"}]},
    "other_services[0].from": {"other_services": [{"code": "99490", "from": "{}"}]},
    "other_services[0].to": {"other_services": [{"code": "99490", "to": "{}"}]},
    "claims_sent[0].service_date": {"claims_sent": [{"code": "98977", "claim_id": "A1", "service_date": "{}"}]},
}  # fmt: skip


def _filled(part: Any, on: str) -> Any:
    if isinstance(part, dict):
        return {name: _filled(value, on) for name, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, on) for value in part]
    return part.replace("{}", on) if isinstance(part, str) else part


@pytest.mark.parametrize("on", ["1899-12-31", "2200-01-01"])
@pytest.mark.parametrize("field", PLACES)
def test_a_year_out_of_reach_is_named_by_its_field(field: str, on: str) -> None:
    with pytest.raises(CaseError) as caught:
        evaluate(case(_filled(PLACES[field], on)))
    name, _, said = str(caught.value).partition(": ")
    assert name == field
    assert said.startswith(on)
    assert said.endswith(" is not between 1900 and 2199")


@pytest.mark.parametrize("on", ["1900-01-01", "2199-12-31"])
@pytest.mark.parametrize("field", [name for name in PLACES if name not in ("as_of", "episode.started")])
def test_the_years_at_the_edge_are_years(field: str, on: str) -> None:
    said = ""
    try:
        evaluate(case(_filled(PLACES[field], on)))
    except CaseError as problem:  # the order of two dates, never the year
        said = str(problem)
    assert "is not between" not in said
