"""`rtm verify` finds every kind of damage; on an undamaged store it finds none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rtm_server import analyses, audit, ingest, verify
from rtm_server.ack_journal import AckJournal
from rtm_server.crypto import MasterKey
from rtm_server.store import Store
from rtm_server.testing import (
    Clinic,
    Database,
    make_batch,
    make_chunks,
    make_clinic,
    make_manifest,
    send_recording,
    squat_like,
)
from rtm_signal import chunk as chunks

VALUES = squat_like(1500, 50.0)
OPENED = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def house(store: Store) -> Iterator[Clinic]:
    """A clinic with one analysed recording; alone in the report, because others are dropped from the directory."""
    clinic = make_clinic(store)
    recording = send_recording(clinic, VALUES, opened=OPENED, boot=1)
    analyses.analyse(store, clinic.tenant, recording)
    with store.tenant_tx(clinic.tenant) as tx:
        audit.append(tx, clinic.tenant, "test.begin", actor=clinic.therapist, detail={"n": 1})
        audit.append(tx, clinic.tenant, "test.end", subject=clinic.patient)
    yield clinic
    with store.tenant_tx(clinic.tenant) as tx:
        store.unregister(tx, clinic.tenant, "tenant", clinic.tenant.bytes)


def journal(clinic: Clinic, folder: Path, extra: tuple[str, ...] = ()) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        keys = [
            f"c:{row['stream_id']}:{row['boot']}:{row['first_index']}:{row['n']}:{row['t_key']}"
            for row in tx.execute("SELECT stream_id, boot, first_index, n, t_key FROM chunk")
        ]
    written = AckJournal(folder)
    written.append("2026-01-01", [(clinic.tenant, key) for key in (*keys, *extra)])
    written.close()


def superuser(database: Database, statement: str, *parameters: Any) -> None:
    """Damage from outside the application: a superuser with the triggers off."""
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("SET session_replication_role = replica")
        assert connection.execute(statement.encode(), parameters).rowcount > 0


def test_an_undamaged_store_is_ok(house: Clinic, store: Store, tmp_path: Path) -> None:
    journal(house, tmp_path)
    assert verify.run(store, tmp_path) == {
        "chunks": {"acknowledged": 6, "stored": 6, "missing": 0, "duplicated": 0, "altered": 0},
        "gaps": {"reported": 0, "found": 0, "different": 0},
        "audit": {"entries": 2, "first_bad": None},
        "rollups": {"checked": 1, "different": 0},
        "ok": True,
    }


def test_a_lost_commit_is_missing(house: Clinic, store: Store, database: Database, tmp_path: Path) -> None:
    journal(house, tmp_path)
    superuser(database, "DELETE FROM chunk WHERE tenant_id = %s AND first_index = 500", house.tenant)
    report, faults = verify.check(store, tmp_path)
    assert report["chunks"]["missing"] == 1
    assert report["gaps"] == {"reported": 0, "found": 1, "different": 1}
    assert not report["ok"]
    assert faults[0] == "1 acknowledged items are not stored"


def test_a_lost_manifest_is_missing(house: Clinic, store: Store, tmp_path: Path) -> None:
    journal(house, tmp_path, extra=(f"m:{house.patient}:1",))
    assert verify.run(store, tmp_path)["chunks"]["missing"] == 1


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE chunk SET ciphertext = set_byte(ciphertext, 40, get_byte(ciphertext, 40) # 1)",
        "UPDATE chunk SET sha256 = set_byte(sha256, 0, get_byte(sha256, 0) # 1)",
        "UPDATE chunk SET boot = boot + 7",
    ],
)
def test_an_altered_chunk_is_found(
    house: Clinic, store: Store, database: Database, tmp_path: Path, damage: str
) -> None:
    superuser(database, f"{damage} WHERE tenant_id = %s AND first_index = 250", house.tenant)
    assert verify.run(store, tmp_path)["chunks"]["altered"] == 1


def test_a_chunk_sealed_twice_is_duplicated(house: Clinic, store: Store, tmp_path: Path) -> None:
    sealed_again = make_chunks(house, VALUES[:250], opened=OPENED + timedelta(seconds=1), boot=1)
    ingest.commit_group(store, [make_batch(house, *sealed_again)], datetime.now(UTC))
    assert verify.run(store, tmp_path)["chunks"]["duplicated"] == 1


def test_a_declared_gap_is_no_fault(house: Clinic, store: Store, tmp_path: Path) -> None:
    sent = make_chunks(house, VALUES, opened=OPENED, boot=2)
    manifest = make_manifest(house, opened=OPENED, boot=2, last=1499, lost=((250, 499), (1000, 1249)))
    kept = [each for each in sent if chunks.peek(each).first not in (250, 1000)]
    ingest.commit_group(store, [make_batch(house, *kept, manifest.to_json())], datetime.now(UTC))
    report = verify.run(store, tmp_path)
    assert report["gaps"] == {"reported": 2, "found": 2, "different": 0}
    assert report["ok"]


def test_a_recording_on_its_way_is_no_fault(house: Clinic, store: Store, tmp_path: Path) -> None:
    """The manifest and four of six chunks are here, the rest is in the gateway's outbox."""
    sent = make_chunks(house, VALUES, opened=OPENED, boot=2)
    manifest = make_manifest(house, opened=OPENED, boot=2, last=1499)
    ingest.commit_group(store, [make_batch(house, *sent[:4], manifest.to_json())], datetime.now(UTC))
    report, faults = verify.check(store, tmp_path)
    assert report["gaps"] == {"reported": 0, "found": 1, "different": 0}
    assert faults == []


