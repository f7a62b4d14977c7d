"""The codes by date, written a second time from the published rules, and every figure of our table bent once.

Mutation tools change what functions do, not the data they read: here each row of `RULES` loses a day, a minute or
itself, and the second table must notice.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from rtm_billing import checks, evaluate, rules, supply
from rtm_billing.kit.build import OPEN, case, days, entry
from rtm_billing.rules import RULES, Rule

DAY = timedelta(days=1)
NEW_YEARS = [
    date(2021, 12, 31), date(2022, 1, 1), date(2022, 12, 31), date(2023, 1, 1), date(2025, 12, 31),
    date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1),
]  # fmt: skip
MONTHS = [
    date(2021, 12, 31), date(2022, 1, 31), date(2025, 12, 31), date(2026, 1, 31), date(2026, 12, 31),
    date(2027, 1, 31),
]  # fmt: skip
LONG = {"respiratory": "98976", "musculoskeletal": "98977", "cognitive_behavioral": "98978"}
SHORT = {"respiratory": "98984", "musculoskeletal": "98985", "cognitive_behavioral": "98986"}
BEGAN = {"respiratory": 2022, "musculoskeletal": 2022, "cognitive_behavioral": 2023}

Line = tuple[str, int, str, str]


def _open_case(started: date, **more: Any) -> dict[str, Any]:
    changes = {
        "episode.started": started.isoformat(), "episode.discharged": None, "episode.consent": OPEN,
        "episode.plan_of_care": OPEN,
    }  # fmt: skip
    return case({**changes, **more.pop("changes", {})}, **more)


def _supply(organ: str, number: int, on: date) -> tuple[dict[str, Any], list[Line]]:
    """`number` days from the first of a window whose last date is `on`."""
    first = on - 29 * DAY
    made = _open_case(
        first,
        changes={"episode.organ_system": organ},
        data=days(first.isoformat(), number),
        as_of=(on + DAY).isoformat(),
    )
    code = LONG[organ] if number >= 16 else SHORT[organ] if number >= 2 and on.year >= 2026 else None
    if code is None or on.year < BEGAN[organ]:
        return made, []
    both_years = number == 30 and first.year != on.year
    held = on.year > 2026 or (both_years and first.year < BEGAN[organ])
    return made, [(code, 1, on.isoformat(), "hold" if held else "bill")]


def _setup(number: int, on: date) -> tuple[dict[str, Any], list[Line]]:
    """`number` days whose last is `on`, all of one year; the set-up on the first of them."""
    first = on - (number - 1) * DAY
    made = _open_case(
        first,
        changes={"episode.setup": {"on": first.isoformat()}, "episode.organ_system": "cognitive_behavioral"},
        data=days(first.isoformat(), number),
        as_of=(on + DAY).isoformat(),
    )
    met = (2022 <= on.year < 2026 and number >= 16) or (on.year >= 2026 and number >= 2)
    if not met:
        return made, []
    dated = on if on.year < 2026 else first + DAY
    return made, [("98975", 1, dated.isoformat(), "hold" if dated.year > 2026 else "bill")]


def _management(minutes: int, on: date) -> tuple[dict[str, Any], list[Line]]:
    """Minutes of the month whose last date is `on`."""
    first = on.replace(day=1)
    made = _open_case(
        first,
        management=[entry(f"{on:%Y-%m}-10T10:00", minutes)],
        settings={"no_data_month": "bill"},
        as_of=(on + DAY).isoformat(),
    )
    decision = "hold" if on.year > 2026 else "bill"
    lines: list[Line] = []
    if on.year >= 2022 and minutes >= 20:
        lines.append(("98980", 1, on.isoformat(), decision))
        if minutes >= 40:
            lines.append(("98981", minutes // 20 - 1, on.isoformat(), decision))
    elif on.year >= 2026 and minutes >= 10:
        lines.append(("98979", 1, on.isoformat(), decision))
    return made, lines


def _setup_over_new_year(number: int, on: date) -> tuple[dict[str, Any], list[Line]]:
    """`number` days whose last is 1 January of a year with another rule: met by the new one, to be decided."""
    made, _ = _setup(number, on)
    return made, [("98975", 1, on.isoformat(), "hold")]


def truths(kind: str) -> Iterator[tuple[dict[str, Any], list[Line]]]:
    """Cases at every edge of the table, with the lines they must give."""
    if kind == "supply":
        for on in NEW_YEARS:
            for organ in LONG:
                for number in (1, 2, 15, 16, 30):
                    yield _supply(organ, number, on)
    elif kind == "setup":
        for year in (2021, 2022, 2025, 2026, 2027):
            for number in (1, 2, 15, 16):
                yield _setup(number, date(year, 12, 31))
                yield _setup(number, date(year, 1, number))
        yield _setup_over_new_year(16, date(2022, 1, 1))
        yield _setup_over_new_year(2, date(2026, 1, 1))
    else:
        for on in MONTHS:
            for minutes in (9, 10, 19, 20, 39, 40, 59, 60, 79, 80):
                yield _management(minutes, on)


TRUTHS = {kind: list(truths(kind)) for kind in ("setup", "supply", "management")}


def _lines(made: dict[str, Any]) -> list[Line]:
    found: list[dict[str, Any]] = evaluate(made)["lines"]  # type: ignore[assignment]  # JSON
    return [(line["code"], line["units"], line["service_date"], line["decision"]) for line in found]


@pytest.mark.parametrize("kind", TRUTHS)
def test_every_edge_of_the_table(kind: str) -> None:
    for made, expected in TRUTHS[kind]:
        assert _lines(made) == expected, (made["episode"], made["data"], made["management"])


def _bent(row: Rule) -> Iterator[tuple[str, Rule]]:
    """The row with one figure changed, where no other row makes up for it."""
    # management goes by whole months, so a month is the least that shows
    step = 31 * DAY if row.kind == "management" else DAY
    again = any(other.code == row.code and other.first > row.first for other in RULES)
    before = any(other.code == row.code and other.first < row.first for other in RULES)
    twin = row.low == 16 and row.kind == "supply" and not again  # where both twins fit, the shorter is taken
    yield "low +1", replace(row, low=row.low + 1)
    yield "first later", replace(row, first=row.first + step)
    if not twin:
        yield "low -1", replace(row, low=row.low - 1)
    if row.step is None and (not before or row.kind == "setup"):  # an add-on never stands without its base
        yield "first earlier", replace(row, first=row.first - step)
    if row.high is not None and row.high < 30:
        yield "high +1", replace(row, high=row.high + 1)
        yield "high -1", replace(row, high=row.high - 1)
    if row.step is not None:
        yield "step +1", replace(row, step=row.step + 1)
        yield "step -1", replace(row, step=row.step - 1)
    if row.last is not None:
        yield "last earlier", replace(row, last=row.last - DAY)
    else:
        yield "verified less", replace(row, verified_through=row.verified_through - DAY)
        yield "verified more", replace(row, verified_through=date(2027, 2, 1))


def bent_rows() -> Iterator[tuple[str, tuple[str, tuple[Rule, ...]]]]:
    """The table without a row, and with a row bent."""
    for place, row in enumerate(RULES):
        name = f"{row.code} from {row.first.year}"
        yield f"{name}: gone", (row.kind, (*RULES[:place], *RULES[place + 1 :]))
        for what, bent in _bent(row):
            yield f"{name}: {what}", (row.kind, (*RULES[:place], bent, *RULES[place + 1 :]))


BENT = dict(bent_rows())


@pytest.mark.parametrize("name", BENT)
def test_a_bent_row_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, table = BENT[name]
    for module in (rules, checks, supply):
        monkeypatch.setattr(module, "RULES", table)
    rules.rules_on.cache_clear()
    try:
        assert any(_lines(made) != expected for made, expected in TRUTHS[kind]), "no edge notices"
    finally:
        monkeypatch.undo()
        rules.rules_on.cache_clear()


def test_rows_say_whence_they_are() -> None:
    for row in RULES:
        assert row.source.startswith("CMS ")
        assert row.confidence in ("H", "M", "M-H", "L")
        assert row.verified_through == rules.VERIFIED_THROUGH
        assert row.words
        assert row.often
