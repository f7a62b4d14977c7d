"""The patient's own day: start, live count, stop, pain; and only their own."""

from __future__ import annotations

import json
import time
from uuid import UUID, uuid4

import httpx
import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from rtm_server.embedded_broker import EmbeddedBroker
from rtm_server.web.commands import start, stop
from rtm_server.web.errors import UnavailableError
from rtm_server.web.live import LiveHub, MqttLive, OpenSet, read_live
from rtm_server.web.testing import PASSWORD, House, RecordedCommands


@pytest.fixture
def patient(client: httpx.Client, own_house: House) -> httpx.Client:
    client.post("/sign-in", data={"email": own_house.patient_login, "password": PASSWORD})
    return client


def test_the_day_in_one_look(patient: httpx.Client) -> None:
    assert patient.get("/").headers["location"] == "/today"
    page = patient.get("/today").text
    for words in ("Good afternoon, Ruth", "0 of 3 done today", "Start", "not an emergency service"):
        assert words in page


def test_start_count_stop(
    patient: httpx.Client, own_house: House, hub: LiveHub, commands: RecordedCommands
) -> None:
    response = patient.post("/today/start", data={"exercise": "pendulum"})
    assert response.status_code == 303
    path = response.headers["location"]
    recording = UUID(path.rpartition("/")[2])
    assert commands.sent == [(own_house.gateway, start(recording, "pendulum"))]
    waiting = patient.get(path).text
    assert "Waiting for your sensor" in waiting
    assert '<meta http-equiv="refresh" content="5">' in waiting, "works without scripts"
    hub.heard(own_house.gateway, recording, "pendulum", 7)
    assert ">7</span>" in patient.get(path).text
    assert "Your set is running" in patient.get("/today").text
    again = patient.post("/today/start", data={"exercise": "pendulum"})
    assert again.headers["location"] == path, "one set at a time"
    assert patient.post(f"{path}/stop").headers["location"] == "/today?note=stopped"
    assert commands.sent[-1] == (own_house.gateway, stop(recording))
    hub.heard(own_house.gateway, recording, "pendulum", 8)  # the stop has not reached the gateway yet
    page = patient.get("/today?note=stopped").text
    assert "Your set is running" not in page
    assert "Set finished" in page
    assert "This set is finished" in patient.get(path).text
    following = patient.post("/today/start", data={"exercise": "pendulum"}).headers["location"]
    assert following not in {path, "/today"}, "the next set may begin at once"


def test_a_set_survives_a_restart_of_the_pages(
    patient: httpx.Client, own_house: House, hub: LiveHub, commands: RecordedCommands
) -> None:
    path = patient.post("/today/start", data={"exercise": "pendulum"}).headers["location"]
    recording = UUID(path.rpartition("/")[2])
    hub.closed(recording)  # as if a new process had never heard of it
    assert "Your set is running" in patient.get("/today").text
    assert patient.post("/today/start", data={"exercise": "pendulum"}).headers["location"] == path
    assert "Waiting for your sensor" in patient.get(path).text
    hub.closed(recording)
    assert patient.post(f"{path}/stop").status_code == 303
    assert commands.sent == [
        (own_house.gateway, start(recording, "pendulum")),
        (own_house.gateway, stop(recording)),
    ]
    assert "Your set is running" not in patient.get("/today").text
    assert patient.get(path).status_code == 404


def test_a_set_that_has_arrived_is_open_no_more(
    patient: httpx.Client, own_house: House, commands: RecordedCommands
) -> None:
    """The gateway closed it after idle minutes; the page was not there to stop it."""
    path = patient.post("/today/start", data={"exercise": "pendulum"}).headers["location"]
    recording = UUID(path.rpartition("/")[2])
    with own_house.store.tenant_tx(own_house.tenant) as tx:
        tx.execute(
            "INSERT INTO recording (tenant_id, recording_id, patient_id, episode_id, gateway_id, opened_at,"
            " closed_at, closed_by, revision, manifest, zone, simulated) VALUES (%s, %s, %s, %s, %s, now(), now(),"
            " 'idle', 1, '{}', 'UTC', false)",
            (own_house.tenant, recording, own_house.patient, own_house.episode, own_house.gateway),
        )
    assert "Your set is running" not in patient.get("/today").text
    again = patient.post("/today/start", data={"exercise": "pendulum"}).headers["location"]
    assert again != path
    assert [command.do for _, command in commands.sent] == ["start", "start"]


def test_a_set_that_could_not_begin_is_forgotten(patient: httpx.Client, commands: RecordedCommands) -> None:
    commands.down = True
    refused = patient.post("/today/start", data={"exercise": "pendulum"})
    assert refused.status_code == 503
    assert "Your set is running" not in refused.text
    commands.down = False
    assert patient.post("/today/start", data={"exercise": "pendulum"}).status_code == 303


