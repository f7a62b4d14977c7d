"""A patient enrolled on the pages: one form, all or nothing; devices, record and plan that follow."""

from __future__ import annotations

import re
import tomllib
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from rtm_server import home_status, ledger
from rtm_server.wearables import OPEN_LINK
from rtm_server.web.enrolment import enrolling
from rtm_server.web.enrolment.fields import EXERCISE_CHOICES, PLACES
from rtm_server.web.testing import NOW, PASSWORD, House

Form = dict[str, str]


def form() -> Form:
    """A complete enrolment; names of its own, so that tests do not meet."""
    tag = uuid4().hex[:8]
    return {
        "patient.first": "Ada", "patient.last": "Example", "patient.born": "1954-03-02",
        "patient.record": f"N-{tag}", "episode.title": "Right knee replacement", "episode.started": "2026-11-23",
        "episode.zone": "America/Chicago", "episode.discipline": "PT", "episode.organ": "musculoskeletal",
        "consent.how": "written", "consent.from": "2026-11-23", "plan.from": "2026-11-23", "plan.to": "2027-02-20",
        "device.setup_on": "2026-11-23", "device.basis": "510(k) of the maker", "dose1.exercise": "heel_slide",
        "dose1.sets": "2", "dose1.amount": "10", "dose2.exercise": "cycle_ergometer", "dose2.sets": "1",
        "dose2.amount": "7.5", "dose3.exercise": "", "dose3.sets": "", "dose3.amount": "", "home.gateway": "new",
        "home.label": "kitchen shelf", "sensor1.which": "new:homestretch", "sensor1.place": "right_thigh",
        "sensor1.serial": "HS233BA5C0", "sensor2.which": "new:witmotion", "sensor2.place": "right_shank",
        "sensor2.serial": "", "sign_in.email": f"ada.{tag}@example.org",
    }  # fmt: skip


@pytest.fixture
def therapist(client: httpx.Client, own_house: House) -> httpx.Client:
    client.post("/sign-in", data={"email": own_house.therapist, "password": PASSWORD})
    return client


def rows(house: House, table: str) -> list[dict[str, Any]]:
    with house.store.tenant_tx(house.tenant) as tx:
        return tx.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - a name from this file


def enrolled(client: httpx.Client, made: Form) -> tuple[str, str]:
    """The patient's id and first password."""
    answer = client.post("/enrol", data=made)
    assert answer.status_code == 200, answer.text
    assert "shown this once" in answer.text
    (password,) = re.findall(r'<dd class="word">(\d{4}-\d{4}-\d{4}-\d{4})</dd>', answer.text)
    (patient,) = set(re.findall(r'action="/p/([0-9a-f-]{36})/devices"', answer.text))
    return patient, password


def test_a_patient_from_the_door_to_the_first_exercise(
    therapist: httpx.Client, client_now: httpx.Client, own_house: House
) -> None:
    assert 'value="2026-11-23"' in therapist.get("/enrol").text, "dates begin with today in the clinic's zone"
    made = form()
    patient, password = enrolled(therapist, made)
    assert "Ada Example" in therapist.get("/").text
    page = therapist.get(f"/p/{patient}").text
    for words in ("Right knee replacement", "Heel slide: 2 × 10", "Cycle ergometer: 1 × 7.5 min"):
        assert words in page
    with own_house.store.tenant_tx(own_house.tenant) as tx:
        row = tx.execute("SELECT episode_id FROM episode WHERE patient_id = %s", (UUID(patient),)).fetchone()
        assert row is not None
        case = ledger.case(tx, own_house.tenant, row["episode_id"], NOW.date())
    assert case["episode"]["consent"][0]["from"] == "2026-11-23"
    assert case["episode"]["plan_of_care"][0]["to"] == "2027-02-20"
    assert case["episode"]["device_basis"] is True
    assert case["patient"]["timezone"] == "America/Chicago"
    client_now.post("/sign-in", data={"email": made["sign_in.email"], "password": password})
    assert "Ada" in client_now.get("/today").text
    assert password not in therapist.get(f"/p/{patient}/devices").text, "shown once"


