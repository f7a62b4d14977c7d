"""The billing clerk's month: lines with reasons, release, races, CSV."""

from __future__ import annotations

import csv
import io
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtm_server import enrol
from rtm_server.store import Store
from rtm_server.web.billing.csv_file import COLUMNS, FORMULA_STARTS, safe_text
from rtm_server.web.testing import PASSWORD, PROFILES, House, furnish

HELD = tuple(profile for profile in PROFILES if profile.name in {"Samuel Ito", "Arun Mehta"})


@pytest.fixture
def month(house: House) -> House:
    """A clinic of its own with a ready line and a held one."""
    return furnish(house.store, HELD)


@pytest.fixture
def clerk(client: httpx.Client, month: House) -> httpx.Client:
    client.post("/sign-in", data={"email": month.billing, "password": PASSWORD})
    return client


def keys(page: str, form: str) -> list[str]:
    """Keys of the lines that a form offers."""
    return re.findall(r'name="line" value="([^"]+)"', page.partition(f'action="{form}"')[2])


def held_keys(page: str) -> list[str]:
    found = re.findall(r'/release-held"><input type="hidden" name="line" value="([^"]+)"', page)
    return [str(key) for key in found]


def test_the_month_in_one_look(clerk: httpx.Client) -> None:
    assert clerk.get("/").headers["location"] == "/billing"
    assert clerk.get("/billing").headers["location"] == "/billing/2026-11"
    page = clerk.get("/billing/2026-11").text
    for words in ("November 2026: ", "98977", "Device supply", "98975", "Still running", "2026-10"):
        assert words in page
    assert "Pain" not in page, "the clerk sees evidence, no clinical content"


def test_a_held_line_says_why_and_needs_a_reason(clerk: httpx.Client) -> None:
    page = clerk.get("/billing/2026-10").text
    assert "On hold" in page
    assert "entered more than 7 days after its end" in page
    (key,) = held_keys(page)
    bare = clerk.post("/billing/2026-10/release-held", data={"line": key, "reason": " ok "})
    assert bare.status_code == 422
    assert "needs a reason" in bare.text
    bulk = clerk.post("/billing/2026-10/release", data={"line": key})
    assert bulk.status_code == 409, "a held line never goes out in bulk"
    done = clerk.post(
        "/billing/2026-10/release-held", data={"line": key, "reason": "note of the call is on file"}
    )
    assert done.headers["location"] == "/billing/2026-10?released=1"
    page = clerk.get("/billing/2026-10?released=1").text
    assert "Released 1 line." in page
    assert "note of the call is on file" in page
    assert held_keys(page) == []


def test_minutes_under_a_released_line_stay(
    clerk: httpx.Client, client_now: httpx.Client, month: House
) -> None:
    (key,) = held_keys(clerk.get("/billing/2026-10").text)
    form = {"line": key, "reason": "note of the call is on file"}
    assert clerk.post("/billing/2026-10/release-held", data=form).status_code == 303
    with month.store.tenant_tx(month.tenant) as tx:
        row = tx.execute(
            "SELECT t.entry_id, e.patient_id FROM time_entry t JOIN episode e USING (tenant_id, episode_id)"
            " WHERE t.tenant_id = %s AND t.started_at < '2026-11-01'",
            (month.tenant,),
        ).fetchone()
    assert row is not None
    client_now.post("/sign-in", data={"email": month.therapist, "password": PASSWORD})
    response = client_now.post(f"/p/{row['patient_id']}/time/{row['entry_id']}/undo")
    assert response.status_code == 409
    assert "A released claim line stands on" in response.text


def test_release_in_bulk_once(clerk: httpx.Client) -> None:
    form = "/billing/2026-11/release"
    ready = keys(clerk.get("/billing/2026-11").text, form)
    assert len(ready) >= 2
    assert clerk.post(form).status_code == 422
    response = clerk.post(form, data={"line": ready})
    assert response.headers["location"].endswith(f"released={len(ready)}")
    assert clerk.post(form, data={"line": ready}).status_code == 409
    page = clerk.get("/billing/2026-11").text
    assert f"{len(ready)} released" in page
    assert "Omar Reyes" in page


def test_two_clerks_release_the_same_line(clerk: httpx.Client, month: House) -> None:
    form = "/billing/2026-11/release"
    ready = keys(clerk.get("/billing/2026-11").text, form)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: clerk.post(form, data={"line": ready}).status_code, range(4)))
    assert sorted(answers) == [303, 409, 409, 409]
    with month.store.tenant_tx(month.tenant) as tx:
        row = tx.execute(
            "SELECT count(*) AS n FROM claim_line WHERE tenant_id = %s", (month.tenant,)
        ).fetchone()
    assert row is not None
    assert row["n"] == len(ready)


def test_a_line_opens_its_evidence(clerk: httpx.Client) -> None:
    page = clerk.get("/billing/2026-11").text
    links = re.findall(r'href="(/billing/2026-11/lines/[^"]+)"', page)
    assert links
    for link in links:
        evidence = clerk.get(link)
        assert evidence.status_code == 200
        assert "Data day" in evidence.text
        assert "CMS physician fee schedule" in evidence.text
    assert clerk.get("/billing/2026-11/lines/nothing").status_code == 404
    assert clerk.get(links[0].replace("2026-11", "2026-09", 1)).status_code == 404


