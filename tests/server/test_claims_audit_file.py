"""The audit file: what a reviewer asks for, from a recording that came through ingest and analysis, provably whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtm_billing import audit_check
from rtm_billing.errors import CaseError
from rtm_billing.sealed_zip import pack, unpack
from rtm_server import ledger
from rtm_server.analyses import analyse
from rtm_server.claims import audit_plots, lifecycle
from rtm_server.claims.audit_file import AuditFile, audit_file
from rtm_server.claims.errors import ClaimsError, NotAllowedError
from rtm_server.claims.export import export_month
from rtm_server.claims.testing import LATER, MARCH, NOW, add_line, furnish
from rtm_server.store import Store
from rtm_server.testing import Clinic, make_clinic, send_recording, squat_like

MORNING = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


@dataclass
class Billed:
    """A clinic, its clerk, one released supply line that rests on two days of real chunks, and its file."""

    clinic: Clinic
    clerk: UUID
    line: UUID
    file: AuditFile


@pytest.fixture(scope="module")
def billed(store: Store) -> Billed:
    clinic = make_clinic(store)
    clerk = furnish(clinic, name="Pat <b>Ex&ample</para>")
    for day, samples in ((0, 1500), (1, 1300), (1, 1300)):  # the third holds the same samples: a replay
        opened = MORNING + timedelta(days=day, hours=samples % 7)
        values, boot, arrived = squat_like(samples, 50.0), next(clinic.boots), opened + timedelta(hours=1)
        recording = send_recording(clinic, values, opened=opened, boot=boot, received=arrived)
        analyse(store, clinic.tenant, recording)
    with store.tenant_tx(clinic.tenant) as tx:
        said = ledger.evaluation(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))
        (found,) = said["lines"]
        draft = lifecycle.draft(clinic.episode, found, said["rules_version"])
        line = lifecycle.approve(tx, clinic.tenant, clerk, draft, reason="", at=NOW)
    export_month(store, clinic.tenant, MARCH, "837p", now=NOW)
    return Billed(clinic, clerk, line, audit_file(store, clinic.tenant, line, actor=clerk, now=LATER))


def test_everything_a_reviewer_asks_for(billed: Billed) -> None:
    files = unpack(billed.file.packed)
    record = {
        name: json.loads(files[f"{name}.json"])
        for name in ("line", "data_days", "chunks", "device", "consent")
    }
    assert record["line"]["code"] == "98985"
    assert record["line"]["claim"] == "HS000000001"
    counted = [each for each in record["data_days"] if each["counted"]]
    assert [each["day"] for each in counted] == ["2026-03-02", "2026-03-03"]
    assert all(each["first"].endswith("-05:00") for each in counted)
    assert all(each["source"] == ["homestretch, wrist"] for each in counted)
    (rest,) = [each for each in record["data_days"] if not each["counted"]]
    assert rest["doubts"][0] == "the same samples were received before under another name"
    assert rest["doubts"][1].endswith("are the same samples as those of 2026-03-03, 14:00")
    assert {each["recording"] for each in record["chunks"]} == {each["recording"] for each in counted}
    assert record["device"]["regulatory_basis"] == "test"
    assert [each["radio_link"] for each in record["device"]["sensors"]] == ["encrypted"]
    assert record["consent"][0]["recorded_by"] == "Thea"
    assert billed.file.pdf.startswith(b"%PDF")
    assert files["audit.pdf"] == billed.file.pdf


def test_the_verifier_runs_the_rules_again(billed: Billed) -> None:
    report = audit_check.check(billed.file.packed)
    assert report["ok"], report
    assert report["notes"] == ["the rules, run again on the case, give the line as it was released"]
    assert report["fingerprint"] == billed.file.fingerprint


def test_the_name_and_the_trail_hold_no_patient(billed: Billed) -> None:
    assert billed.file.name == "audit-L000000001"
    with billed.clinic.store.tenant_tx(billed.clinic.tenant) as tx:
        row = tx.execute("SELECT detail FROM audit WHERE action = 'audit_file_made'").fetchone()
    assert row == {"detail": {"sha256": billed.file.fingerprint}}


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(place=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_any_altered_byte_is_found(billed: Billed, place: float, bits: int) -> None:
    packed = bytearray(billed.file.packed)
    packed[int(place * len(packed))] ^= bits
    report = audit_check.check(bytes(packed))
    assert not report["ok"]
    assert report["faults"]


@pytest.mark.parametrize("change", ["cut", "tail", "empty", "twice", "text"])
def test_any_altered_length_is_found(billed: Billed, change: str) -> None:
    whole = billed.file.packed
    altered = {"cut": whole[:-1], "tail": whole + b"\0", "empty": b"", "twice": whole + whole, "text": b"PK"}
    assert not audit_check.check(altered[change])["ok"]


def _again(packed: bytes, change: dict[str, bytes | None]) -> bytes:
    """The zip with changed files, listed anew, as somebody who knows the format would."""
    files = {name: content for name, content in unpack(packed).items() if not name.startswith("manifest.")}
    for name, content in change.items():
        if content is None:
            del files[name]
        else:
            files[name] = content
    return pack(files, {})


def test_a_forged_manifest_does_not_hide_what_is_missing(billed: Billed) -> None:
    for change, said in (
        ({"chunks.json": b"[]"}, "has no raw data"),
        ({"data_days.json": b"[]"}, "no recording of it"),
        ({"audit_chain.json": None}, "not an audit file"),
    ):
        report = audit_check.check(_again(billed.file.packed, dict(change)))
        assert said in report["faults"][0]
        assert report["fingerprint"] != billed.file.fingerprint


def test_a_forged_case_or_audit_entry_is_found(billed: Billed) -> None:
    files = unpack(billed.file.packed)
    case = json.loads(files["case.json"])
    case["data"] = case["data"][:1]
    report = audit_check.check(_again(billed.file.packed, {"case.json": json.dumps(case).encode()}))
    assert "give another answer" in report["faults"][0]
    chain = json.loads(files["audit_chain.json"])
    chain["entries"][0]["at"] = "2026-01-01T00:00:00.000000+00:00"
    report = audit_check.check(_again(billed.file.packed, {"audit_chain.json": json.dumps(chain).encode()}))
    assert "does not carry its own hash" in report["faults"][0]


def test_manifest_faults_are_named() -> None:
    whole = pack({"a.txt": b"one"}, {})
    assert set(unpack(whole)) == {"a.txt", "manifest.json", "manifest.sha256"}
    for old, new in ((b"one", b"two"), (b"manifest.sha256", b"manifest.sha255")):
        with pytest.raises(CaseError):
            unpack(whole.replace(old, new))


def test_the_command(billed: Billed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = tmp_path / "audit.zip"
    good.write_bytes(billed.file.packed)
    assert audit_check.main([str(good)]) == 0
    assert billed.file.fingerprint in capsys.readouterr().out
    good.write_bytes(billed.file.packed[:-9])
    assert audit_check.main([str(good), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert audit_check.main([str(tmp_path / "none.zip")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_a_record_that_changed_is_said(billed: Billed) -> None:
    """A recording set aside after the release: the line is shown as released, and the difference is named."""
    clinic = make_clinic(billed.clinic.store)
    clerk = furnish(clinic)
    line = add_line(clinic, clerk, "98980", evidence={"minutes": 21, "need": [20, None]})
    made = audit_file(clinic.store, clinic.tenant, line, actor=clerk, now=LATER)
    report = audit_check.check(made.packed)
    assert report["ok"]
    assert "no longer gives the line" in report["notes"][0]


def test_who_may(billed: Billed) -> None:
    clinic = billed.clinic
    with pytest.raises(NotAllowedError):
        audit_file(clinic.store, clinic.tenant, billed.line, actor=clinic.therapist, now=NOW)
    with pytest.raises(ClaimsError, match="no such claim line"):
        audit_file(clinic.store, clinic.tenant, clinic.sensor, actor=billed.clerk, now=NOW)
    other = make_clinic(clinic.store)
    with pytest.raises(ClaimsError, match="no such claim line"):
        audit_file(clinic.store, other.tenant, billed.line, actor=furnish(other), now=NOW)


def test_a_day_in_doubt_that_a_person_released_is_shown_with_its_doubt(billed: Billed) -> None:
    """The second day arrived three weeks late: the rules hold the line, a person releases it with a reason."""
    clinic = make_clinic(billed.clinic.store)
    clerk = furnish(clinic)
    for day, late in ((0, timedelta(hours=1)), (1, timedelta(days=21))):
        opened, boot = MORNING + timedelta(days=day), next(clinic.boots)
        values = squat_like(1400 + 50 * day, 50.0)
        recording = send_recording(clinic, values, opened=opened, boot=boot, received=opened + late)
        analyse(clinic.store, clinic.tenant, recording)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        said = ledger.evaluation(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))
        (found,) = said["lines"]
        assert found["decision"] == "hold"
        draft = lifecycle.draft(clinic.episode, found, said["rules_version"])
        reason = "the sensor was without a network until the 24th"
        line = lifecycle.approve(tx, clinic.tenant, clerk, draft, reason=reason, at=NOW)
    made = audit_file(clinic.store, clinic.tenant, line, actor=clerk, now=LATER)
    days = json.loads(unpack(made.packed)["data_days.json"])
    assert [(each["day"], each["counted"], bool(each["doubts"])) for each in days] == [
        ("2026-03-02", True, False),
        ("2026-03-03", True, True),
    ]
    assert audit_check.check(made.packed)["ok"]


def test_plots_hold_what_was_measured() -> None:
    result = {"sets": [{"repetitions": [{"rom_deg": 40.0}, {"rom_deg": None}, {"rom_deg": 52.5}]}]}
    assert audit_plots.motions(result) == [40.0, 52.5]
    days = [{"day": "2026-03-02", "recording": "r", "repetitions": 3}]
    drawing = audit_plots.motion_by_repetition(days, {"r": result}, "Helvetica", 400)
    assert drawing is not None
    assert audit_plots.motion_by_repetition(days, {}, "Helvetica", 400) is None
    assert audit_plots.repetitions_by_day([], "Helvetica", 400) is not None
