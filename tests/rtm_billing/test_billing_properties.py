"""What holds of every case: no dependence on order or cuts, no twin paid twice, more is never less."""

import copy
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_billing import evaluate as evaluate_case
from rtm_billing.kit.build import case
from rtm_billing.kit.random_cases import START, ZONES, random_case, random_entry
from rtm_billing.kit.second_reading import Read, second_reading
from rtm_billing.rules import RULES

TORTURE = int(os.environ.get("RTM_TORTURE_EXAMPLES", "0"))


def holds(check: Callable[[Random], None]) -> Callable[..., None]:
    """Try a check with many a Random: by the dozen hypothesis's, which shrinks; by the ten thousand plain seeds."""
    if not TORTURE:
        return settings(settings.get_profile("billing"))(
            given(chance=st.randoms(use_true_random=False))(check)
        )

    def many_times() -> None:
        for seed in range(TORTURE):
            try:
                check(Random(seed))
            except AssertionError as problem:
                raise AssertionError(f"Random({seed}): {problem}") from problem

    return many_times


def evaluate(made: dict[str, Any]) -> dict[str, Any]:
    """The answer, with its JSON taken as it comes."""
    return evaluate_case(made)


def _decided(answer: dict[str, Any]) -> list[tuple[str, ...]]:
    return sorted(
        (
            line["code"],
            line["service_date"],
            line["decision"],
            str(line["units"]),
            ",".join(line["modifiers"]),
        )
        for line in answer["lines"]
    )


@holds
def test_the_order_of_entries_changes_nothing(chance: Random) -> None:
    made = random_case(chance)
    shuffled = copy.deepcopy(made)
    chance.shuffle(shuffled["data"])
    chance.shuffle(shuffled["management"])
    assert evaluate(shuffled) == evaluate(made)


@holds
def test_a_second_reading_of_the_rules_gives_the_same(chance: Random) -> None:
    """The engine against the plain sentences, at default settings."""
    made = {**random_case(chance), "settings": {}}
    lines = evaluate(made)["lines"]
    ours = [
        Read(
            line["code"],
            line["units"],
            line["service_date"],
            line["decision"],
            tuple(sorted(line["modifiers"])),
        )
        for line in lines
    ]
    assert sorted(ours) == second_reading(made), made


@holds
def test_splitting_an_entry_changes_nothing(chance: Random) -> None:
    made = random_case(chance)
    if not made["management"]:
        made["management"] = [random_entry(chance)]
    which, where = chance.randrange(len(made["management"])), chance.uniform(0.01, 0.99)
    entry = made["management"][which]
    start, end = datetime.fromisoformat(entry["start"]), datetime.fromisoformat(entry["end"])
    middle = start + timedelta(microseconds=int((end - start) / timedelta(microseconds=1) * where))
    clinic = ZoneInfo(made["practice"]["timezone"])
    over = start.astimezone(clinic).month != end.astimezone(clinic).month
    if made["settings"].get("month_split") == "start" and over:
        return  # a split entry then starts in two months
    split = copy.deepcopy(made)
    split["management"][which : which + 1] = [
        {**entry, "end": middle.isoformat()},
        {**entry, "start": middle.isoformat()},
    ]
    assert _decided(evaluate(split)) == _decided(evaluate(made))


@holds
def test_a_twin_is_never_paid_twice(chance: Random) -> None:
    made, sent = random_case(chance), chance.random() < 0.5
    paid = [line for line in evaluate(made)["lines"] if line["decision"] in ("bill", "replace")]
    if sent and paid:
        made["claims_sent"] = [
            {"code": line["code"], "service_date": line["service_date"], "claim_id": f"S{i}"}
            for i, line in enumerate(paid)
        ]
        assert not [line for line in evaluate(made)["lines"] if line["decision"] in ("bill", "replace")]
    kinds = {rule.code: rule.kind for rule in RULES}
    periods = Counter((kinds[line["code"]], *line["period"]) for line in paid if line["code"] != "98981")
    assert all(number == 1 for number in periods.values())
    for line in paid:
        if line["code"] == "98981":
            beside = {other["code"] for other in paid if other["period"] == line["period"]}
            assert "98980" in beside
            assert "98979" not in beside


WORTH = {"98979": 10, "98980": 20, "98981": 20}


def _worth(answer: dict[str, Any], decisions: tuple[str, ...] = ("bill",)) -> dict[str, int]:
    """Per period, a measure that grows with what is billed: minutes paid, or 2 or 16 days."""
    worth: dict[str, int] = {}
    long_codes = {rule.code for rule in RULES if rule.low == 16}
    for line in answer["lines"]:
        if line["decision"] in decisions:
            key = f"{line['period']}"
            each = WORTH.get(line["code"], 16 if line["code"] in long_codes else 2)
            worth[key] = worth.get(key, 0) + each * line["units"]
    return worth


