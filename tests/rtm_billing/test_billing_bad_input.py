"""Bad input: one sentence that names the field, never a traceback, never a line."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_billing import CaseError, evaluate
from rtm_billing.kit.build import case, days, entry

FULL = case(
    {"episode.setup": {"on": "2026-03-02", "assistant_share": 0.0}},
    data=[
        {"at": "2026-03-02T10:00:00-05:00", "zone": "America/New_York", "received_at": None, "kind": "sensor"}
    ],
    management=[entry("2026-03-05T10:00", 12)],
    visits=[{"on": "2026-03-20", "services": [{"code": "97110", "minutes": 33, "assistant_minutes": 0}]}],
    therapy_spend=[{"on": "2026-02-01", "amount": "310.00"}],
    other_services=[{"kind": "code", "code": "99490", "from": "2026-03-01", "to": "2026-03-30"}],
    claims_sent=[{"code": "98979", "service_date": "2026-04-12", "claim_id": "A1"}],
)

Path = tuple[str | int, ...]
BAD: list[tuple[Path, Any, str]] = [
    (("as_of",), 5, "as_of: 5 is not a date (YYYY-MM-DD)"),
    (("as_of",), "2026-02-30", "as_of: '2026-02-30' is not a date (YYYY-MM-DD)"),
    (("as_of",), "0001-01-01", "as_of: 0001-01-01 is not between 1900 and 2199"),
    (("practice", "timezone"), "Mars/Base", "practice.timezone: 'Mars/Base' is not a time zone name"),
    (
        ("practice", "timezone"),
        "../../etc/passwd",
        "practice.timezone: '../../etc/passwd' is not a time zone name",
    ),
    (("practice", "timezone"), "", "practice.timezone: '' is not a time zone name"),
    (("practice", "timezone"), "America", "practice.timezone: 'America' is not a time zone name"),
    (("practice", "timezone"), 7, "practice.timezone: 7 is not text"),
    (("patient", "timezone"), "X", "patient.timezone: 'X' is not a time zone name"),
    (("practice",), [], "practice: [] is not an object"),
    (
        ("payer", "profile"),
        "x",
        "payer.profile: 'x' is not one of medicare, commercial, commercial_2025, none_covered, custom",
    ),
    (("settings", "day_zone"), "x", "settings.day_zone: 'x' is not one of patient, clinic"),
    (
        ("settings", "day_zone"),
        [{"from": "x", "value": "clinic"}],
        "settings.day_zone[0].from: 'x' is not a date",
    ),
    (
        ("settings", "day_zone"),
        [{"from": "2026-01-01", "value": "x"}],
        "settings.day_zone[0].value: 'x' is not one of patient, clinic",
    ),
    (
        ("settings", "day_zone"),
        [{"from": "2026-01-01", "value": "clinic"}] * 2,
        "settings.day_zone: two values begin on the same date",
    ),
    (
        ("settings", "late_entry_days"),
        -1,
        "settings.late_entry_days: -1 is not a whole number of days from 0 to 3660",
    ),
    (
        ("settings", "contact_channels"),
        ["voicemail"],
        "settings.contact_channels: ['voicemail'] is not a list of phone, video, in_person, message",
    ),
    (
        ("episode", "organ_system"),
        "knee",
        "episode.organ_system: 'knee' is not one of musculoskeletal, respiratory, cognitive_behavioral",
    ),
    (("episode", "therapist_billed"), "yes", "episode.therapist_billed: 'yes' is not true or false"),
    (
        ("episode", "consent", 0, "to"),
        "2025-01-01",
        "episode.consent[0].to: 2025-01-01 is before its from, 2026-01-01",
    ),
    (
        ("episode", "setup", "assistant_share"),
        1.5,
        "episode.setup.assistant_share: 1.5 is not between 0 and 1",
    ),
    (
        ("episode", "setup", "assistant_share"),
        float("nan"),
        "episode.setup.assistant_share: nan is not between 0 and 1",
    ),
    (
        ("episode", "discharged"),
        "2026-02-01",
        "episode.discharged: 2026-02-01 is before the episode started, 2026-03-01",
    ),
    (("episode", "startd"), 1, "episode.startd: is not a known key; nearest: started, discharged"),
    (
        ("data", 0, "at"),
        "2026-03-02T10:00:00",
        "data[0].at: '2026-03-02T10:00:00' is not a date-time with offset",
    ),
    (("data", 0, "at"), "yesterday", "data[0].at: 'yesterday' is not a date-time with offset"),
    (("data", 0, "at"), None, "data[0]: needs either at (a date-time with offset) or on (a local date)"),
    (
        ("data", 0, "on"),
        "2026-03-02",
        "data[0]: needs either at (a date-time with offset) or on (a local date)",
    ),
    (("data", 0, "zone"), "EST5", "data[0].zone: 'EST5' is not a time zone name"),
    (("data", 0, "kind"), "x", "data[0].kind: 'x' is not one of sensor, reported, access, test"),
    (("data", 0), None, "data[0]: None is not an object"),
    (("data",), "abc", "data: 'abc' is not a list"),
    (
        ("data", 0, "at"),
        "9999-12-31T23:59:59-12:00",
        "data[0].at: 9999-12-31T23:59:59-12:00 is not between 1900 and 2199",
    ),
    (
        ("management", 0, "end"),
        "2026-03-05T09:00:00-05:00",
        "management[0].end: 2026-03-05T09:00:00-05:00 is before its start",
    ),
    (
        ("management", 0, "end"),
        "2026-05-05T09:00:00-05:00",
        "management[0].end: 2026-05-05T09:00:00-05:00 is more than 31 days after its start",
    ),
    (
        ("management", 0, "role"),
        "nurse",
        "management[0].role: 'nurse' is not one of therapist, assistant, physician, "
        "other_qualified, clinical_staff, unlicensed",
    ),
    (("management", 0, "idle"), 1, "management[0].idle: 1 is not true or false"),
    (
        ("visits", 0, "services", 0, "code"),
        "9711",
        "visits[0].services[0].code: '9711' is not a procedure code (five characters)",
    ),
    (
        ("visits", 0, "services", 0, "code"),
        "97111",
        "visits[0].services[0].code: 97111 is not a known in-clinic therapy code; "
        "nearest: 97161, 97116, 97113",
    ),
    (
        ("visits", 0, "services", 0, "minutes"),
        -1,
        "visits[0].services[0].minutes: -1 is not between 0 and 1440 minutes",
    ),
    (
        ("visits", 0, "services", 0, "minutes"),
        float("nan"),
        "visits[0].services[0].minutes: nan is not between 0 and 1440 minutes",
    ),
    (("visits", 0, "services", 0, "minutes"), True, "visits[0].services[0].minutes: True is not a number"),
    (
        ("visits", 0, "services", 0, "assistant_minutes"),
        34,
        "visits[0].services[0].assistant_minutes: 34 is more than its minutes",
    ),
    (("visits", 0, "start"), "2026-03-20T10:00:00Z", "visits[0]: needs both start and end, or neither"),
    (
        ("therapy_spend", 0, "amount"),
        "NaN",
        "therapy_spend[0].amount: NaN is not an amount in decimal digits",
    ),
    (
        ("therapy_spend", 0, "amount"),
        "abc",
        "therapy_spend[0].amount: 'abc' is not an amount in decimal digits",
    ),
    (
        ("therapy_spend", 0, "amount"),
        "-1e999999999",  # too large to be computed with
        "therapy_spend[0].amount: -1E+999999999 is not an amount in decimal digits",
    ),
    (("claims_sent", 0, "claim_id"), "", "claims_sent[0].claim_id: '' is not a name (it is empty)"),
    (("other_services", 0, "code"), None, "other_services[0].code: is missing"),
    (("other_services", 0, "kind"), "x", "other_services[0].kind: 'x' is not one of code, global_surgery"),
    (("claims_sent", 0, "code"), "x", "claims_sent[0].code: 'x' is not a procedure code (five characters)"),
    (
        ("claims_sent", 0, "service_date"),
        "2026-13-01",
        "claims_sent[0].service_date: '2026-13-01' is not a date (YYYY-MM-DD)",
    ),
]


def _changed(path: Path, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(FULL)
    target: Any = made
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return made


@pytest.mark.parametrize(("path", "value", "sentence"), BAD, ids=lambda part: str(part)[:40])
def test_a_sentence_names_the_field(path: Path, value: Any, sentence: str) -> None:
    evaluate(FULL)
    with pytest.raises(CaseError) as refused:
        evaluate(_changed(path, value))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "path",
    [
        ("as_of",),
        ("practice",),
        ("practice", "timezone"),
        ("episode",),
        ("episode", "started"),
        ("episode", "organ_system"),
    ],
    ids=str,
)
def test_what_is_missing_is_named(path: tuple[str, ...]) -> None:
    made = copy.deepcopy(FULL)
    target: Any = made
    for step in path[:-1]:
        target = target[step]
    del target[path[-1]]
    with pytest.raises(CaseError, match=rf"^{'.'.join(path)}: is missing$"):
        evaluate(made)


@pytest.mark.parametrize("raw", [None, [], 5, "case", True])
def test_not_an_object(raw: Any) -> None:
    with pytest.raises(CaseError, match="case: must be an object"):
        evaluate(raw)


def _places(value: Any, path: Path = ()) -> list[Path]:
    inner: list[Path] = []
    if isinstance(value, dict):
        inner = [place for key, part in value.items() for place in _places(part, (*path, key))]
    elif isinstance(value, list):
        inner = [place for index, part in enumerate(value) for place in _places(part, (*path, index))]
    return ([path] if path else []) + inner


junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(10**300, 10**310),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(
            ["2026-03-01", "2026-03-05T10:00:00Z", "98977", "-1", "1e999", "\x00", "\ud800", "9" * 40]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(settings.get_profile("billing"), max_examples=300)
@given(st.sampled_from(_places(FULL)), junk)
def test_junk_anywhere_is_an_answer_or_a_sentence(path: Path, value: Any) -> None:
    try:
        answer = evaluate(_changed(path, value))
    except CaseError as refused:
        sentence = str(refused)
        assert sentence
        assert "\n" not in sentence
        assert len(sentence) < 400
        assert "Traceback" not in sentence
    else:
        assert set(answer) == {"lines", "not_billable", "open", "warnings", "rules_version"}


def test_zero_length_windows_and_future_starts() -> None:
    made = case({"episode.started": "2026-06-01", "episode.discharged": None}, data=days("2026-03-01", 20))
    assert evaluate(made)["lines"] == []
