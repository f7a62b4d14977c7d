"""The therapist's pages: list, patient, session, logging, undo, plan; and what must not be possible."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from rtm_server import audit, enrol
from rtm_server.store import Store
from rtm_server.web.errors import InvalidError
from rtm_server.web.patient import time_log
from rtm_server.web.testing import NOW, PASSWORD, House

ZONE = "America/New_York"
EVIL = '<svg onload="alert(1)">{{7*7}}</script>'
CALL = {"activity": "phone", "minutes": "12", "ended": "2026-11-23T15:30", "note": ""}


@pytest.fixture
def therapist(client: httpx.Client, house: House) -> httpx.Client:
    client.post("/sign-in", data={"email": house.therapist, "password": PASSWORD})
    return client


@pytest.fixture
def own(client: httpx.Client, own_house: House) -> httpx.Client:
    client.post("/sign-in", data={"email": own_house.therapist, "password": PASSWORD})
    return client


def entries(house: House) -> int:
    with house.store.tenant_tx(house.tenant) as tx:
        row = tx.execute(
            "SELECT count(*) AS n FROM time_entry_current WHERE tenant_id = %s AND episode_id = %s",
            (house.tenant, house.episode),
        ).fetchone()
    assert row is not None
    return int(row["n"])


def test_the_worklist_answers_in_one_line(therapist: httpx.Client) -> None:
    page = therapist.get("/").text
    assert "<h1>2 need you today</h1>" in page
    assert page.index("Daniel Okafor") < page.index("Maria Lindqvist") < page.index("Grace Whitfield")
    assert "Pain 8 of 10 yesterday, usually 5" in page
    assert "No data since Wed 18 Nov; exercises were due on 4 days" in page


def test_filters_and_order_live_in_the_address(therapist: httpx.Client) -> None:
    today = therapist.get("/?show=today").text
    assert "Daniel Okafor" in today
    assert "Grace Whitfield" not in today
    by_name = therapist.get("/?show=rest&sort=name").text
    names = re.findall(r'<a href="/p/[0-9a-f-]+">([^<]+)</a>', by_name)
    assert names == sorted(names)
    found = therapist.get("/?q=ito").text
    assert "Samuel Ito" in found
    assert "Helen Brandt" not in found
    for odd in (
        "?sort=password_hash",
        "?sort=name;drop table",
        "?show=%00",
        "?q=%25%27%5C_",
        "?q=" + "x" * 3000,
    ):
        assert therapist.get("/" + odd).status_code == 200


def test_the_order_never_depends_on_billing(own: httpx.Client, own_house: House) -> None:
    """Thirty minutes and a contact more change the clocks and nothing else."""
    before = re.findall(r'href="/p/([0-9a-f-]+)"', own.get("/").text)
    with own_house.store.tenant_tx(own_house.tenant) as tx:
        tx.execute(
            "INSERT INTO time_entry (tenant_id, entry_id, episode_id, author_id, role, started_at, ended_at,"
            " activity, contact) SELECT tenant_id, %s, %s, user_id, 'therapist', %s, %s, 'call', 'video'"
            " FROM app_user WHERE role = 'therapist' AND tenant_id = %s",
            (
                uuid4(),
                own_house.episode,
                NOW - timedelta(hours=2),
                NOW - timedelta(hours=1),
                own_house.tenant,
            ),
        )
    assert re.findall(r'href="/p/([0-9a-f-]+)"', own.get("/").text) == before


def test_the_patient_page_states_facts(therapist: httpx.Client, house: House) -> None:
    page = therapist.get(f"/p/{house.patient}").text
    for words in (
        "Ruth Abernathy",
        "17 April 1951",
        "HS-20411",
        "11 of 16 days; 20 days left",
        "14 of 20 min",
    ):
        assert words in page
    assert "98977" in page
    for urging in ("only", "just", "more minute", "hurry", "to bill"):
        assert urging not in re.sub(r"<[^>]+>", " ", page).lower()


def test_the_session_page_opens_the_evidence(therapist: httpx.Client, house: House) -> None:
    page = therapist.get(f"/p/{house.patient}/s/{house.recording}")
    assert page.status_code == 200
    for words in (
        "Shoulder abduction",
        "Range of motion of each repetition",
        "Pipeline",
        "homestretch, HS0000",
    ):
        assert words in page.text
    drawn = therapist.get(f"/p/{house.patient}/s/{house.recording}?angle=draw").text
    assert "give no angle to draw" in drawn, "this history holds no samples"


def test_log_and_undo(own: httpx.Client, own_house: House) -> None:
    before = entries(own_house)
    response = own.post(f"/p/{own_house.patient}/time", data=CALL)
    assert response.status_code == 303
    page = own.get(response.headers["location"].partition("#")[0]).text
    assert "Logged 12 min." in page
    assert "26 of 20 min" in page
    assert entries(own_house) == before + 1
    (undo,) = re.findall(r'action="([^"]+/undo)"><button type="submit" class="quiet">Undo', page)[:1]
    assert own.post(undo).status_code == 303
    assert entries(own_house) == before
    after = own.get(f"/p/{own_house.patient}").text
    assert "taken back" in after, "what was taken back stays readable"
    assert "14 of 20 min" in after
    again = own.post(undo)
    assert again.status_code == 409
    assert "taken back already" in again.text


def test_idle_time_of_the_timer_is_kept_shown_and_not_counted(own: httpx.Client, own_house: House) -> None:
    response = own.post(f"/p/{own_house.patient}/time", data={**CALL, "idle": "7.5"})
    assert response.status_code == 303
    page = own.get(response.headers["location"].partition("#")[0]).text
    assert "Logged 12 min." in page
    assert "26 of 20 min" in page, "as without it"
    assert "7 min idle, not counted" in page
    with own_house.store.tenant_tx(own_house.tenant) as tx:
        rows = tx.execute(
            "SELECT extract(epoch FROM ended_at - started_at)::integer AS s, contact FROM time_entry_current"
            " WHERE tenant_id = %s AND episode_id = %s AND idle",
            (own_house.tenant, own_house.episode),
        ).fetchall()
    assert rows == [{"s": 450, "contact": None}]
    other = next(patient for patient in own_house.patients.values() if patient != own_house.patient)
    meanwhile = {**CALL, "minutes": "5", "ended": "2026-11-23T15:16"}
    assert own.post(f"/p/{other}/time", data=meanwhile).status_code == 303, "idle time blocks no work"


def test_overlaps_are_refused(own: httpx.Client, own_house: House) -> None:
    assert own.post(f"/p/{own_house.patient}/time", data=CALL).status_code == 303
    response = own.post(f"/p/{own_house.patient}/time", data={**CALL, "ended": "2026-11-23T15:25"})
    assert response.status_code == 409
    assert "overlaps with an entry of Nora Feld, PT" in response.text
    other = next(patient for patient in own_house.patients.values() if patient != own_house.patient)
    response = own.post(f"/p/{other}/time", data={**CALL, "ended": "2026-11-23T15:25"})
    assert response.status_code == 409, "one person cannot be in two calls"
    assert "Ruth" not in response.text, "the refusal names no other patient"
    next_call = {**CALL, "ended": "2026-11-23T15:42"}
    assert own.post(f"/p/{other}/time", data=next_call).status_code == 303, "back to back is fine"


@pytest.mark.parametrize(
    "change",
    [
        {"minutes": "0"},
        {"minutes": "-5"},
        {"minutes": "nan"},
        {"minutes": "inf"},
        {"minutes": "1e308"},
        {"minutes": "61"},
        {"minutes": "481", "note": "a long one"},
        {"minutes": EVIL},
        {"idle": "-1"},
        {"idle": "inf"},
        {"idle": "481"},
        {"idle": EVIL},
        {"ended": "2026-11-23T17:00"},
        {"ended": "2024-11-23T17:00"},
        {"ended": "yesterday"},
        {"activity": "message"},
    ],
    ids=str,
)
def test_odd_entries_are_refused_with_a_sentence(
    therapist: httpx.Client, house: House, change: dict[str, str]
) -> None:
    response = therapist.post(f"/p/{house.patient}/time", data={**CALL, **change})
    assert response.status_code == 422
    assert 'role="alert"' in response.text
    assert EVIL not in response.text


def test_a_voicemail_is_no_contact_and_long_work_needs_a_reason() -> None:
    at = "2026-11-23T15:30"
    assert time_log.checked("voicemail", "2", at, "", ZONE, NOW).contact == "voicemail"
    assert time_log.checked("review", "61", at, "hard case", ZONE, NOW).contact is None
    with pytest.raises(InvalidError):
        time_log.checked("review", "61", at, " ", ZONE, NOW)


def test_change_the_dose(own: httpx.Client, own_house: House) -> None:
    form = {"exercise": "pendulum", "sets": "4", "amount": "15", "effective": "2026-11-23"}
    assert own.post(f"/p/{own_house.patient}/plan", data=form).status_code == 303
    page = own.get(f"/p/{own_house.patient}").text
    assert "Pendulum: 4 × 15" in page
    for change in (
        {"effective": "2026-11-22"},
        {"sets": "0"},
        {"amount": "-1"},
        {"amount": "1.5"},
        {"amount": "nan"},
        {"effective": "x"},
    ):
        assert own.post(f"/p/{own_house.patient}/plan", data={**form, **change}).status_code == 422, change
    assert own.post(f"/p/{own_house.patient}/plan", data={**form, "exercise": "none"}).status_code == 404
    with own_house.store.tenant_tx(own_house.tenant) as tx:
        lines = tx.execute(
            "SELECT sets, valid_from, valid_to FROM prescription WHERE tenant_id = %s AND episode_id = %s"
            " AND exercise = 'pendulum' ORDER BY created_at, valid_from",
            (own_house.tenant, own_house.episode),
        ).fetchall()
    assert [line["sets"] for line in lines] == [2, 4]
    assert lines[0]["valid_to"] == lines[1]["valid_from"] - timedelta(days=1), "the past keeps its plan"


def test_a_correction_stands_beside_the_result(own: httpx.Client, own_house: House) -> None:
    path = f"/p/{own_house.patient}/s/{own_house.recording}"
    assert own.post(f"{path}/correction", data={"repetitions": "18", "why": EVIL}).status_code == 303
    page = own.get(path).text
    assert "clinician: 18" in page
    assert "<svg onload" not in page
    assert "&lt;svg onload" in page
    assert own.post(f"{path}/correction", data={"repetitions": "-1", "why": "x"}).status_code == 422
    assert own.post(f"{path}/correction", data={"repetitions": "1e3", "why": "x"}).status_code == 422


def test_set_a_session_aside_and_take_it_back(own: httpx.Client, own_house: House) -> None:
    path = f"/p/{own_house.patient}/s/{own_house.recording}"
    assert own.post(f"{path}/artefact", data={"reason": "sensor on the table"}).status_code == 303
    assert "set aside: sensor on the table" in own.get(path).text
    assert own.post(f"{path}/artefact", data={"reason": ""}).status_code == 303
    assert "set aside: " not in own.get(path).text


def paths_of(house: House) -> list[tuple[str, str, dict[str, str]]]:
    """Every address of a therapist that holds an id, with a valid form."""
    patient, recording = house.patient, house.recording
    plan = {"exercise": "pendulum", "sets": "1", "amount": "1", "effective": "2026-11-23"}
    return [
        ("GET", f"/p/{patient}", {}),
        ("GET", f"/p/{patient}/s/{recording}", {}),
        ("POST", f"/p/{patient}/time", CALL),
        ("POST", f"/p/{patient}/time/{uuid4()}/undo", {}),
        ("POST", f"/p/{patient}/plan", plan),
        ("POST", f"/p/{patient}/s/{recording}/correction", {"repetitions": "1", "why": "x"}),
        ("POST", f"/p/{patient}/s/{recording}/artefact", {"reason": "x"}),
    ]


def test_another_clinics_ids_are_unknown(therapist: httpx.Client, house: House, own_house: House) -> None:
    unknown = therapist.get(f"/p/{uuid4()}")
    assert unknown.status_code == 404
    for method, path, form in paths_of(own_house):
        response = therapist.request(method, path, data=form or None)
        assert response.status_code == 404, path
        assert response.text == unknown.text, "the same words as for an id that nobody has"
    mixed = therapist.get(f"/p/{house.patient}/s/{own_house.recording}")
    assert mixed.status_code == 404
    for odd in ("/p/1", "/p/x", "/p/../etc/passwd", f"/p/{house.patient}/s/nothing"):
        assert therapist.get(odd).status_code == 404
    assert entries(own_house) == 1


@pytest.mark.parametrize("login", ["billing", "patient_login"])
def test_other_roles_see_no_patient_page(client: httpx.Client, house: House, login: str) -> None:
    client.post("/sign-in", data={"email": getattr(house, login), "password": PASSWORD})
    for method, path, form in paths_of(house):
        response = client.request(method, path, data=form or None)
        assert response.status_code == 403, path
        assert "Abernathy" not in response.text.replace('<span class="who">Ruth Abernathy', "")


def test_mass_assignment_is_refused(own: httpx.Client, own_house: House) -> None:
    before = entries(own_house)
    for extra in ({"role": "physician"}, {"tenant_id": str(uuid4())}, {"author_id": "x"}, {"voided": "1"}):
        assert own.post(f"/p/{own_house.patient}/time", data={**CALL, **extra}).status_code == 422
    assert entries(own_house) == before
    sign_in = {"email": own_house.therapist, "password": PASSWORD, "role": "billing"}
    assert own.post("/sign-in", data=sign_in).status_code == 422


def test_what_people_type_is_inert(pages_store: Store, client: httpx.Client, own_house: House) -> None:
    tenant = own_house.tenant
    with pages_store.tenant_tx(tenant) as tx:
        who = {"name": EVIL, "birth_date": "1950-01-01", "record_number": "=cmd|' /C calc'!A0"}
        patient = enrol.create_patient(pages_store, tx, tenant, who)
        episode = enrol.create_episode(pages_store, tx, tenant, patient, timezone=ZONE, started=NOW.date())
        enrol.prescribe(tx, tenant, episode, EVIL, valid_from=NOW.date(), repetitions=3)
    client.post("/sign-in", data={"email": own_house.therapist, "password": PASSWORD})
    for path in ("/", f"/p/{patient}", "/?q=" + EVIL):
        page = client.get(path)
        assert page.status_code == 200
        assert "<svg onload" not in page.text
        assert "{{7*7}}" in page.text or "49" not in page.text
        assert "</script>{{" not in page.text


def test_reads_and_writes_are_audited(own: httpx.Client, own_house: House) -> None:
    own.get(f"/p/{own_house.patient}")
    own.post(f"/p/{own_house.patient}/time", data=CALL)
    own.get(f"/p/{UUID(int=1)}")
    with own_house.store.tenant_tx(own_house.tenant) as tx:
        rows = tx.execute(
            "SELECT action, subject_id, detail::text AS detail FROM audit WHERE tenant_id = %s ORDER BY entry_no",
            (own_house.tenant,),
        ).fetchall()
        assert audit.check(tx, own_house.tenant).first_bad is None
    assert [row["action"] for row in rows] == ["sign_in", "patient_read", "time_logged"]
    assert [row["subject_id"] for row in rows[1:]] == [own_house.patient] * 2
    assert not any("Ruth" in row["detail"] for row in rows)
