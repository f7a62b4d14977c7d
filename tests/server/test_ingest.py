"""Ingest against a real PostgreSQL: stored once, acknowledged after commit, refused in words, nothing lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from rtm_server import enrol, ingest, ingest_items
from rtm_server.ingest_items import Message
from rtm_server.store import Store, Tx
from rtm_server.testing import Clinic, make_batch, make_chunks, make_clinic, make_manifest, squat_like
from rtm_signal import chunk as chunks
from rtm_signal import wire

NOW = datetime.now(UTC)
OPENED = NOW - timedelta(hours=2)


def commit(clinic: Clinic, *messages: Message) -> wire.Ack:
    return ingest.commit_group(clinic.store, messages, datetime.now(UTC)).acks[clinic.gateway]


def count(tx: Tx, table: str) -> int:
    row = tx.execute(f"SELECT count(*) AS n FROM {table}").fetchone()  # noqa: S608 - a table of the test
    assert row is not None
    return int(row["n"])


def test_a_chunk_is_stored_once_and_acknowledged_every_time(clinic: Clinic) -> None:
    sent = make_chunks(clinic, squat_like(1000, 50.0), opened=OPENED, boot=1)
    keys = tuple(str(chunks.peek(each).key) for each in sent)
    first = commit(clinic, make_batch(clinic, *sent))
    again = commit(clinic, make_batch(clinic, *sent), make_batch(clinic, *sent))
    assert sorted(first.committed) == sorted(keys)
    assert set(again.committed) == set(keys)
    assert not first.refused
    assert not again.refused
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        assert count(tx, "chunk") == len(sent)


def test_the_same_chunk_twice_in_one_group_is_stored_once(clinic: Clinic) -> None:
    (sent,) = make_chunks(clinic, squat_like(100, 50.0), opened=OPENED, boot=1)
    ack = commit(clinic, make_batch(clinic, sent, sent), make_batch(clinic, sent))
    assert set(ack.committed) == {str(chunks.peek(sent).key)}
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        assert count(tx, "chunk") == 1


def test_another_chunk_of_the_same_name_is_refused_and_kept(clinic: Clinic) -> None:
    values = squat_like(100, 50.0)
    (sent,) = make_chunks(clinic, values, opened=OPENED, boot=1)
    (other,) = make_chunks(clinic, values + np.int16(1), opened=OPENED, boot=1)
    commit(clinic, make_batch(clinic, sent))
    ack = commit(clinic, make_batch(clinic, other))
    assert not ack.committed
    assert ack.refused == ((str(chunks.peek(sent).key), "Another chunk of the same name is stored already."),)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        kept = tx.execute("SELECT reason FROM quarantine").fetchall()
    assert [row["reason"] for row in kept] == ["altered"]


def test_a_corrupt_chunk_does_not_stop_its_neighbours(clinic: Clinic) -> None:
    sent = make_chunks(clinic, squat_like(750, 50.0), opened=OPENED, boot=1)
    broken = sent[1][:-1] + bytes([sent[1][-1] ^ 1])
    ack = commit(clinic, make_batch(clinic, sent[0], broken, sent[2]))
    assert len(ack.committed) == 2
    assert [key for key, _ in ack.refused] == [ingest_items.unreadable_key(broken)]


def test_a_batch_that_is_no_batch_is_kept(clinic: Clinic) -> None:
    ack = commit(clinic, Message(clinic.gateway, b"HSB1\x05\x00nonsense"))
    assert not ack.committed
    assert len(ack.refused) == 1
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        assert count(tx, "quarantine") == 1


def test_a_chunk_of_another_clinic_is_refused(store: Store, clinic: Clinic) -> None:
    other = make_clinic(store)
    (theirs,) = make_chunks(other, squat_like(100, 50.0), opened=OPENED, boot=1)
    ack = commit(clinic, make_batch(clinic, theirs))
    assert [why for _, why in ack.refused] == ["The chunk belongs to another clinic than its gateway."]
    with store.tenant_tx(other.tenant) as tx:
        assert count(tx, "chunk") == 0


def test_a_stranger_gateway_is_refused(clinic: Clinic) -> None:
    (sent,) = make_chunks(clinic, squat_like(100, 50.0), opened=OPENED, boot=1)
    stranger = Message(clinic.patient, make_batch(clinic, sent).payload)
    group = ingest.commit_group(clinic.store, [stranger], NOW)
    assert not group.committed
    ((key, why),) = group.acks[clinic.patient].refused
    assert key == str(chunks.peek(sent).key)
    assert why == "This gateway is not enrolled or was revoked."


def test_a_sensor_that_nobody_wears_is_refused(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        spare = enrol.add_sensor(tx, clinic.tenant, "homestretch")
    stream = chunks.stream_id(spare, "imu")
    (sent,) = make_chunks(clinic, squat_like(100, 50.0), opened=OPENED, boot=1, stream=stream)
    ack = commit(clinic, make_batch(clinic, sent))
    assert [why for _, why in ack.refused] == ["The sensor was assigned to nobody at that time."]


def test_what_was_put_right_can_be_fed_in_again(clinic: Clinic) -> None:
    """A sensor was worn before anybody wrote it down: its data are kept, and stored once it is assigned."""
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        spare = enrol.add_sensor(tx, clinic.tenant, "homestretch")
        patient = enrol.create_patient(
            clinic.store, tx, clinic.tenant, {"name": "Kim Example", "birth_date": "1950-01-01"}
        )
        episode = enrol.create_episode(
            clinic.store, tx, clinic.tenant, patient, timezone=clinic.zone, started=OPENED.date()
        )
    stream = chunks.stream_id(spare, "imu")
    sent = make_chunks(clinic, squat_like(750, 50.0), opened=OPENED, boot=1, stream=stream)
    commit(clinic, make_batch(clinic, *sent), Message(clinic.gateway, b"no batch"))
    assert ingest.replay_quarantine(clinic.store, clinic.tenant) == ingest.Replayed(refused=4)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        assert count(tx, "quarantine") == 4, "refused again, kept once"
        kept = tx.execute("SELECT min(received_at) AS at FROM quarantine").fetchone()
        enrol.assign(tx, clinic.tenant, spare, episode, "wrist", assigned_from=OPENED)
    assert ingest.replay_quarantine(clinic.store, clinic.tenant) == ingest.Replayed(stored=3, refused=1)
    assert ingest.replay_quarantine(clinic.store, clinic.tenant) == ingest.Replayed(duplicate=3, refused=1)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        assert count(tx, "chunk") == 3
        stored = tx.execute("SELECT DISTINCT patient_id, received_at FROM chunk").fetchall()
        noted = tx.execute("SELECT count(*) AS n FROM audit WHERE action = 'quarantine.replayed'").fetchone()
    assert kept is not None
    assert stored == [{"patient_id": patient, "received_at": kept["at"]}], "as of when it came, not of today"
    assert noted == {"n": 3}


def test_a_kept_manifest_is_fed_in_again(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        tx.execute("UPDATE assignment SET assigned_from = now() + interval '1 day'")
    manifest = make_manifest(clinic, opened=OPENED, boot=1, last=249)
    sent = make_chunks(clinic, squat_like(250, 50.0), opened=OPENED, boot=1)
    assert not commit(clinic, make_batch(clinic, manifest.to_json(), *sent)).committed
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        tx.execute("UPDATE assignment SET assigned_from = %s", (OPENED - timedelta(days=1),))
    assert ingest.replay_quarantine(clinic.store, clinic.tenant) == ingest.Replayed(stored=2)
    assert state_of(clinic) == [("complete", 1)]


def test_a_chunk_at_rest_is_ciphertext(clinic: Clinic) -> None:
    (sent,) = make_chunks(clinic, squat_like(100, 50.0), opened=OPENED, boot=1)
    commit(clinic, make_batch(clinic, sent))
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute("SELECT ciphertext FROM chunk").fetchone()
    assert row is not None
    assert sent[:64] not in row["ciphertext"]
    assert clinic.stream.bytes not in row["ciphertext"]


def state_of(clinic: Clinic) -> list[tuple[str, int]]:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        return [
            (row["state"], row["jobs"])
            for row in tx.execute(
                "SELECT state, (SELECT count(*) FROM procrastinate_jobs j WHERE j.lock = r.recording_id::text"
                " AND j.status = 'todo') AS jobs FROM recording r"
            )
        ]


def test_a_recording_is_complete_with_its_last_chunk(clinic: Clinic) -> None:
    sent = make_chunks(clinic, squat_like(1000, 50.0), opened=OPENED, boot=3)
    manifest = make_manifest(clinic, opened=OPENED, boot=3, last=999)
    commit(clinic, make_batch(clinic, *sent[:-1], manifest.to_json()))
    assert state_of(clinic) == [("incomplete", 0)]
    commit(clinic, make_batch(clinic, sent[-1]))
    assert state_of(clinic) == [("complete", 1)]


def test_a_declared_loss_completes_a_recording_and_late_data_are_analysed_again(clinic: Clinic) -> None:
    sent = make_chunks(clinic, squat_like(1000, 50.0), opened=OPENED, boot=3)
    manifest = make_manifest(clinic, opened=OPENED, boot=3, last=999, lost=((250, 499),))
    commit(clinic, make_batch(clinic, sent[0], sent[2], sent[3], manifest.to_json()))
    assert state_of(clinic) == [("complete", 1)]
    commit(clinic, make_batch(clinic, sent[1]))
    assert state_of(clinic) == [("complete", 1)]  # one job waits, it will see both
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute("SELECT data_version FROM recording").fetchone()
    assert row is not None
    assert row["data_version"] == 3


def test_a_newer_manifest_counts_an_older_one_does_not(clinic: Clinic) -> None:
    first = make_manifest(clinic, opened=OPENED, boot=1, last=99)
    second = make_manifest(clinic, opened=OPENED, boot=1, last=199, revision=2, recording=first.recording)
    for manifest in (second, first, second):
        ack = commit(clinic, make_batch(clinic, manifest.to_json()))
        assert ack.committed == (manifest.key,)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute(
            "SELECT revision, last_index FROM recording JOIN recording_stream USING (recording_id)"
        ).fetchone()
    assert row is not None
    assert (row["revision"], row["last_index"]) == (2, 199)


@pytest.mark.parametrize("name", ["\x00", "\ud800"])
def test_a_field_whose_name_no_database_can_hold_is_refused_in_words(clinic: Clinic, name: str) -> None:
    manifest = make_manifest(clinic, opened=OPENED, boot=1, last=99)
    damaged = json.dumps({**json.loads(manifest.to_json()), name: 1}).encode()
    ((_, why),) = commit(clinic, make_batch(clinic, damaged)).refused
    assert "field that is not known" in why
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        assert count(tx, "quarantine") == 1