@holds
def test_more_minutes_never_bill_less(chance: Random) -> None:
    made = random_case(chance)
    more = {**random_entry(chance), "billed_elsewhere": False}  # that is time taken away
    before = _worth(evaluate(made))
    after = _worth(evaluate({**made, "management": [*made["management"], more]}))
    assert all(after.get(period, 0) >= number for period, number in before.items())


@holds
def test_more_days_in_the_windows_never_bill_less(chance: Random) -> None:
    """A day before the first counted one would move every window, so the windows are anchored elsewhere."""
    made, offset = random_case(chance), chance.randrange(201)
    made["settings"]["window_anchor"] = "started"
    made["episode"]["setup"] = None
    if offset > 150:
        made["episode"]["started"] = "2026-01-01"
    before = evaluate(made)
    more = {"on": (START + timedelta(days=offset)).isoformat()}
    after = evaluate({**made, "data": [*made["data"], more]})
    paid, held = ("bill",), ("bill", "hold")
    straddles = [
        str(line["period"])
        for line in after["lines"]
        if line["period"][0] < "2026-01-01" <= line["period"][1]
    ]
    for decisions in (paid, held):
        worth = _worth(after, decisions)
        for period, number in _worth(before, decisions).items():
            if period not in straddles:  # there a day in the other year may turn bill into hold
                assert worth.get(period, 0) >= min(number, 16)


@holds
def test_a_local_date_is_one_day_in_any_zone_on_any_day(chance: Random) -> None:
    """Readings all through a local date, DST or not, count as that one date."""
    name, day = chance.choice(ZONES), chance.randrange(365)
    minute, readings_of_it = chance.randrange(23 * 60), chance.randrange(1, 26)
    zone = ZoneInfo(name)
    on = date(2026, 1, 1) + timedelta(days=day)
    start = datetime(on.year, on.month, on.day, tzinfo=zone).astimezone(UTC)
    moments = {start + timedelta(minutes=(minute * i) % (22 * 60)) for i in range(readings_of_it)}
    inside = [at for at in moments if at.astimezone(zone).date() == on]
    answer = evaluate(
        case(
            {
                "episode.started": "2025-12-31",
                "episode.discharged": None,
                "patient.timezone": name,
                "practice.timezone": name,
            },
            as_of="2027-03-01",
            data=[{"at": at.isoformat()} for at in inside],
        )
    )
    opened = [item["period"] for item in answer["not_billable"] if item["code"] == "98985"]
    assert inside
    assert opened[0][0] == on.isoformat()
    assert all(" of 2 data days" in item["why"] for item in answer["not_billable"] if item["code"] == "98985")


@holds
def test_minutes_are_elapsed_time_in_any_zone(chance: Random) -> None:
    """20 minutes are 20 minutes whatever the clocks do, unless the clinic's month ends within them."""
    name, hour, day = chance.choice(ZONES), chance.randrange(24), chance.randrange(365)
    zone = ZoneInfo(name)
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day, hours=hour, minutes=7)
    end = start + timedelta(minutes=20)
    local, local_end = start.astimezone(zone), end.astimezone(zone)
    if (local.year, local.month) != (local_end.year, local_end.month):
        return
    entry = {
        "start": local.isoformat(),
        "end": local_end.isoformat(),
        "role": "therapist",
        "contact": "phone",
    }
    answer = evaluate(
        case(
            {
                "practice.timezone": name,
                "episode.started": "2025-12-01",
                "episode.discharged": None,
                "episode.consent": [{}],
            },
            as_of="2027-02-01",
            management=[entry],
        )
    )
    found = [line for line in answer["lines"] if line["code"] == "98980"]
    late = [item for item in answer["not_billable"] if item["code"] == "98980" and "too late" in item["why"]]
    assert len(found) + len(late) == 1
    if found:
        assert found[0]["period"][0] == f"{local:%Y-%m}-01"
        assert found[0]["evidence"]["seconds"] == 1200


def test_a_million_entries() -> None:
    """Linear enough that a case of a million readings comes back."""
    start = datetime(2026, 3, 2, 5, tzinfo=UTC)
    number = 200_000
    data = [{"at": (start + timedelta(seconds=10 * i)).isoformat()} for i in range(number)]
    management = [
        {
            "start": (start + timedelta(seconds=10 * i)).isoformat(),
            "end": (start + timedelta(seconds=10 * i + 15)).isoformat(),
            "role": "therapist",
            "by": f"p{i % 7}",
            "contact": "phone" if i % 1000 == 0 else None,
        }
        for i in range(number)
    ]
    answer = evaluate(
        case({"episode.discharged": None}, data=data, management=management, as_of="2026-04-01")
    )
    lines = {line["code"]: line for line in answer["lines"]}
    assert lines["98980"]["evidence"]["seconds"] == 10 * number + 5
    assert lines["98977"]["evidence"]["days"] == 24 if "98977" in lines else True
