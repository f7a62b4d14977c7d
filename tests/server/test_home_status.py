"""What gateways say of their homes: from the status topic into the tables that the therapist's page reads."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtm_server import enrol, home_status, mqtt
from rtm_server.embedded_broker import EmbeddedBroker
from rtm_server.home_status import Heartbeat, read_heartbeat
from rtm_server.ingest import Ingest
from rtm_server.settings import Settings
from rtm_server.testing import Clinic, make_clinic
from rtm_signal.wire import WireError, status_topic

NOW = datetime(2026, 4, 5, 12, 0, tzinfo=UTC)
LOW = "The battery of the sensor on your wrist is low."


def said(*warnings: dict[str, Any], **changes: Any) -> bytes:
    """A heartbeat as a gateway sends it."""
    outbox = {"items": 3, "bytes": 50, "limit_bytes": 200, "in_flight": 1, "refused": 2, "lag_s": 4.5}
    message = {"online": True, "at": 1.0, "outbox": outbox, "sensors": [], "warnings": list(warnings)}
    return json.dumps(message | changes).encode()


def battery(sensor: UUID | None) -> dict[str, Any]:
    return {"sensor": None if sensor is None else str(sensor), "kind": "battery", "what": LOW}


def keep(clinic: Clinic, payload: bytes, now: datetime, gateway: UUID | None = None) -> None:
    home_status.keep(clinic.store, clinic.tenant, gateway or clinic.gateway, read_heartbeat(payload), now)


def warnings(clinic: Clinic, since: datetime = NOW - timedelta(days=1)) -> list[home_status.HomeWarning]:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        return home_status.warnings_of(tx, clinic.tenant, clinic.episode, since)


def homes(clinic: Clinic, now: datetime) -> list[home_status.HomeStatus]:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        return home_status.homes_of(tx, clinic.tenant, clinic.episode, now)


@pytest.fixture
def home(clinic: Clinic) -> Clinic:
    """A clinic whose sensor has been worn since before NOW."""
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        tx.execute("UPDATE assignment SET assigned_from = %s", (NOW - timedelta(days=30),))
    return clinic


def test_the_last_heartbeat_is_what_the_page_reads(home: Clinic) -> None:
    sensor = {
        "sensor": str(home.sensor), "placement": "wrist", "connected": True, "battery": 0.5, "samples": 7,
    }  # fmt: skip
    other = sensor | {"sensor": str(uuid4())}  # of somebody else in that home
    keep(home, said(sensors=[]), NOW - timedelta(minutes=2))
    keep(home, said(sensors=[sensor, other]), NOW)
    (found,) = homes(home, NOW + timedelta(minutes=1))
    assert found.gateway == home.gateway
    assert found.heard_at == NOW
    assert found.online
    assert (found.waiting_items, found.refused_items, found.lag_s) == (3, 2, 4.5)
    assert found.full_share == 0.25
    assert found.sensors == (home_status.SensorStatus(home.sensor, "wrist", True, 0.5),)


def test_a_gateway_is_offline_when_it_says_so_and_when_it_says_nothing(home: Clinic) -> None:
    assert homes(home, NOW) == []
    keep(home, said(), NOW)
    assert homes(home, NOW)[0].online
    assert not homes(home, NOW + home_status.SILENT_AFTER)[0].online
    keep(home, b'{"online":false}', NOW + timedelta(seconds=1))
    (found,) = homes(home, NOW + timedelta(seconds=2))
    assert not found.online
    assert found.heard_at == NOW
    keep(home, said(), NOW + timedelta(seconds=3))
    assert homes(home, NOW + timedelta(seconds=3))[0].online


def test_a_warning_stands_from_the_heartbeat_that_tells_it_to_the_first_that_does_not(home: Clinic) -> None:
    for minute in range(3):
        keep(home, said(battery(home.sensor)), NOW + timedelta(minutes=minute))
    (standing,) = warnings(home)
    assert (standing.kind, standing.what, standing.sensor) == ("battery", LOW, home.sensor)
    assert (standing.began_at, standing.ended_at) == (NOW, None)
    keep(home, b'{"online":false}', NOW + timedelta(minutes=3))  # says nothing of it
    assert warnings(home)[0].ended_at is None
    keep(home, said(), NOW + timedelta(minutes=4))
    keep(home, said(battery(home.sensor)), NOW + timedelta(minutes=5))
    assert [(each.began_at, each.ended_at) for each in warnings(home)] == [
        (NOW + timedelta(minutes=5), None),
        (NOW, NOW + timedelta(minutes=4)),
    ]
    keep(home, said(), NOW + timedelta(minutes=6))
    assert len(warnings(home, NOW + timedelta(minutes=5))) == 1, "what ended before is history"


def test_warnings_of_one_kind_about_several_sensors_stand_side_by_side(home: Clinic) -> None:
    swapped = {"sensor": None, "kind": "worn", "what": "The sensors seem to be swapped."}
    keep(home, said(battery(home.sensor), swapped, battery(None)), NOW)
    keep(home, said(battery(home.sensor), swapped, battery(None)), NOW)
    assert {(each.sensor, each.kind) for each in warnings(home)} == {
        (home.sensor, "battery"), (None, "worn"), (None, "battery"),
    }  # fmt: skip


def test_a_warning_about_somebody_elses_sensor_in_the_same_home_is_not_shown(home: Clinic) -> None:
    keep(home, said(battery(uuid4())), NOW)
    assert warnings(home) == []


def test_a_warning_from_before_or_after_the_sensor_was_worn_is_not_shown(home: Clinic) -> None:
    keep(home, said(battery(home.sensor)), NOW - timedelta(days=40))
    keep(home, said(), NOW - timedelta(days=39))
    with home.store.tenant_tx(home.tenant) as tx:
        enrol.return_sensor(tx, home.tenant, home.sensor, NOW)
    keep(home, said(battery(home.sensor)), NOW + timedelta(days=1))
    assert warnings(home, NOW - timedelta(days=100)) == []
    assert homes(home, NOW + timedelta(days=1)) == []


def test_another_clinic_sees_nothing(home: Clinic) -> None:
    other = make_clinic(home.store)
    keep(home, said(battery(home.sensor)), NOW)
    with home.store.tenant_tx(other.tenant) as tx:
        assert home_status.warnings_of(tx, home.tenant, home.episode, NOW - timedelta(days=1)) == []
        assert home_status.homes_of(tx, home.tenant, home.episode, NOW) == []


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"[]", b"null", b"\xff", b"{}", b'{"online": true}', b"[" * 5000, b'{"online": true}' + b" " * (1 << 17),
        said(sensors={}), said(warnings=["x"]), said(outbox={"items": True}), said(sensors=[{"sensor": "x"}]),
    ],
)  # fmt: skip
def test_what_is_no_status_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        read_heartbeat(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["outbox", "sensors", "warnings", "online"]), JSON)
def test_a_status_is_read_or_refused_and_never_more(field: str, value: object) -> None:
    try:
        found = read_heartbeat(said(**{field: value}))
    except WireError:
        return
    assert found is None or isinstance(found, Heartbeat)


def test_a_text_that_a_page_should_not_show_loses_what_cannot_be_printed(home: Clinic) -> None:
    keep(home, said({"sensor": None, "kind": "worn", "what": "a\0\x1b[31m\u202eb" + "c" * 999}), NOW)
    (found,) = warnings(home)
    assert found.what.startswith("a[31mb")
    assert len(found.what) == home_status.LONGEST


def test_the_ingest_worker_keeps_what_gateways_say(
    home: Clinic, broker: EmbeddedBroker, settings: Settings
) -> None:
    ready = threading.Event()
    worker = Ingest(settings, home.store, broker.url, ready.set)
    thread = threading.Thread(target=worker.run)
    thread.start()
    client = mqtt.connect(broker.url, f"home-{uuid4()}")
    client.loop_start()
    try:
        assert ready.wait(60)
        deadline = time.monotonic() + 60
        while not warnings(home) and time.monotonic() < deadline:
            client.publish(status_topic(uuid4()), said(battery(None)), qos=1)  # of a stranger
            client.publish(status_topic(home.gateway), b"nonsense", qos=1)
            client.publish(status_topic(home.gateway), said(battery(home.sensor)), qos=1)
            time.sleep(0.2)
        assert [each.kind for each in warnings(home)] == ["battery"]
    finally:
        client.disconnect()
        client.loop_stop()
        worker.stop()
        thread.join(30)
    assert not thread.is_alive()