def test_data_that_come_after_they_were_declared_lost_are_no_fault(
    house: Clinic, store: Store, tmp_path: Path
) -> None:
    sent = make_chunks(house, VALUES, opened=OPENED, boot=2)
    manifest = make_manifest(house, opened=OPENED, boot=2, last=1499, lost=((250, 499), (1000, 1249)))
    kept = [each for each in sent if chunks.peek(each).first != 250]
    ingest.commit_group(store, [make_batch(house, *kept, manifest.to_json())], datetime.now(UTC))
    report, faults = verify.check(store, tmp_path)
    assert report["gaps"] == {"reported": 2, "found": 1, "different": 0}
    assert faults == []


def test_a_hole_in_a_complete_recording_beside_a_declared_one_is_found(
    house: Clinic, store: Store, database: Database, tmp_path: Path
) -> None:
    """Negative control: what is waived above hides nothing here."""
    sent = make_chunks(house, VALUES, opened=OPENED, boot=2)
    manifest = make_manifest(house, opened=OPENED, boot=2, last=1499, lost=((250, 499),))
    ingest.commit_group(store, [make_batch(house, *sent, manifest.to_json())], datetime.now(UTC))
    superuser(
        database, "DELETE FROM chunk WHERE tenant_id = %s AND boot = 2 AND first_index = 750", house.tenant
    )
    report, faults = verify.check(store, tmp_path)
    assert report["gaps"] == {"reported": 1, "found": 1, "different": 1}
    assert faults == ["1 gaps differ from what the gateways reported"]


def test_what_was_acknowledged_of_a_recording_on_its_way_must_be_there(
    house: Clinic, store: Store, database: Database, tmp_path: Path
) -> None:
    sent = make_chunks(house, VALUES, opened=OPENED, boot=2)
    manifest = make_manifest(house, opened=OPENED, boot=2, last=1499)
    ingest.commit_group(store, [make_batch(house, *sent[:4], manifest.to_json())], datetime.now(UTC))
    journal(house, tmp_path)
    superuser(
        database, "DELETE FROM chunk WHERE tenant_id = %s AND boot = 2 AND first_index = 250", house.tenant
    )
    report, faults = verify.check(store, tmp_path)
    assert report["chunks"]["missing"] == 1
    assert faults == ["1 acknowledged items are not stored"]


@pytest.mark.parametrize(
    ("damage", "first_bad"),
    [
        ("UPDATE audit SET action = 'test.other' WHERE tenant_id = %s AND entry_no = 1", 1),
        ("UPDATE audit SET at = at + interval '1 second' WHERE tenant_id = %s AND entry_no = 2", 2),
        ("DELETE FROM audit WHERE tenant_id = %s AND entry_no = 1", 1),
    ],
)
def test_a_broken_audit_chain_is_found(
    house: Clinic, store: Store, database: Database, tmp_path: Path, damage: str, first_bad: int
) -> None:
    superuser(database, damage, house.tenant)
    assert verify.run(store, tmp_path)["audit"]["first_bad"] == f"{house.tenant}/{first_bad}"


def test_a_changed_rollup_is_found(house: Clinic, store: Store, database: Database, tmp_path: Path) -> None:
    superuser(database, "UPDATE daily SET repetitions = repetitions + 1 WHERE tenant_id = %s", house.tenant)
    report, faults = verify.check(store, tmp_path)
    assert report["rollups"] == {"checked": 1, "different": 1}
    assert faults == ["1 daily roll-ups do not follow from the analyses"]


def test_a_rollup_too_many_and_one_too_few_are_both_found(
    house: Clinic, store: Store, database: Database, tmp_path: Path
) -> None:
    superuser(database, "UPDATE daily SET exercise = 'bridge' WHERE tenant_id = %s", house.tenant)
    assert verify.run(store, tmp_path)["rollups"] == {"checked": 1, "different": 2}


def test_a_torn_line_of_the_journal_is_skipped(house: Clinic, store: Store, tmp_path: Path) -> None:
    journal(house, tmp_path)
    (file,) = (tmp_path / "acks").iterdir()
    file.write_text(file.read_text() + f"{house.tenant} c:torn")
    assert verify.run(store, tmp_path)["ok"]


def test_with_another_master_key_nothing_is_ok(house: Clinic, database: Database, tmp_path: Path) -> None:
    with Store(database.dsn, MasterKey(b"x" * 32)) as stranger:
        report = verify.run(stranger, tmp_path)
    assert report["chunks"]["altered"] == report["chunks"]["stored"] == 6
    assert not report["ok"]


def test_an_erased_patient_is_no_fault(house: Clinic, store: Store, tmp_path: Path) -> None:
    with store.tenant_tx(house.tenant) as tx:
        tx.execute("UPDATE patient SET data_key = NULL, identifiers_enc = NULL, erased_at = now()")
    store.forget_keys()
    assert verify.run(store, tmp_path)["ok"]
