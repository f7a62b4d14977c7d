"""The demo's cohort tells the stories it promises, on any day of the year."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homestretch.demo.cohort import CLINIC_ZONE, STORIES, PatientStory, cohort
from rtm_signal.catalogue import EXERCISES

ZONE = ZoneInfo(CLINIC_ZONE)


def evening(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 21, 0, tzinfo=ZONE)


def data_days(patient: PatientStory) -> list[date]:
    return sorted({session.starts_at.date() for session in patient.sessions})


@pytest.mark.parametrize("number", [0, 1])
@given(day=st.dates(date(2026, 1, 1), date(2026, 12, 31)))
@settings(max_examples=25, deadline=None)
def test_sixteen_days_and_fifteen_with_a_day_left(number: int, day: date) -> None:
    patient = cohort(day, now=evening(day))[number]
    days = data_days(patient)
    assert len(days) == STORIES[number].data_days
    assert days[0] == patient.started
    last_of_window = days[0] + timedelta(days=29)
    left = (last_of_window - day).days
    assert (number == 0 and left >= 1) or left == 1


@given(day=st.dates(date(2026, 1, 1), date(2026, 12, 31)))
@settings(max_examples=25, deadline=None)
def test_one_is_silent_for_exactly_five_days(day: date) -> None:
    silent = cohort(day, now=evening(day))[2]
    assert (day - data_days(silent)[-1]).days == 5


def test_pain_rises_by_at_least_three_above_the_own_median() -> None:
    day = date(2026, 11, 23)
    reports = [report.score for report in cohort(day, now=evening(day))[3].pain]
    assert reports[-1] >= sorted(reports[-8:-1])[3] + 3


@given(day=st.dates(date(2026, 1, 4), date(2026, 12, 31)))
@settings(max_examples=25, deadline=None)
def test_one_has_more_than_forty_minutes_in_the_month_with_a_contact(day: date) -> None:
    entries = cohort(day, now=evening(day))[4].minutes
    in_month = [entry for entry in entries if entry.start.astimezone(ZONE).month == day.month]
    assert sum((entry.end - entry.start).total_seconds() for entry in in_month) > 40 * 60
    assert any(entry.contact == "phone" for entry in in_month)
    assert all(a.end <= b.start for a, b in pairwise(entries))


@given(
    day=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    patients=st.integers(1, 30),
    days=st.integers(1, 90),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None)
def test_any_size_and_nothing_in_the_future(day: date, patients: int, days: int, seed: int) -> None:
    now = evening(day)
    people = cohort(day, patients=patients, days=days, seed=seed, now=now)
    assert len(people) == patients
    assert len({(person.given, person.family) for person in people}) == patients
    for person in people:
        assert (day - person.started).days <= days
        assert all(session.starts_at < now for session in person.sessions)
        assert all(entry.end <= now for entry in person.minutes)
        assert all(dose.exercise in EXERCISES for dose in person.plan)


@given(day=st.dates(date(2026, 1, 1), date(2026, 12, 31)))
@settings(max_examples=25, deadline=None)
def test_most_do_most_of_their_plan_and_a_few_struggle(day: date) -> None:
    shares = [adherence(person, day) for person in cohort(day, now=evening(day))]
    assert sum(0.6 <= share <= 1.0 for share in shares) >= 8, shares
    assert 1 <= sum(share < 0.6 for share in shares) <= 4, shares
    assert min(shares) > 0.15


def adherence(person: PatientStory, day: date) -> float:
    """Share of the plan of the last thirty days until yesterday, as the pages compute it (docs/architecture.md)."""
    first = max(person.started, day - timedelta(days=29))
    done: dict[tuple[date, str], int] = {}
    for session in person.sessions:
        key = session.starts_at.date(), session.exercise
        done[key] = done.get(key, 0) + session.repetitions
    shares = [
        min(
            done.get((first + timedelta(days=offset), dose.exercise), 0) / (dose.sets * dose.repetitions), 1.0
        )
        for offset in range((day - first).days)
        for dose in person.plan
    ]
    return sum(shares) / len(shares)


def test_who_trains_does_both_exercises_of_a_day_one_after_the_other() -> None:
    day = date(2026, 11, 23)
    for person in cohort(day, now=evening(day)):
        days: dict[date, list[str]] = {}
        for session in person.sessions:
            days.setdefault(session.starts_at.date(), []).append(session.exercise)
        plan = [dose.exercise for dose in person.plan]
        assert all(done in (plan, plan[:1]) for done in days.values())
        assert sum(done == plan for done in days.values()) > len(days) / 2


def test_the_patient_of_the_live_page_wears_two_sensors_of_one_joint() -> None:
    person = cohort(date(2026, 11, 23), now=evening(date(2026, 11, 23)))[0]
    assert all(EXERCISES[dose.exercise].joint_placements == person.placements for dose in person.plan)
    exercises = [dose.exercise for dose in person.plan]
    assert exercises == sorted(exercises), (
        "the page asks for them in this order: the first is what the sensors feel"
    )


def test_the_same_day_gives_the_same_cohort() -> None:
    now = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
    assert cohort(date(2026, 11, 23), now=now) == cohort(date(2026, 11, 23), now=now)
