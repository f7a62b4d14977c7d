"""The engine against a reading of the whole contract by somebody who had not seen it, on random whole cases."""

import os
from collections import Counter
from random import Random
from typing import Any

import pytest

from rtm_billing import evaluate
from rtm_billing.kit import third_reading as third
from rtm_billing.kit.random_wholes import random_whole
from rtm_billing.kit.third_reading import Line, third_reading
from rtm_billing.rules import RTM_CODES

CASES = int(os.environ.get("RTM_TORTURE_EXAMPLES", "800"))


def _ours(made: dict[str, Any]) -> list[Line]:
    lines: Any = evaluate(made)["lines"]
    return sorted(
        Line(
            line["code"],
            line["units"],
            tuple(sorted(line["modifiers"])),
            line["service_date"],
            line["decision"],
            line.get("replaces", ""),
        )
        for line in lines
    )


def test_a_third_reading_of_the_rules_gives_the_same() -> None:
    for seed in range(CASES):
        made = random_whole(Random(seed))
        assert _ours(made) == third_reading(made), f"Random({seed})"


def test_the_cases_reach_every_code_decision_and_modifier() -> None:
    seen: Counter[str] = Counter()
    for seed in range(800):
        for line in third_reading(random_whole(Random(seed))):
            seen.update((line.code, line.decision, *line.modifiers))
    wanted = {*RTM_CODES, "97110", "bill", "hold", "replace", "GP", "GO", "GN", "CQ", "CO", "KX"}
    assert wanted <= seen.keys()


@pytest.mark.parametrize(
    ("name", "bent"),
    [
        ("TICK", 29),
        ("PHYSIOLOGIC", set()),
        ("THRESHOLD", {**third.THRESHOLD, 2026: 2410}),
        ("ASSISTANT", {"PT": "CQ"}),
        ("DEFAULTS", {**third.DEFAULTS, "late_entry_days": 6}),
        ("DEFAULTS", {**third.DEFAULTS, "no_data_month": "bill"}),
        ("_quarters", lambda minutes: int((minutes + 8) // 15)),
    ],
)
def test_a_bent_reading_is_found(name: str, bent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative controls: one figure off, and some case tells."""
    monkeypatch.setattr(third, name, bent)
    made = (random_whole(Random(seed)) for seed in range(800))
    assert any(_ours(each) != third_reading(each) for each in made)


def _visits_without_times(made: dict[str, Any]) -> dict[str, Any]:
    visits = [{"on": visit["on"], "services": visit["services"]} for visit in made["visits"]]
    return {**made, "visits": visits}


def test_a_reading_blind_to_the_times_of_visits_is_found() -> None:
    made = (random_whole(Random(seed)) for seed in range(800))
    assert any(_ours(each) != third_reading(_visits_without_times(each)) for each in made)
