"""Released lines leave as claims: the real validator, frozen bytes, control numbers, what is left out, corrections."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pyx12.params
import pyx12.x12n_document

from rtm_server import audit, ledger
from rtm_server.claims import lifecycle
from rtm_server.claims.errors import ClaimsError, ConflictError, NotAllowedError
from rtm_server.claims.export import export_all, export_month
from rtm_server.claims.numbers import next_number
from rtm_server.claims.testing import LATER, MARCH, NOW, add_line, draft_of, file_practice, furnish, lines_of
from rtm_server.store import Store, Tx
from rtm_server.testing import Clinic, Database, make_clinic


def accepted(text: str) -> str:
    """The 999 that pyx12 writes; empty when it found nothing."""
    answer = io.StringIO()
    good = pyx12.x12n_document.x12n_document(
        param=pyx12.params.params(), src_file=io.StringIO(text), fd_997=answer, fd_html=None
    )
    said = answer.getvalue()
    return "" if good and "IK5*A~" in said and "AK9*A*" in said and "IK3" not in said else said


def test_the_validator_accepts_and_the_second_run_is_the_same(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    for code, units in (("98977", 1), ("98980", 1), ("98981", 2)):
        add_line(clinic, clerk, code, units=units)
    once = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    (document,) = once.documents
    text = document.content.decode("ascii")
    assert accepted(text) == ""
    assert "SV1*HC:98981:GP*140*UN*2" in text
    assert "REF*6R*L000000001" in text
    assert once.left_out == ()
    assert document.summary["rows"] == 3
    assert document.summary["charge"] == "295.00"
    assert document.summary["sha256"] == hashlib.sha256(document.content).hexdigest()
    again = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER)
    assert again == once
    assert {line["state"] for line in lines_of(clinic)} == {"exported"}


def test_a_line_released_later_goes_into_a_batch_of_its_own(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    add_line(clinic, clerk, "98977")
    first = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW).documents
    add_line(clinic, clerk, "98980")
    both = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER).documents
    assert both[0] == first[0]
    controls = [document.content.decode().split("*")[13] for document in both]
    assert controls == ["000000001", "000000002"]
    assert accepted(both[1].content.decode()) == ""


def test_only_released_lines_of_the_month(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    add_line(clinic, clerk, "98977", on=date(2026, 2, 28))
    add_line(clinic, clerk, "98977", on=date(2026, 3, 1))
    add_line(clinic, clerk, "98980", on=date(2026, 3, 31))
    add_line(clinic, clerk, "98980", on=date(2026, 4, 1))
    (document,) = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER).documents
    assert document.summary["rows"] == 2
    assert export_month(clinic.store, clinic.tenant, date(2026, 5, 9), "837p", now=LATER).documents == ()


def test_csv_and_837p_are_the_same_claims(clinic: Clinic) -> None:
    clerk = furnish(clinic, last="=SUM(A1)")
    add_line(clinic, clerk, "98977", evidence={"data_days": ["2026-03-02", "2026-03-03"], "days": 2})
    add_line(
        clinic, clerk, "98980",
        evidence={"minutes": 21, "contacts": [{"on": "2026-03-09", "channel": "phone"}]},
    )  # fmt: skip
    (table,) = export_month(clinic.store, clinic.tenant, MARCH, "csv", now=NOW).documents
    supply, management = csv.DictReader(io.StringIO(table.content.decode()))
    assert supply["last_name"] == "'=SUM(A1)"
    assert (supply["data_days"], supply["window_start"], supply["charge"]) == ("2", "2026-03-01", "65.00")
    assert (management["month_minutes"], management["contact_mode"]) == ("21", "phone")
    assert management["billing_npi"] == "1234567893"
    assert management["consent_date"]
    assert management["device_id"] == str(clinic.sensor)
    again = export_month(clinic.store, clinic.tenant, MARCH, "csv", now=LATER).documents
    assert again == (table,)


def test_x12_refuses_no_name_the_csv_took(clinic: Clinic) -> None:
    """A name X12 cannot carry is left out of both, in words, without the name."""
    clerk = furnish(clinic, last="李")
    add_line(clinic, clerk, "98977")
    done = export_month(clinic.store, clinic.tenant, MARCH, "csv", now=NOW)
    assert done.documents == ()
    (left,) = done.left_out
    assert "subscriber.last" in left.sentence
    assert "李" not in left.sentence


@pytest.mark.parametrize(
    ("practice", "patient", "said"),
    [
        ({"npi": ""}, {}, "the practice's NPI"),
        ({"npi": "1234567890"}, {}, "check digit"),
        (
            {"address": {"street": "1 A", "city": "B", "state": "NY", "zip": "12207"}},
            {},
            "must have 9 digits",
        ),
        ({"tax_id": None}, {}, "tax id"),
        ({"charges": {}}, {}, "a charge for 98977"),
        ({"charges": {"98977": "NaN"}}, {}, "a charge for 98977"),
        ({"charges": {"98977": "-3"}}, {}, "charge must be above zero"),
        ({"providers": {}}, {}, "the NPI of the treating therapist"),
        ({}, {"diagnoses": []}, "ICD-10"),
        ({}, {"diagnoses": ["knee"]}, "ICD-10"),
        ({}, {"last": "", "first": 7}, "the patient's first name"),
        ({}, {"payer": {}}, "the member id"),
        ({}, {"birth_date": "1960"}, "birth date"),
        ({}, {"sex": "X"}, "F, M or U"),
        ({}, {"address": "somewhere"}, "the ZIP code of the patient"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_guessed(
    clinic: Clinic, practice: dict[str, Any], patient: dict[str, Any], said: str
) -> None:
    clerk = furnish(clinic, practice=practice, **patient)
    add_line(clinic, clerk, "98977")
    done = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    assert done.documents == ()
    (left,) = done.left_out
    assert said in left.sentence
    assert "98977 of 2026-03-31" in left.sentence
    assert "Example" not in left.sentence
    assert [line["state"] for line in lines_of(clinic)] == ["approved"]
    file_practice(clinic)
    furnish(clinic)
    assert export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW).left_out == ()


def test_without_submitter_nothing_is_numbered(clinic: Clinic) -> None:
    clerk = furnish(clinic, practice={"submitter": {}, "interchange": {"test": "no"}})
    add_line(clinic, clerk, "98977")
    with pytest.raises(ClaimsError, match=r"practice\.interchange\.test.*practice\.submitter\.id"):
        export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    assert [line["state"] for line in lines_of(clinic)] == ["approved"]


def test_medicare_replaces_by_reopening_never_by_a_seven(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    add_line(clinic, clerk, "98977")
    add_line(clinic, clerk, "98979")
    export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    add_line(clinic, clerk, "98980", decision="replace")
    done = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER)
    interchange, work = done.documents
    assert "98980" not in interchange.content.decode()
    (item,) = json.loads(work.content)
    assert item["claim"] == "HS000000001"
    assert [line["code"] for line in item["stood"]] == ["98979"]
    assert [(line["code"], line["charge"]) for line in item["becomes"]] == [("98980", "90.00")]
    assert {line["code"]: line["state"] for line in lines_of(clinic)} == {
        "98977": "exported", "98979": "replaced", "98980": "exported",
    }  # fmt: skip
    assert export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER) == done


def test_a_plan_that_takes_replacements_gets_the_whole_claim_again(clinic: Clinic) -> None:
    clerk = furnish(
        clinic,
        payer={"name": "Plan", "id": "60054", "filing": "CI", "member_id": "M1"},
        profile="commercial",
    )
    add_line(clinic, clerk, "98977")
    add_line(clinic, clerk, "98979")
    export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    add_line(clinic, clerk, "98980", decision="replace")
    waiting = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER)
    assert "number at the payer is not known yet" in waiting.left_out[0].sentence
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        tx.execute("UPDATE claim SET payer_control = 'ICN77'")
    done = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER)
    text = done.documents[1].content.decode()
    assert accepted(text) == ""
    assert "11:B:7*" in text
    assert "REF*F8*ICN77" in text
    assert "98977" in text
    assert "98979" not in text
    assert {line["code"]: line["state"] for line in lines_of(clinic)} == {
        "98977": "exported", "98979": "replaced", "98980": "exported",
    }  # fmt: skip


def test_an_add_on_goes_with_the_claim_of_its_base(clinic: Clinic) -> None:
    """98980 has left, 98981 is released later: the claim goes again with both, where the payer takes that."""
    plan = {"name": "Plan", "id": "60054", "filing": "CI", "member_id": "M1"}
    clerk = furnish(clinic, profile="commercial", payer=plan)
    add_line(clinic, clerk, "98980")
    export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        tx.execute("UPDATE claim SET payer_control = 'ICN7' WHERE tenant_id = %s", (clinic.tenant,))
    add_line(clinic, clerk, "98981")
    again = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER)
    assert again.left_out == ()
    text = again.documents[-1].content.decode()
    assert "CLM*HS000000002*160***11:B:7*" in text
    assert "REF*F8*ICN7" in text
    assert [part.split("*")[1] for part in text.split("~") if part.strip().startswith("SV1")] == [
        "HC:98981:GP", "HC:98980:GP",
    ]  # fmt: skip
    assert {line["state"] for line in lines_of(clinic)} == {"exported"}


def test_medicare_is_asked_to_add_an_add_on(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    add_line(clinic, clerk, "98980")
    export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    add_line(clinic, clerk, "98981")
    (left,) = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=LATER).left_out
    assert "stands with the 98980 of claim HS000000001, which has left" in left.sentence
    assert {line["code"]: line["state"] for line in lines_of(clinic)} == {
        "98980": "exported", "98981": "approved",
    }  # fmt: skip


def test_two_exports_at_once_number_everything_once(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    add_line(clinic, clerk, "98977")
    results: list[object] = []

    def run() -> None:
        results.append(export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(result == results[0] for result in results)
    assert [line["control"] for line in lines_of(clinic)] == ["L000000001"]


def test_two_clerks_release_the_same_line_and_one_wins(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    outcomes: list[str] = []

    def run() -> None:
        try:
            add_line(clinic, clerk, "98977")
            outcomes.append("won")
        except ConflictError:
            outcomes.append("lost")

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost", "lost", "lost", "won"]


def test_a_held_line_withdraws_what_it_stands_instead_of(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    short = add_line(clinic, clerk, "98985")
    long = draft_of(clinic, "98977", decision="hold", evidence={"instead_of": ["98985"]})
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        with pytest.raises(ClaimsError, match="reason"):
            lifecycle.approve(tx, clinic.tenant, clerk, long, reason=" no ", at=NOW)
        made = lifecycle.approve(tx, clinic.tenant, clerk, long, reason="the phone log is on file", at=NOW)
        steps = lifecycle.history(tx, clinic.tenant, short)
    assert [(step.state, step.actor) for step in steps] == [("approved", clerk), ("withdrawn", clerk)]
    assert "98977" in steps[1].reason
    with pytest.raises(ConflictError, match="never beside it"):
        add_line(clinic, clerk, "98985")
    assert {line["line_id"]: line["state"] for line in lines_of(clinic)}[made] == "approved"


def test_what_has_left_is_not_joined(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    add_line(clinic, clerk, "98985")
    export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    long = draft_of(clinic, "98977", decision="hold", evidence={"instead_of": ["98985"]})
    with clinic.store.tenant_tx(clinic.tenant) as tx, pytest.raises(ConflictError, match="left already"):
        lifecycle.approve(tx, clinic.tenant, clerk, long, reason="the phone log is on file", at=NOW)


def test_who_may(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    line = draft_of(clinic, "98977")
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        with pytest.raises(NotAllowedError):
            lifecycle.approve(tx, clinic.tenant, clinic.therapist, line, reason="", at=NOW)
        made = lifecycle.approve(tx, clinic.tenant, clerk, line, reason="", at=NOW)
        with pytest.raises(NotAllowedError):
            lifecycle.withdraw(tx, clinic.tenant, clinic.therapist, made, reason="no", at=NOW)
        lifecycle.withdraw(tx, clinic.tenant, clerk, made, reason="wrong month", at=NOW)
        with pytest.raises(ConflictError, match="withdrawn cannot become exported"):
            lifecycle.move(tx, clinic.tenant, [made], "exported", actor=None, reason="", at=NOW)
    with pytest.raises(NotAllowedError):
        export_month(clinic.store, clinic.tenant, MARCH, "csv", now=NOW, actor=clinic.therapist)


def test_another_clinic_sees_nothing_and_the_folder_holds_both(
    store: Store, clinic: Clinic, tmp_path: Path
) -> None:
    other = make_clinic(store)
    for each in (clinic, other):
        add_line(each, furnish(each), "98977")
    mine = export_month(store, clinic.tenant, MARCH, "837p", now=NOW)
    assert len(mine.documents) == 1
    with store.tenant_tx(other.tenant) as tx:
        assert tx.execute("SELECT count(*) AS n FROM claim").fetchone() == {"n": 0}
    export_all(store, MARCH, "837p", tmp_path / "once", now=NOW)
    export_all(store, MARCH, "837p", tmp_path / "twice", now=LATER)
    once = {path.name: path.read_bytes() for path in (tmp_path / "once").iterdir()}
    assert once == {path.name: path.read_bytes() for path in (tmp_path / "twice").iterdir()}
    manifest = json.loads(once["manifest.json"])
    for each in manifest["files"]:
        assert hashlib.sha256(once[each["file"]]).hexdigest() == each["sha256"]
    assert {tenant.hex[:8] for tenant in (clinic.tenant, other.tenant)} <= {
        each["file"].split("-")[3] for each in manifest["files"]
    }
    assert all((path.stat().st_mode & 0o077) == 0 for path in (tmp_path / "once").iterdir())


def test_nothing_readable_in_the_database_and_the_trail(database: Database, clinic: Clinic) -> None:
    clerk = furnish(clinic, last="Canarywood")
    add_line(clinic, clerk, "98977")
    (document,) = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW).documents
    assert b"CANARYWOOD" in document.content
    with psycopg.connect(database.superuser_dsn) as connection:
        for table in ("claim", "claim_document", "claim_batch", "claim_line", "claim_line_event", "audit"):
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own tables
            assert rows
            assert "canarywood" not in repr(rows).lower()
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        assert audit.check(tx, clinic.tenant).first_bad is None
        actions = [row["action"] for row in tx.execute("SELECT action FROM audit ORDER BY entry_no")]
    assert actions == ["claim_line_released", "claim_line_exported", "claims_exported"]


def _number_and_fail(tx: Tx, clinic: Clinic) -> None:
    assert next_number(tx, clinic.tenant, "claim") == 1
    raise ConflictError


def test_numbers_of_a_failed_export_are_given_again(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    add_line(clinic, clerk, "98977")

    with pytest.raises(ConflictError), clinic.store.tenant_tx(clinic.tenant) as tx:
        _number_and_fail(tx, clinic)
    (document,) = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW).documents
    assert "CLM*HS000000001*" in document.content.decode()


def test_sent_lines_reach_the_rules(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    add_line(clinic, clerk, "98979")
    export_month(clinic.store, clinic.tenant, MARCH, "837p", now=NOW)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        sent = ledger.case(tx, clinic.tenant, clinic.episode, date(2026, 5, 1))["claims_sent"]
    assert sent == [{"code": "98979", "service_date": "2026-03-31", "claim_id": "HS000000001"}]


def test_the_clock_of_the_file_is_the_clinics(clinic: Clinic) -> None:
    clerk = furnish(clinic)
    add_line(clinic, clerk, "98977")
    late = datetime(2026, 5, 2, 2, 30, tzinfo=UTC)  # 22:30 of the day before in New York
    (document,) = export_month(clinic.store, clinic.tenant, MARCH, "837p", now=late).documents
    assert "*260501*2230*" in document.content.decode()
    assert timedelta(0) == datetime.fromisoformat(document.summary["at"]) - late