def test_days_in_doubt_are_held_and_shown_with_their_reason(clerk: httpx.Client, month: House) -> None:
    """All of one patient's readings turn out to be replays: nothing of them is counted, nothing is hidden."""
    why = "the same samples were received before under another name"
    before = clerk.get("/billing/2026-11").text
    assert "98977" in before
    assert why not in before
    with month.store.tenant_tx(month.tenant) as tx:
        tx.execute(
            "INSERT INTO analysis (tenant_id, recording_id, analysis_no, patient_id, pipeline_version, data_version,"
            " exercise, result, local_day, zone, kind, doubts, repetitions, sets, first_at, last_at)"
            " SELECT tenant_id, recording_id, 2, patient_id, pipeline_version, data_version, exercise, result,"
            " local_day, zone, NULL, ARRAY[%s], repetitions, sets, first_at, last_at FROM analysis"
            " WHERE tenant_id = %s AND patient_id = %s",
            (why, month.tenant, month.patients["Samuel Ito"]),
        )
    page = clerk.get("/billing/2026-11").text
    held = [key for key in held_keys(page) if ".98977." in key]
    assert len(held) == 1
    assert f"Rests on doubtful evidence: {why}" in page
    assert re.search(rf"Samuel Ito: \d+ days in doubt \([^)]+\), not counted [^<]+: {why}", page)
    evidence = clerk.get(f"/billing/2026-11/lines/{held[0]}").text
    assert "Day in doubt" in evidence
    assert "Data day" not in evidence, "no day of it stands by itself"


def test_the_csv_is_the_month(clerk: httpx.Client) -> None:
    response = clerk.get("/billing/2026-11.csv")
    assert response.headers["content-disposition"] == 'attachment; filename="homestretch-2026-11.csv"'
    assert response.headers["cache-control"] == "no-store"
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert tuple(rows[0]) == COLUMNS
    assert {row["state"] for row in rows} == {"ready"}
    assert all(row["service_date"].startswith("2026-11-") for row in rows)


@pytest.mark.parametrize("month", ["2026-13", "2026-00", "26-11", "2026-1", "x", "1999-01", "2026-11-01"])
def test_odd_months_are_unknown(client: httpx.Client, house: House, month: str) -> None:
    client.post("/sign-in", data={"email": house.billing, "password": PASSWORD})
    assert client.get(f"/billing/{month}").status_code == 404
    assert client.get(f"/billing/{month}.csv").status_code == 404


@pytest.mark.parametrize(
    "month", ["2021-12", "2022-01", "2025-06", "2025-12", "2026-01", "2026-12", "2099-12"]
)
def test_a_month_opens_with_whatever_is_in_it(client: httpx.Client, house: House, month: str) -> None:
    client.post("/sign-in", data={"email": house.billing, "password": PASSWORD})
    page = client.get(f"/billing/{month}")
    assert page.status_code == 200
    assert ("This month has not begun." in page.text) == (month > "2026-11")
    assert f"/billing/{month}.csv" not in page.text, "nothing to export"
    assert client.get(f"/billing/{month}.csv").status_code == 200


def test_a_clinic_without_patients_has_a_month(client: httpx.Client, pages_store: Store) -> None:
    tenant = enrol.create_tenant(pages_store, "New Clinic", "America/Chicago")
    login = f"{tenant}@example.org"
    with pages_store.tenant_tx(tenant) as tx:
        enrol.create_user(
            pages_store, tx, tenant, "billing", login=login, password=PASSWORD, name="Only Clerk"
        )
    client.post("/sign-in", data={"email": login, "password": PASSWORD})
    page = client.get("/billing/2026-11").text
    assert "no episode of care has anything in it" in page


def test_other_clinics_lines_are_unknown(clerk: httpx.Client, house: House) -> None:
    with httpx.Client(base_url=clerk.base_url, headers=clerk.headers, trust_env=False, timeout=30) as other:
        other.post("/sign-in", data={"email": house.billing, "password": PASSWORD})
        foreign = re.findall(r'href="/billing/2026-11/lines/([^"]+)"', other.get("/billing/2026-11").text)
    assert foreign
    assert clerk.get(f"/billing/2026-11/lines/{foreign[0]}").status_code == 404
    assert clerk.post("/billing/2026-11/release", data={"line": foreign[:1]}).status_code == 409


@pytest.mark.parametrize("login", ["therapist", "patient_login"])
def test_other_roles_see_no_billing(client: httpx.Client, house: House, login: str) -> None:
    client.post("/sign-in", data={"email": getattr(house, login), "password": PASSWORD})
    for path in ("/billing", "/billing/2026-11", "/billing/2026-11.csv", "/billing/2026-11/lines/x"):
        assert client.get(path).status_code == 403, path
    assert client.post("/billing/2026-11/release", data={"line": "x"}).status_code == 403
    held = client.post("/billing/2026-11/release-held", data={"line": "x", "reason": "because I can"})
    assert held.status_code == 403


def test_mass_assignment_is_refused(clerk: httpx.Client) -> None:
    ready = keys(clerk.get("/billing/2026-11").text, "/billing/2026-11/release")
    form = {"line": ready[:1], "decision": "bill"}
    assert clerk.post("/billing/2026-11/release", data=form).status_code == 422


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@sum",
        "\t=1",
        "\r=1",
        " =1",
        "\u00a0=1",
        "\n=1",
        "＝1",
        "\u200b=1",
        "\ufeff=1",
        "＠a",
        "−1",
    ],
)
def test_formulas_are_disarmed(text: str) -> None:
    if text == "−1":  # the typographic minus is no operator
        assert safe_text(text) == text
    else:
        assert safe_text(text).startswith("'")


@given(st.text(max_size=40))
def test_no_cell_begins_like_a_formula(text: str) -> None:
    cell = safe_text(text)
    assert not cell.startswith(FORMULA_STARTS)
    assert not cell.strip(" \u00a0").startswith(FORMULA_STARTS)
    assert "\n" not in cell
    assert "\0" not in cell
    (row,) = csv.reader(io.StringIO('"' + cell.replace('"', '""') + '"\r\n'))
    assert row == [cell]