def test_the_gateways_settings_are_ready_to_copy(therapist: httpx.Client, own_house: House) -> None:
    patient, _ = enrolled(therapist, form())
    page = therapist.get(f"/p/{patient}/devices").text
    (text,) = re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    settings = tomllib.loads(unescape(text))
    assert settings["tenant"] == str(own_house.tenant)
    places = {each["placement"]: each for each in settings["sensors"]}
    assert places["right_thigh"]["serial"] == "HS233BA5C0"
    assert places["right_shank"]["profile"] == "witmotion"
    assert OPEN_LINK in page.lower()
    assert len(re.findall(r'action="/p/[0-9a-f-]+/devices/[0-9a-f-]+/return"', page)) == 2


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"patient.first": " "}, "patient.first", "This is needed."),
        ({"patient.born": "2099-01-01"}, "episode.started", "after the patient was born"),
        ({"patient.born": "yesterday"}, "patient.born", "Give a date."),
        ({"episode.started": "2029-01-01"}, "episode.started", "more than a year away"),
        ({"plan.to": "2026-11-01"}, "plan.to", "on or after the day it begins"),
        ({"plan.from": ""}, "plan.from", "Give the day the plan begins."),
        ({"consent.how": "assumed"}, "consent.how", "Choose one of the list."),
        ({"dose1.exercise": "juggling"}, "dose1.exercise", "Choose one of the list."),
        ({"dose1.amount": "7.5"}, "dose1.amount", "repetitions as a whole number"),
        ({"dose2.sets": ""}, "dose2.sets", "Needed with an exercise."),
        ({"dose1.sets": "0"}, "dose1.sets", "from 1 to 20"),
        ({"sensor2.place": "right_thigh"}, "sensor2.place", "cannot be worn at one place"),
        ({"sensor1.place": ""}, "sensor1.place", "Where is it worn?"),
        ({"sensor2.which": ""}, "sensor2.which", "Which sensor is it?"),
        ({"sign_in.email": "ada"}, "sign_in.email", "Write an email address."),
        ({"episode.zone": "Mars/Olympus"}, "episode.zone", "Choose one of the list."),
    ],
)
def test_mistakes_are_marked_and_nobody_is_enrolled(
    client: httpx.Client, house: House, change: Form, field: str, said: str
) -> None:
    client.post("/sign-in", data={"email": house.therapist, "password": PASSWORD})
    before = len(rows(house, "patient"))
    answer = client.post("/enrol", data=form() | change)
    assert answer.status_code == 422
    assert "Nobody was enrolled yet" in answer.text
    help_text = answer.text.partition(f'id="{field}-help"')[2].partition("</p>")[0]
    assert said in help_text
    assert f'id="{field}"' in answer.text
    assert 'value="Right knee replacement"' in answer.text, "what was typed is still there"
    assert len(rows(house, "patient")) == before


def test_what_is_taken_is_refused_and_nothing_is_left_behind(
    therapist: httpx.Client, own_house: House
) -> None:
    first = form()
    enrolled(therapist, first)
    counts = {name: len(rows(own_house, name)) for name in ("patient", "episode", "sensor", "gateway")}
    again = therapist.post("/enrol", data=form() | {"patient.record": first["patient.record"]})
    assert again.status_code == 409
    assert "record number is enrolled already" in again.text
    again = therapist.post("/enrol", data=form() | {"sign_in.email": own_house.therapist})
    assert again.status_code == 409
    assert "signs in somebody already" in again.text
    assert {name: len(rows(own_house, name)) for name in counts} == counts


@pytest.mark.parametrize("login", ["billing", "patient_login"])
def test_only_a_therapist_enrols(client: httpx.Client, house: House, login: str) -> None:
    client.post("/sign-in", data={"email": getattr(house, login), "password": PASSWORD})
    assert client.get("/enrol").status_code == 403
    assert client.post("/enrol", data=form()).status_code == 403
    for path in ("devices", "record", "password", f"devices/{uuid4()}/return", "plan/add"):
        assert client.post(f"/p/{house.patient}/{path}", data={}).status_code == 403


def test_other_clinics_patients_are_unknown(therapist: httpx.Client, house: House) -> None:
    for path in ("devices", "record"):
        assert therapist.get(f"/p/{house.patient}/{path}").status_code == 404
    assert therapist.post(f"/p/{house.patient}/password").status_code == 404


def test_a_sensor_goes_back_and_to_somebody_else(therapist: httpx.Client, own_house: House) -> None:
    patient, _ = enrolled(therapist, form())
    with own_house.store.tenant_tx(own_house.tenant) as tx:  # the pages' clock stands still
        tx.execute("UPDATE assignment SET assigned_from = assigned_from - interval '1 hour'")
    page = therapist.get(f"/p/{patient}/devices").text
    back = re.findall(rf'action="(/p/{patient}/devices/([0-9a-f-]+)/return)"', page)
    assert len(back) == 2
    wrong = therapist.post(f"/p/{own_house.patient}/devices/{back[0][1]}/return")
    assert wrong.status_code == 404, "not this patient's"
    assert "note=returned&" in therapist.post(back[0][0]).headers["location"]
    assert therapist.post(back[0][0]).status_code == 404, "returned already"
    page = therapist.get(f"/p/{own_house.patient}/devices").text
    assert "Returned: " in page
    home = re.findall(r'<option value="([0-9a-f-]{36})" selected', page)[0]
    given = {
        "sensor.which": back[0][1],
        "sensor.place": "head",
        "sensor.serial": "",
        "home.gateway": home,
        "home.label": "",
    }
    added = therapist.post(f"/p/{own_house.patient}/devices", data=given)
    assert "note=added&" in added.headers["location"]
    taken = therapist.post(f"/p/{own_house.patient}/devices", data=given | {"sensor.which": "new:witmotion"})
    assert taken.status_code == 409
    assert "worn there already" in taken.text
    bare = therapist.post(
        f"/p/{own_house.patient}/devices", data=given | {"sensor.which": "new:witmotion", "sensor.place": ""}
    )
    assert bare.status_code == 422
    assert "Where is it worn?" in bare.text


