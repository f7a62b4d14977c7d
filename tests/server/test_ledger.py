"""The database as a billing case: everything goes in, the rules decide."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from rtm_server import analyses, ledger
from rtm_server.store import Store, Tx
from rtm_server.testing import Clinic, make_clinic, send_recording, squat_like

NEW_YORK = ZoneInfo("America/New_York")
MARCH = date(2026, 3, 1)


def add_day(
    tx: Tx,
    clinic: Clinic,
    day: date,
    *,
    kind: str | None = "sensor",
    doubts: tuple[str, ...] = (),
    hour: int = 10,
    zone: str = "America/New_York",
    received: datetime | None = None,
    aside: str | None = None,
) -> None:
    """A recording and its result, as the worker leaves them."""
    recording = uuid4()
    at = datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(zone))
    tx.execute(
        "INSERT INTO recording (tenant_id, recording_id, patient_id, episode_id, gateway_id, opened_at, closed_at,"
        " closed_by, revision, manifest, zone, simulated, state, received_at, artefact_reason)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, 'stop', 1, '{}', %s, false, 'analysed', %s, %s)",
        (
            *(clinic.tenant, recording, clinic.patient, clinic.episode, clinic.gateway, at, at, zone),
            *(received or at, aside),
        ),
    )
    tx.execute(
        "INSERT INTO analysis (tenant_id, recording_id, analysis_no, patient_id, pipeline_version, data_version,"
        " exercise, result, local_day, zone, kind, doubts, repetitions, sets, first_at, last_at)"
        " VALUES (%s, %s, 1, %s, 'test', 1, 'squat', '{}', %s, %s, %s, %s, 10, 1, %s, %s)",
        (clinic.tenant, recording, clinic.patient, day, zone, kind, list(doubts), at, at),
    )


def add_time(
    tx: Tx, clinic: Clinic, start: datetime, minutes: float, *, contact: str | None = None, **more: Any
) -> UUID:
    entry = uuid4()
    row = {
        "supersedes": None,
        "voided": False,
        "idle": False,
        "entered": start + timedelta(minutes=minutes),
        **more,
    }
    tx.execute(
        "INSERT INTO time_entry (tenant_id, entry_id, episode_id, author_id, role, started_at, ended_at,"
        " activity, contact, entered_at, supersedes, voided, idle)"
        " VALUES (%s, %s, %s, %s, 'therapist', %s, %s, 'call', %s, %s, %s, %s, %s)",
        (
            clinic.tenant,
            entry,
            clinic.episode,
            clinic.therapist,
            start,
            start + timedelta(minutes=minutes),
            contact,
            row["entered"],
            row["supersedes"],
            row["voided"],
            row["idle"],
        ),
    )
    return entry


def start_in_march(tx: Tx, clinic: Clinic) -> None:
    tx.execute("UPDATE episode SET started = %s", (MARCH,))
    tx.execute("UPDATE consent SET valid_from = %s", (MARCH,))
    tx.execute("UPDATE plan_of_care SET valid_from = %s", (MARCH,))


def codes(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line["code"], line["decision"]) for line in result["lines"]]


def test_sixteen_days_and_twenty_minutes_with_a_call(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        start_in_march(tx, clinic)
        for offset in range(16):
            add_day(tx, clinic, MARCH + timedelta(days=offset))
        add_time(tx, clinic, datetime(2026, 3, 10, 9, tzinfo=NEW_YORK), 20, contact="phone")
        march = ledger.month(tx, clinic.tenant, clinic.episode, MARCH, date(2026, 5, 1))
        april = ledger.month(tx, clinic.tenant, clinic.episode, date(2026, 4, 1), date(2026, 5, 1))
    assert codes(march) == [("98977", "bill"), ("98980", "bill")]
    assert codes(april) == []


def test_a_voided_entry_and_a_superseded_one_do_not_count(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        start_in_march(tx, clinic)
        morning = datetime(2026, 3, 10, 9, tzinfo=NEW_YORK)
        long = add_time(tx, clinic, morning, 40, contact="phone")
        short = add_time(tx, clinic, morning, 12, contact="phone", supersedes=long)
        found = ledger.case(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))["management"]
        assert [(each["end"] > each["start"], each["contact"]) for each in found] == [(True, "phone")]
        add_time(tx, clinic, morning, 12, contact="phone", supersedes=short, voided=True)
        assert ledger.case(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))["management"] == []


def test_days_of_a_simulated_sensor_are_billed_nowhere(store: Store) -> None:
    """Except in the demo's clinic, which is nobody's."""
    found = {}
    for counts in (False, True):
        clinic = make_clinic(store, simulated=True, simulated_counts=counts)
        with store.tenant_tx(clinic.tenant) as tx:
            start_in_march(tx, clinic)
            for offset in range(16):
                add_day(tx, clinic, MARCH + timedelta(days=offset), kind="test")
            found[counts] = codes(ledger.evaluation(tx, clinic.tenant, clinic.episode, date(2026, 5, 1)))
    assert found == {False: [], True: [("98977", "bill")]}


CLOCK = "the clock was wrong: it was measured after it arrived"
REPLAY = "the same samples were received before under another name"


def test_what_only_doubtful_days_add_is_held(clinic: Clinic) -> None:
    """Fifteen days stand; the sixteenth rests on a replay."""
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        start_in_march(tx, clinic)
        for offset in range(15):
            add_day(tx, clinic, MARCH + timedelta(days=offset))
        add_day(tx, clinic, MARCH + timedelta(days=20), kind=None, doubts=(REPLAY,))
        result = ledger.month(tx, clinic.tenant, clinic.episode, MARCH, date(2026, 5, 1))
    assert codes(result) == [("98977", "hold"), ("98985", "bill")]
    held = result["lines"][0]
    assert held["reasons"][0] == f"rests on doubtful evidence: {REPLAY}"
    assert held["evidence"]["instead_of"] == ["98985"]


def test_a_doubt_beside_a_certain_reading_changes_nothing(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        start_in_march(tx, clinic)
        for offset in range(16):
            add_day(tx, clinic, MARCH + timedelta(days=offset))
            add_day(tx, clinic, MARCH + timedelta(days=offset), kind=None, doubts=(REPLAY,), hour=15)
        case = ledger.case(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))
        result = ledger.month(tx, clinic.tenant, clinic.episode, MARCH, date(2026, 5, 1))
    assert codes(result) == [("98977", "bill")]
    assert ledger.doubtful(case["data"]) == []


@pytest.mark.parametrize("year", [1970, 9998])
def test_a_clock_from_another_age_stops_no_month_and_is_named(clinic: Clinic, year: int) -> None:
    arrived = datetime(2026, 3, 20, 15, tzinfo=UTC)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        start_in_march(tx, clinic)
        for offset in range(16):
            add_day(tx, clinic, MARCH + timedelta(days=offset))
        add_day(tx, clinic, date(year, 1, 1), kind=None, doubts=(CLOCK,), received=arrived)
        case = ledger.case(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))
        result = ledger.month(tx, clinic.tenant, clinic.episode, MARCH, date(2026, 5, 1))
    assert codes(result) == [("98977", "bill")]
    (doubt,) = ledger.doubtful(case["data"])
    assert doubt.on == (date(1970, 1, 1) if year == 1970 else arrived.date())
    assert doubt.received == {arrived.date()}
    assert doubt.why.startswith(CLOCK)


def test_days_that_arrive_in_one_batch_after_the_window_wait_for_a_person(clinic: Clinic) -> None:
    """Fourteen days came as they were done, two more weeks after the window was over, through ingest and analysis."""
    base = clinic.since.date() + timedelta(days=30)
    values = squat_like(1500, 50.0)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        for offset in range(14):
            add_day(tx, clinic, base + timedelta(days=offset))
    for offset in (14, 15):
        opened = datetime.combine(base + timedelta(days=offset), time(12), NEW_YORK)
        recording = send_recording(clinic, values + np.int16(offset), opened=opened, boot=offset)
        analyses.analyse(clinic.store, clinic.tenant, recording)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        result = ledger.evaluation(tx, clinic.tenant, clinic.episode, datetime.now(UTC).date())
    (supply,) = [line for line in result["lines"] if line["code"] == "98977"]
    assert supply["decision"] == "hold"
    assert any("arrived more than 7 days after" in why for why in supply["reasons"])


def test_what_was_set_aside_or_not_counted_is_no_evidence_at_all(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        add_day(tx, clinic, MARCH, aside="fell off the table")
        add_day(tx, clinic, MARCH, kind=None, doubts=("set aside as an artefact",), aside="a dog wore it")
        assert ledger.case(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))["data"] == []


def test_a_day_gained_by_a_change_of_zone_is_in_doubt(clinic: Clinic) -> None:
    """Monday in Kiritimati and, half an hour later, Sunday in Midway."""
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        start_in_march(tx, clinic)
        add_day(tx, clinic, date(2026, 3, 9), zone="Pacific/Kiritimati", hour=10)
        add_day(tx, clinic, date(2026, 3, 8), zone="Pacific/Midway", hour=10)
        data = ledger.case(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))["data"]
    assert [(each["at"][:10], "doubt" in each) for each in data] == [
        ("2026-03-09", False),
        ("2026-03-08", True),
    ]


def test_a_visits_clock_times_are_taken_out_of_the_minutes(clinic: Clinic) -> None:
    start = datetime(2026, 3, 10, 9, tzinfo=NEW_YORK)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        start_in_march(tx, clinic)
        add_day(tx, clinic, date(2026, 3, 9))
        add_time(tx, clinic, start, 20, contact="phone")
        before = ledger.month(tx, clinic.tenant, clinic.episode, MARCH, date(2026, 5, 1))
        tx.execute(
            "INSERT INTO visit (tenant_id, visit_id, episode_id, visited_on, services, entered_by, started_at,"
            " ended_at) VALUES (%s, %s, %s, %s, '[]', %s, %s, %s)",
            (
                *(clinic.tenant, uuid4(), clinic.episode, start.date(), clinic.therapist),
                *(start + timedelta(minutes=12), start + timedelta(minutes=60)),
            ),
        )
        after = ledger.month(tx, clinic.tenant, clinic.episode, MARCH, date(2026, 5, 1))
    assert codes(before) == [("98980", "bill")]
    assert codes(after) == [("98979", "bill")]


@pytest.mark.parametrize(("days_later", "decision"), [(6, "bill"), (8, "hold")])
def test_back_dated_minutes_are_held(clinic: Clinic, days_later: int, decision: str) -> None:
    start = datetime(2026, 3, 10, 9, tzinfo=NEW_YORK)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        start_in_march(tx, clinic)
        add_day(tx, clinic, date(2026, 3, 9))
        add_time(tx, clinic, start, 20, contact="phone", entered=start + timedelta(days=days_later))
        result = ledger.month(tx, clinic.tenant, clinic.episode, MARCH, date(2026, 5, 1))
    assert codes(result) == [("98980", decision)]


def test_idle_time_is_no_service(clinic: Clinic) -> None:
    start = datetime(2026, 3, 10, 9, tzinfo=NEW_YORK)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        start_in_march(tx, clinic)
        add_day(tx, clinic, date(2026, 3, 9))
        add_time(tx, clinic, start, 12, contact="phone")
        add_time(tx, clinic, start + timedelta(minutes=12), 30, idle=True)
        result = ledger.month(tx, clinic.tenant, clinic.episode, MARCH, date(2026, 5, 1))
    assert codes(result) == [("98979", "bill")]


def test_without_a_device_basis_supply_is_held(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        start_in_march(tx, clinic)
        tx.execute("UPDATE episode SET device_basis = NULL")
        for offset in range(16):
            add_day(tx, clinic, MARCH + timedelta(days=offset))
        result = ledger.evaluation(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))
    assert ("98977", "hold") in codes(result)


def test_visits_spend_and_other_services_go_in(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        start_in_march(tx, clinic)
        key = (clinic.tenant, uuid4(), clinic.episode)
        tx.execute(
            "INSERT INTO visit (tenant_id, visit_id, episode_id, visited_on, services, entered_by)"
            """ VALUES (%s, %s, %s, %s, '[{"code": "97110", "minutes": 33, "assistant_minutes": 0}]', %s)""",
            (*key, MARCH, clinic.therapist),
        )
        tx.execute(
            "INSERT INTO therapy_spend (tenant_id, spend_id, episode_id, spent_on, amount)"
            " VALUES (%s, %s, %s, %s, 310)",
            (*key, MARCH),
        )
        tx.execute(
            "INSERT INTO other_service (tenant_id, service_id, episode_id, detail) VALUES (%s, %s, %s,"
            """ '{"kind": "code", "code": "99454", "from": "2026-03-01", "to": "2026-03-30"}')""",
            key,
        )
        case = ledger.case(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))
        result = ledger.evaluation(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))
    assert case["therapy_spend"] == [{"on": "2026-03-01", "amount": "310.00"}]
    assert case["other_services"][0]["code"] == "99454"
    assert ("97110", "bill") in codes(result)


def test_today_is_the_clinics(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        assert ledger.today(tx, clinic.tenant, datetime(2026, 3, 2, 3, tzinfo=UTC)) == date(2026, 3, 1)
