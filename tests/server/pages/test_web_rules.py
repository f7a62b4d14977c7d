"""Why a patient stands on the worklist."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtm_server.web.worklist.rules import PainReport, PatientFacts, Tier, mean_adherence, reasons

TODAY = date(2026, 11, 23)


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def facts(
    pain: list[tuple[int, int]] | None = None,
    adherence: Mapping[int, float] | None = None,
    last: int | None = None,
    due: int = 30,
) -> PatientFacts:
    """Days are given as days ago."""
    shares = {ago(day): share for day, share in (adherence or {}).items()}
    return PatientFacts(
        today=TODAY,
        started=ago(40),
        prescribed=frozenset(ago(day) for day in range(due)),
        adherence=shares,
        last_data=max(shares, default=None) if last is None else ago(last),
        pain=[PainReport(ago(day), value) for day, value in (pain or [])],
    )


STEADY = dict.fromkeys(range(1, 30), 0.9)


@pytest.mark.parametrize(
    ("pain", "tier"),
    [
        ([(0, 8)], Tier.TODAY),
        ([(6, 2), (5, 3), (4, 2), (0, 5)], Tier.TODAY),
        ([(6, 2), (5, 3), (4, 3), (0, 5)], None),
        ([(5, 9)], None),
        ([(6, 3), (1, 7), (0, 3)], Tier.THIS_WEEK),
        ([(0, 7)], None),
        ([(6, 7), (0, 8)], Tier.TODAY),
    ],
    ids=["8", "jump of 3", "2 above", "long ago", "calmer since", "no usual value", "high but usual"],
)
def test_pain(pain: list[tuple[int, int]], tier: Tier | None) -> None:
    found = [r for r in reasons(facts(pain=pain, adherence=STEADY)) if r.cause == "pain"]
    assert [r.tier for r in found] == ([] if tier is None else [tier])


def test_pain_says_the_figure_and_the_usual_one() -> None:
    (reason,) = reasons(facts(pain=[(3, 2), (2, 2), (0, 6)], adherence=STEADY))
    assert reason.text == "Pain 6 of 10 today, usually 2"


@pytest.mark.parametrize(("last", "stands"), [(2, False), (3, False), (4, True), (9, True)])
def test_silence_counts_due_days_before_today(last: int, stands: bool) -> None:
    shares = dict.fromkeys(range(last, 30), 0.9)
    found = [r.cause for r in reasons(facts(adherence=shares))]
    assert ("silence" in found) is stands


def test_silence_knows_rest_days() -> None:
    """Nothing was due for ten days: nobody is silent."""
    quiet = PatientFacts(
        today=TODAY,
        started=ago(40),
        prescribed=frozenset(ago(day) for day in range(11, 30)),
        adherence={ago(12): 1.0},
        last_data=ago(12),
    )
    assert reasons(quiet) == ()


@pytest.mark.parametrize(("recent", "stands"), [(0.64, False), (0.62, True)])
def test_adherence_against_own_baseline(recent: float, stands: bool) -> None:
    shares = {day: 0.9 if day > 7 else recent for day in range(1, 29)}
    found = [r.cause for r in reasons(facts(adherence=shares))]
    assert ("adherence" in found) is stands


def test_unknown_is_not_zero() -> None:
    assert mean_adherence(facts(), ago(7), ago(1)) is None
    assert mean_adherence(facts(adherence={5: 1.0}), ago(7), ago(1)) == pytest.approx(1 / 3)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10)), max_size=12),
    st.dictionaries(st.integers(0, 35), st.floats(0, 1), max_size=30),
)
def test_one_reason_a_cause_and_worst_first(pain: list[tuple[int, int]], adherence: dict[int, float]) -> None:
    ordered = sorted(pain, key=lambda report: -report[0])
    found = reasons(facts(pain=ordered, adherence=adherence))
    assert len({r.cause for r in found}) == len(found)
    assert [r.tier for r in found] == sorted(r.tier for r in found)
    assert all(r.text and r.tier is not Tier.ON_COURSE for r in found)
