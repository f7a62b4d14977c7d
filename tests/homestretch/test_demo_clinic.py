"""Every invented patient has a condition that fits the exercises, and the clinic a telephone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from homestretch.demo.clinic import PHONE, TITLES, _title
from homestretch.demo.cohort import cohort


def test_titles_fit_the_exercises() -> None:
    now = datetime(2026, 11, 23, 21, tzinfo=UTC)
    for story in cohort(now.date(), now=now):
        exercises = {dose.exercise for dose in story.plan}
        shoulder = any(name.startswith("shoulder") for name in exercises)
        assert ("knee" in _title(story).lower()) is not shoulder, (exercises, _title(story))


@pytest.mark.parametrize("placement", TITLES)
def test_a_title_holds_nothing_personal(placement: str) -> None:
    assert all(title[0].isupper() and "," in title for title in TITLES[placement])


def test_the_telephone_is_nobodys() -> None:
    assert "-555-01" in PHONE
