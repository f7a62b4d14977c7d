"""After an erasure nothing of the patient's is readable, and nothing new is sealed, whoever still holds the key."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from rtm_server import analyses, enrol, erasure, replays
from rtm_server import audit as audit_chain
from rtm_server.claims import lifecycle
from rtm_server.crypto import MasterKey
from rtm_server.erasure import KeptError
from rtm_server.errors import CryptoError, ErasedError
from rtm_server.ingest import commit_group
from rtm_server.pieces import Piece
from rtm_server.store import Store
from rtm_server.testing import Clinic, Database, make_batch, make_chunks, send_recording, squat_like

RATE = 50.0
VALUES = squat_like(int(46 * RATE), RATE)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def erase(clinic: Clinic, store: Store | None = None, now: datetime = NOW) -> None:
    with (store or clinic.store).tenant_tx(clinic.tenant) as tx:
        erasure.erase(
            store or clinic.store, tx, clinic.tenant, clinic.patient, actor=clinic.therapist, now=now
        )


def count(clinic: Clinic, table: str) -> int:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute(f"SELECT count(*) AS n FROM {table}").fetchone()  # noqa: S608 - a table's name from this file
    assert row is not None
    return int(row["n"])


def test_nothing_is_sealed_after_an_erasure_in_another_process(
    clinic: Clinic, database: Database, master: MasterKey
) -> None:
    """This process has used the key; the other erases. What arrives then is refused and kept by no key at all."""
    opened = datetime.now(UTC) - timedelta(hours=1)
    first, *rest = make_chunks(clinic, VALUES, opened=opened, boot=1)
    assert (
        not commit_group(clinic.store, [make_batch(clinic, first)], datetime.now(UTC))
        .acks[clinic.gateway]
        .refused
    )
    with Store(database.dsn, master) as other:
        erase(clinic, other)
    ack = commit_group(clinic.store, [make_batch(clinic, *rest)], datetime.now(UTC)).acks[clinic.gateway]
    assert ack.committed == ()
    assert len(ack.refused) == len(rest)
    assert {why for _, why in ack.refused} == {"The patient's data were erased."}
    assert count(clinic, "chunk") == 1
    assert count(clinic, "quarantine") == 0
    with clinic.store.tenant_tx(clinic.tenant) as tx, pytest.raises(ErasedError):
        clinic.store.seal_text(tx, clinic.tenant, clinic.patient, "note_enc", "hurts")


def test_an_erasure_waits_for_what_is_being_sealed(
    clinic: Clinic, database: Database, master: MasterKey
) -> None:
    """Either the seal was first and is committed before the key goes, or there is no key for it: never in between."""
    order: list[str] = []
    holds, may_end = threading.Event(), threading.Event()

    def seal() -> None:
        with clinic.store.tenant_tx(clinic.tenant) as tx:
            clinic.store.sealing_key(tx, clinic.tenant, clinic.patient)
            holds.set()
            may_end.wait()
            order.append("sealed")

    def drop() -> None:
        with Store(database.dsn, master) as other:
            erase(clinic, other)
        order.append("erased")

    sealing, dropping = threading.Thread(target=seal), threading.Thread(target=drop)
    sealing.start()
    holds.wait()
    dropping.start()
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with psycopg.connect(database.superuser_dsn, autocommit=True) as watcher:
        while watcher.execute(waiting).fetchone() is None:
            assert not order
    may_end.set()
    sealing.join()
    dropping.join()
    assert order == ["sealed", "erased"]


def test_another_process_reads_for_a_minute_at_most(
    clinic: Clinic, database: Database, master: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        box = clinic.store.seal_text(tx, clinic.tenant, clinic.patient, "note_enc", "hurts")
    with Store(database.dsn, master) as other:
        erase(clinic, other)
    monkeypatch.setattr("rtm_server.store._KEY_LIFE_S", 0.0)  # the minute is over
    with clinic.store.tenant_tx(clinic.tenant) as tx, pytest.raises(ErasedError):
        clinic.store.open_text(tx, clinic.tenant, clinic.patient, "note_enc", box)


def test_keys_of_many_are_asked_for_at_once_and_erased_ones_are_not_among_them(
    clinic: Clinic, database: Database, master: MasterKey
) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        gone = enrol.create_patient(clinic.store, tx, clinic.tenant, {"name": "Kim", "record_number": "R2"})
        erasure.erase(clinic.store, tx, clinic.tenant, gone, actor=None, now=NOW)
    with Store(database.dsn, master) as other, other.tenant_tx(clinic.tenant) as tx:
        other.fetch_keys(tx, clinic.tenant, {clinic.patient, gone, uuid4()})
        tx.execute("UPDATE patient SET data_key = NULL")  # nobody is asked again within the minute
        other.patient_key(tx, clinic.tenant, clinic.patient)
        with pytest.raises(ErasedError):
            other.patient_key(tx, clinic.tenant, gone)


def test_what_goes_and_what_stays(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        user = enrol.create_user(
            clinic.store, tx, clinic.tenant, "patient", login=f"p{uuid4()}@example.org", password="p" * 12,
            name="Pat Example", patient=clinic.patient,
        )  # fmt: skip
    recording = send_recording(clinic, VALUES, opened=datetime.now(UTC) - timedelta(hours=1), boot=1)
    analyses.analyse(clinic.store, clinic.tenant, recording)
    assert count(clinic, "piece") > 0
    before = count(clinic, "chunk")
    erase(clinic)
    erase(clinic)  # again: nothing more
    assert count(clinic, "piece") == 0
    assert count(clinic, "chunk") == before  # unreadable for ever
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute("SELECT * FROM app_user WHERE user_id = %s", (user,)).fetchone()
        assert row is not None
        assert enrol.user_name(clinic.store, tx, clinic.tenant, user, row["name_enc"]) == "Erased patient"
        assert row["disabled_at"] is not None
        assert tx.execute("SELECT 1 FROM directory WHERE subject_id = %s", (user,)).fetchall() == []
        assert audit_chain.check(tx, clinic.tenant).first_bad is None
        erased = tx.execute("SELECT count(*) AS n FROM audit WHERE action = 'patient_erased'").fetchone()
        assert erased == {"n": 1}
        with pytest.raises(CryptoError):
            clinic.store.patient_key(tx, clinic.tenant, clinic.patient)


def test_an_analysis_under_way_keeps_no_piece_after_the_erasure(clinic: Clinic) -> None:
    recording = send_recording(clinic, VALUES, opened=datetime.now(UTC) - timedelta(hours=1), boot=1)
    analyses.analyse(clinic.store, clinic.tenant, recording)
    whose = replays.Whose(clinic.tenant, clinic.patient, recording, NOW, "UTC")
    found = [Piece(1, 0.0, 1.0)]
    with clinic.store.tenant_tx(clinic.tenant) as tx:  # the control: before it, it does
        replays.keep(tx, whose, found)
    assert count(clinic, "piece") > 1
    erase(clinic)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        replays.keep(tx, whose, found)
    assert count(clinic, "piece") == 0


@pytest.mark.parametrize("billed", [date(2026, 3, 31), date(2024, 2, 29)])
def test_a_sent_claim_keeps_the_evidence_until_its_date(clinic: Clinic, billed: date) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        clerk = enrol.create_user(
            clinic.store, tx, clinic.tenant, "billing", login=f"b{uuid4()}@example.org", password="p" * 12,
            name="Bo",
        )  # fmt: skip
        draft = lifecycle.Draft(
            clinic.episode,
            "98977",
            1,
            ("GP",),
            billed,
            (billed.replace(day=1), billed),
            "bill",
            (),
            {},
            "test",
        )
        line = lifecycle.approve(tx, clinic.tenant, clerk, draft, reason="", at=NOW)
    with pytest.raises(KeptError, match="waits to leave"):
        erase(clinic)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        lifecycle.move(tx, clinic.tenant, [line], "exported", actor=None, reason="", at=NOW)
    last = date(billed.year + 7, billed.month, min(billed.day, 28 if billed.month == 2 else billed.day))
    with pytest.raises(KeptError, match=f"need the evidence until {last}") as kept:
        erase(clinic, now=datetime(last.year, last.month, last.day, 12, tzinfo=UTC))
    assert kept.value.until == last
    erase(clinic, now=datetime(last.year, last.month, last.day, 12, tzinfo=UTC) + timedelta(days=1))