def test_events_follow_count_and_angle(patient: httpx.Client, own_house: House, hub: LiveHub) -> None:
    path = patient.post("/today/start", data={"exercise": "pendulum"}).headers["location"]
    recording = UUID(path.rpartition("/")[2])
    seen: list[str] = []
    with patient.stream("GET", f"{path}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith(("event:", "data:")):
                seen.append(line)
            if line == 'data: {"count": null}':
                hub.heard(own_house.gateway, recording, "pendulum", 1)
            if line == 'data: {"count": 1}':
                hub.heard(own_house.gateway, recording, "pendulum", 2, 41.5)
            if line == 'data: {"angle_deg": 41.5, "words": "Tilt"}':
                hub.heard(own_house.gateway, recording, "pendulum", 2, None, "shoulder_flexion")
            if line == 'data: {"angle_deg": null, "words": "Shoulder angle"}':
                hub.heard(own_house.gateway, recording, "pendulum", 2, 17.0, "shoulder_flexion")
            if line == 'data: {"angle_deg": 17.0, "words": "Shoulder angle"}':
                break
    assert seen == [
        "event: waiting",
        'data: {"count": null}',
        "event: count",
        'data: {"count": 1}',
        "event: count",
        'data: {"count": 2}',
        "event: angle",
        'data: {"angle_deg": 41.5, "words": "Tilt"}',
        "event: angle",
        'data: {"angle_deg": null, "words": "Shoulder angle"}',
        "event: angle",
        'data: {"angle_deg": 17.0, "words": "Shoulder angle"}',
    ]


def test_a_stop_ends_the_streams(patient: httpx.Client, hub: LiveHub) -> None:
    path = patient.post("/today/start", data={"exercise": "pendulum"}).headers["location"]
    with patient.stream("GET", f"{path}/events") as stream:
        for line in stream.iter_lines():
            if line == "event: waiting":
                hub.end()
    assert hub.ending


def test_streams_are_counted(patient: httpx.Client, own_house: House, hub: LiveHub) -> None:
    path = patient.post("/today/start", data={"exercise": "pendulum"}).headers["location"]
    with own_house.store.tenant_tx(own_house.tenant) as tx:
        row = tx.execute(
            "SELECT user_id FROM app_user WHERE tenant_id = %s AND role = 'patient'", (own_house.tenant,)
        ).fetchone()
    assert row is not None
    for _ in range(5):
        assert hub.enter_stream(row["user_id"], 5)
    assert patient.get(f"{path}/events").status_code == 429
    for _ in range(5):
        hub.leave_stream(row["user_id"])
    with patient.stream("GET", f"{path}/events") as stream:
        assert stream.status_code == 200


def test_pain_is_kept_on_the_patients_day(patient: httpx.Client, own_house: House) -> None:
    assert patient.post("/today/pain", data={"value": "4"}).headers["location"] == "/today?note=pain"
    assert "You told us <strong>4</strong> today" in patient.get("/today").text
    for odd in ("11", "-1", "4.5", "NaN", "١٢", ""):
        assert patient.post("/today/pain", data={"value": odd}).status_code == 422, odd
    assert patient.post("/today/pain", data={"value": "4", "patient_id": str(uuid4())}).status_code == 422


def test_an_exercise_outside_the_plan_is_refused(patient: httpx.Client, commands: RecordedCommands) -> None:
    assert patient.post("/today/start", data={"exercise": "deadlift"}).status_code == 422
    assert commands.sent == []


def test_someone_elses_set_is_unknown(
    patient: httpx.Client, house: House, own_house: House, hub: LiveHub, commands: RecordedCommands
) -> None:
    other = next(iter(set(own_house.patients.values()) - {own_house.patient}))
    foreign, neighbour = uuid4(), uuid4()
    hub.opened(OpenSet(foreign, house.tenant, house.patient, house.gateway, "squat"))
    hub.opened(OpenSet(neighbour, own_house.tenant, other, uuid4(), "squat"))
    for recording in (foreign, neighbour, uuid4(), house.recording):
        assert patient.get(f"/today/set/{recording}").status_code == 404
        assert patient.get(f"/today/set/{recording}/events").status_code == 404
        assert patient.post(f"/today/set/{recording}/stop").status_code == 404
    assert commands.sent == []
    assert hub.set_of(foreign) is not None


def test_staff_have_no_day(client: httpx.Client, house: House) -> None:
    client.post("/sign-in", data={"email": house.therapist, "password": PASSWORD})
    assert client.get("/today").status_code == 403
    assert client.post("/today/pain", data={"value": "1"}).status_code == 403


GATEWAY, RECORDING = uuid4(), uuid4()


def test_read_live() -> None:
    message = {"recording": str(RECORDING), "exercise": "squat", "count": 3, "angle_deg": 12.5, "t": 1.0}
    named = {**message, "angle": "knee_flexion"}
    found = read_live(f"rtm/v1/{GATEWAY}/live", json.dumps(message).encode())
    assert found == (GATEWAY, RECORDING, "squat", 3, 12.5, None), "as earlier gateways say it"
    found = read_live(f"rtm/v1/{GATEWAY}/live", json.dumps(named).encode())
    assert found == (GATEWAY, RECORDING, "squat", 3, 12.5, "knee_flexion")
    for odd_name in (5, "", "<b>", "x" * 41, ["knee_flexion"]):
        odd_one = read_live(f"rtm/v1/{GATEWAY}/live", json.dumps({**message, "angle": odd_name}).encode())
        assert odd_one == (GATEWAY, RECORDING, "squat", 3, 12.5, None)
    for no_angle in (None, True, "12", 1e9):
        bare = read_live(f"rtm/v1/{GATEWAY}/live", json.dumps({**message, "angle_deg": no_angle}).encode())
        assert bare == (GATEWAY, RECORDING, "squat", 3, None, None), "it still counts"
    for odd in ({"count": -1}, {"count": True}, {"count": 1.5}, {"count": None}, {"recording": 5}):
        assert read_live(f"rtm/v1/{GATEWAY}/live", json.dumps({**message, **odd}).encode()) is None
    assert read_live("rtm/v1/x/live", json.dumps(message).encode()) is None


@given(st.binary(max_size=200), st.text(max_size=60))
def test_odd_live_messages_are_nothing(payload: bytes, topic: str) -> None:
    assert read_live(topic, payload) is None
    assert read_live(f"rtm/v1/{GATEWAY}/live", payload) is None


def test_the_hub_forgets_what_is_old() -> None:
    now = 0.0
    hub = LiveHub(lambda: now)
    hub.heard(GATEWAY, RECORDING, None, 5)
    homes = frozenset({GATEWAY})
    assert hub.running(uuid4(), uuid4(), homes) == RECORDING
    now = 11.0
    assert hub.running(uuid4(), uuid4(), homes) is None
    assert hub.count(GATEWAY, RECORDING) == 5


def test_a_stop_that_was_not_heard_comes_to_light() -> None:
    now = 0.0
    hub = LiveHub(lambda: now)
    homes = frozenset({GATEWAY})
    hub.heard(GATEWAY, RECORDING, None, 5)
    hub.closed(RECORDING)
    assert hub.stopped(RECORDING)
    now = 3.0
    hub.heard(GATEWAY, RECORDING, None, 6)
    assert hub.running(uuid4(), uuid4(), homes) is None
    now = 20.0
    hub.heard(GATEWAY, RECORDING, None, 9)
    assert hub.running(uuid4(), uuid4(), homes) == RECORDING, "the gateway goes on: stop can be pressed again"
    assert not hub.stopped(RECORDING)


def test_commands_and_counts_over_a_real_broker(broker: EmbeddedBroker) -> None:
    """Two pages' connections: what one publishes as a gateway would, the other hears."""
    hub = LiveHub()
    pages = MqttLive(broker.url, hub)
    with pytest.raises(UnavailableError):
        pages.send(GATEWAY, start(RECORDING, "squat"))
    heard: list[tuple[str, object]] = []
    home = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    parts = httpx.URL(broker.url)
    if parts.username:
        home.username_pw_set(parts.username, parts.password)
    home.on_message = lambda _c, _d, m: heard.append((m.topic, json.loads(m.payload)))
    home.on_connect = lambda client, *_: client.subscribe(f"rtm/v1/{GATEWAY}/cmd", qos=1)
    ready: list[bool] = []
    home.on_subscribe = lambda *_: ready.append(True)
    home.connect(parts.host, parts.port or 1883)
    home.loop_start()
    pages.open()
    try:
        deadline = time.monotonic() + 30
        while not (pages.connected and ready) and time.monotonic() < deadline:
            time.sleep(0.02)
        pages.send(GATEWAY, start(RECORDING, "squat"))
        pages.send(GATEWAY, stop(RECORDING))
        message = json.dumps({"recording": str(RECORDING), "exercise": "squat", "count": 4})
        while (len(heard) < 2 or hub.count(GATEWAY, RECORDING) != 4) and time.monotonic() < deadline:
            home.publish(f"rtm/v1/{GATEWAY}/live", message)
            time.sleep(0.05)
    finally:
        pages.close()
        home.disconnect()
        home.loop_stop()
    topic = f"rtm/v1/{GATEWAY}/cmd"
    assert heard == [
        (topic, {"do": "start", "recording": str(RECORDING), "exercise": "squat"}),
        (topic, {"do": "stop", "recording": str(RECORDING)}),
    ]
    assert hub.count(GATEWAY, RECORDING) == 4
