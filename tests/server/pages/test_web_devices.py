"""Sensors put on, worn elsewhere, returned and taken back on the devices page; what the gateway is told, and says."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

import httpx
import pytest

from rtm_server import home_status
from rtm_server.home_status import Heartbeat, SensorStatus
from rtm_server.web.testing import NOW, PASSWORD, House, RecordedCommands
from rtm_signal.wire import Command


@pytest.fixture
def therapist(client: httpx.Client, own_house: House) -> httpx.Client:
    client.post("/sign-in", data={"email": own_house.therapist, "password": PASSWORD})
    return client


@pytest.fixture
def path(own_house: House) -> str:
    return f"/p/{own_house.patient}/devices"


@pytest.fixture
def sensor(own_house: House) -> UUID:
    """The one that the patient wears at the upper arm."""
    return worn(own_house)["upper_arm"][0]


def worn(house: House) -> dict[str, tuple[UUID, str | None]]:
    """Place -> (sensor, exercise) of what the patient wears."""
    with house.store.tenant_tx(house.tenant) as tx:
        found = tx.execute(
            "SELECT placement, sensor_id, exercise FROM assignment"
            " WHERE episode_id = %s AND (assigned_to IS NULL OR assigned_to > now())",
            (house.episode,),
        ).fetchall()
    return {each["placement"]: (each["sensor_id"], each["exercise"]) for each in found}


def undone(client: httpx.Client, answer: httpx.Response) -> httpx.Response:
    """Follow to the page and press Undo, as a browser would."""
    page = client.get(answer.headers["location"]).text
    (action,) = re.findall(r'action="([^"]+/undo)"', page)
    return client.post(action)


def test_a_sensor_is_worn_elsewhere_and_the_gateway_is_told(
    therapist: httpx.Client, own_house: House, path: str, sensor: UUID, commands: RecordedCommands
) -> None:
    change = {"placement": "wrist", "exercise": "pendulum"}
    moved = therapist.post(f"{path}/{sensor}/place", data=change)
    assert worn(own_house) == {"wrist": (sensor, "pendulum")}
    told = {"sensor": str(sensor), "profile": "homestretch", "serial": "HS0000"}
    assert commands.sent == [(own_house.gateway, Command("assign", {**told, **change}))]
    assert "Changed from now on." in therapist.get(moved.headers["location"]).text
    assert undone(therapist, moved).status_code == 303
    assert worn(own_house) == {"upper_arm": (sensor, None)}
    assert commands.sent[-1][1].args == {**told, "placement": "upper_arm", "exercise": None}
    assert therapist.post(f"{path}/{sensor}/place", data={"placement": "upper_arm"}).status_code == 303
    with own_house.store.tenant_tx(own_house.tenant) as tx:
        rows = tx.execute("SELECT 1 FROM assignment WHERE sensor_id = %s", (sensor,)).fetchall()
    assert len(rows) == 3, (
        "each change ends an assignment and begins the next; what changes nothing adds none"
    )


def test_returned_by_mistake_it_is_worn_again(
    therapist: httpx.Client, own_house: House, path: str, sensor: UUID, commands: RecordedCommands
) -> None:
    returned = therapist.post(f"{path}/{sensor}/return")
    assert worn(own_house) == {}
    gone = (own_house.gateway, Command("assign", {"sensor": str(sensor), "placement": None}))
    assert commands.sent == [gone]
    assert undone(therapist, returned).status_code == 303
    assert worn(own_house) == {"upper_arm": (sensor, None)}
    assert commands.sent[-1][1].args["placement"] == "upper_arm"


def test_one_more_sensor_and_back(
    therapist: httpx.Client, own_house: House, path: str, sensor: UUID, commands: RecordedCommands
) -> None:
    given = {
        "sensor.which": "new:homestretch", "sensor.place": "forearm", "sensor.serial": "HS7",
        "sensor.exercise": "pendulum", "home.gateway": str(own_house.gateway), "home.label": "",
    }  # fmt: skip
    added = therapist.post(path, data=given)
    other, exercise = worn(own_house)["forearm"]
    assert exercise == "pendulum"
    assert commands.sent[-1][1].args == {
        "sensor": str(other), "placement": "forearm", "profile": "homestretch", "serial": "HS7", "exercise": "pendulum",
    }  # fmt: skip
    assert 'exercise = "pendulum"' in re.sub("&#34;", '"', therapist.get(path).text), "in the settings too"
    taken = therapist.post(f"{path}/{other}/place", data={"placement": "upper_arm"})
    assert taken.status_code == 409
    assert "A sensor is worn there already" in taken.text
    assert undone(therapist, added).status_code == 303
    assert worn(own_house) == {"upper_arm": (sensor, None)}


def test_a_gateway_out_of_reach_is_told_again_later(
    therapist: httpx.Client, own_house: House, path: str, sensor: UUID, commands: RecordedCommands
) -> None:
    commands.down = True
    moved = therapist.post(f"{path}/{sensor}/place", data={"placement": "wrist"})
    page = therapist.get(moved.headers["location"]).text
    assert "The gateway cannot be told just now: tell it again below." in page
    assert worn(own_house) == {"wrist": (sensor, None)}, "the clinic's word stands"
    assert "note=untold" in therapist.post(f"{path}/{sensor}/tell").headers["location"]
    commands.down = False
    assert "note=told" in therapist.post(f"{path}/{sensor}/tell").headers["location"]
    assert [command.args["placement"] for _, command in commands.sent] == ["wrist"]


def test_what_the_gateway_has_not_confirmed_stands_there(
    therapist: httpx.Client, own_house: House, path: str, sensor: UUID
) -> None:
    def page(placement: str, *, connected: bool = True) -> str:
        status = SensorStatus(sensor, placement, connected, None)
        beat = Heartbeat(0, 0, 0.0, 0.0, (status,), ())
        home_status.keep(own_house.store, own_house.tenant, own_house.gateway, beat, NOW)
        return therapist.get(path).text

    assert "has not confirmed it yet" in therapist.get(path).text
    assert "Connected" in page("upper_arm")
    assert "Move it to wake it" in page("upper_arm", connected=False)
    assert "has not confirmed it yet" in page("wrist"), "the gateway still means another place"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"placement": "tail"}, 422),
        ({"placement": "wrist", "exercise": "deadlift"}, 422),
        ({"placement": "wrist", "patient": "x"}, 422),
        ({}, 422),
    ],
)
def test_a_change_that_is_none_changes_nothing(
    therapist: httpx.Client, own_house: House, path: str, sensor: UUID, commands: RecordedCommands,
    change: dict[str, str], status: int,
) -> None:  # fmt: skip
    assert therapist.post(f"{path}/{sensor}/place", data=change).status_code == status
    assert worn(own_house) == {"upper_arm": (sensor, None)}
    assert commands.sent == []


def test_anothers_sensor_is_unknown(
    therapist: httpx.Client, house: House, own_house: House, path: str, commands: RecordedCommands
) -> None:
    other = next(iter(set(own_house.patients.values()) - {own_house.patient}))
    with own_house.store.tenant_tx(own_house.tenant) as tx:
        row = tx.execute(
            "SELECT sensor_id FROM assignment JOIN episode USING (tenant_id, episode_id) WHERE patient_id = %s",
            (other,),
        ).fetchone()
    assert row is not None
    for each in (row["sensor_id"], worn(house)["upper_arm"][0], uuid4()):
        for what in ("return", "undo", "tell", "place"):
            answer = therapist.post(
                f"{path}/{each}/{what}", data={"placement": "wrist"} if what == "place" else {}
            )
            assert answer.status_code == 404, what
    assert commands.sent == []


def test_undo_is_refused_where_somebody_else_wears_it_by_now(
    therapist: httpx.Client, own_house: House, path: str, sensor: UUID
) -> None:
    returned = therapist.post(f"{path}/{sensor}/return")
    other = next(iter(set(own_house.patients.values()) - {own_house.patient}))
    given = {
        "sensor.which": str(sensor), "sensor.place": "head", "sensor.serial": "", "sensor.exercise": "",
        "home.gateway": str(own_house.gateway), "home.label": "",
    }  # fmt: skip
    assert therapist.post(f"/p/{other}/devices", data=given).status_code == 303
    refused = undone(therapist, returned)
    assert refused.status_code == 409
    assert "assigned already at that time" in refused.text