def test_a_new_password_ends_the_old_sessions(
    therapist: httpx.Client, client_now: httpx.Client, own_house: House
) -> None:
    client_now.post("/sign-in", data={"email": own_house.patient_login, "password": PASSWORD})
    assert client_now.get("/today").status_code == 200
    page = therapist.post(f"/p/{own_house.patient}/password").text
    (password,) = re.findall(r'<dd class="word">(\d{4}-\d{4}-\d{4}-\d{4})</dd>', page)
    assert client_now.get("/today").status_code == 303, "signed out"
    old = client_now.post("/sign-in", data={"email": own_house.patient_login, "password": PASSWORD})
    assert old.status_code == 403
    new = client_now.post("/sign-in", data={"email": own_house.patient_login, "password": password})
    assert new.status_code == 303


def test_what_the_home_says_stands_on_the_page(therapist: httpx.Client, own_house: House) -> None:
    with own_house.store.tenant_tx(own_house.tenant) as tx:
        row = tx.execute(
            "SELECT sensor_id FROM assignment WHERE episode_id = %s", (own_house.episode,)
        ).fetchone()
    assert row is not None
    sensor: UUID = row["sensor_id"]
    beat = home_status.Heartbeat(
        3, 0, 12.0, 0.1, (home_status.SensorStatus(sensor, "upper_arm", True, 0.15),),
        (home_status.Warned(sensor, "battery", "The battery of the sensor is low <15 %>."),),
    )  # fmt: skip
    home_status.keep(own_house.store, own_house.tenant, own_house.gateway, beat, NOW)
    page = therapist.get(f"/p/{own_house.patient}").text
    assert "The battery of the sensor is low &lt;15 %&gt;." in page
    page = therapist.get(f"/p/{own_house.patient}/devices").text
    for words in ("In touch", "3 items waiting", "battery 15 %", "Connected"):
        assert words in page
    calm = home_status.Heartbeat(0, 0, 0.0, 0.1, (), ())
    home_status.keep(own_house.store, own_house.tenant, own_house.gateway, calm, NOW)
    assert "battery of the sensor" not in therapist.get(f"/p/{own_house.patient}").text
    assert "was so from" in therapist.get(f"/p/{own_house.patient}/devices").text


def test_the_record_grows(therapist: httpx.Client, own_house: House) -> None:
    path = f"/p/{own_house.patient}/record"
    page = therapist.get(path).text
    assert page.count("Recorded by") == 1
    assert "invented for tests" in page, "the basis of the device"
    typed = {
        "consent.how": "", "consent.from": "", "consent.ended": "2026-11-20", "plan.from": "2027-01-01",
        "plan.to": "2027-03-31", "device.setup_on": "2026-10-20", "device.basis": "K123456",
        "episode.discharged": "",
    }  # fmt: skip
    assert therapist.post(path, data=typed).headers["location"] == f"{path}?note=saved"
    page = therapist.get(path).text
    assert "20 November 2026" in page
    assert "31 March 2027" in page
    assert "K123456" in page
    for wrong, said in (
        ({"consent.how": "verbal"}, "how it was given and from when"),
        ({"plan.to": "2027-01-01", "plan.from": "2027-02-01"}, "on or after the day it begins"),
        ({"episode.discharged": "2020-01-01"}, "before the monitoring began"),
    ):
        bad = therapist.post(path, data=wrong)
        assert bad.status_code == 422
        assert said in bad.text
    assert "K123456" in therapist.get(path).text, "a field that was not sent stays"


def test_an_exercise_joins_the_plan_and_leaves_it(therapist: httpx.Client, own_house: House) -> None:
    path = f"/p/{own_house.patient}/plan"
    dose = {"exercise": "shoulder_press", "sets": "2", "amount": "8", "effective": "2026-11-23"}
    assert therapist.post(f"{path}/add", data=dose).status_code == 303
    assert "Shoulder press: 2 × 8" in therapist.get(f"/p/{own_house.patient}").text
    again = therapist.post(f"{path}/add", data=dose)
    assert again.status_code == 422
    assert "on the plan already" in again.text
    assert therapist.post(f"{path}/add", data=dose | {"exercise": "juggling"}).status_code == 422
    assert therapist.post(f"{path}/end", data=dose | {"effective": "2026-11-25"}).status_code == 303
    assert rows(own_house, "prescription WHERE exercise = 'shoulder_press'")[0]["valid_to"].day == 24
    assert therapist.post(f"{path}/add", data=dose | {"effective": "2026-11-25"}).status_code == 303
    assert therapist.post(f"{path}/end", data=dose | {"exercise": "squat"}).status_code == 404


def test_choices() -> None:
    words = dict(EXERCISE_CHOICES)
    assert words["shoulder_abduction"] == "Shoulder: arm raise to the side (shoulder abduction)"
    assert words["squat"] == "Knee: squat"
    assert len(set(PLACES)) == len(PLACES)
    assert len({enrolling.first_password() for _ in range(20)}) == 20
