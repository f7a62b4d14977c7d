"""The clinic's `assign`: what it changes, what it leaves, and what it refuses in one sentence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtm_gateway.assignment import Assignment, AssignmentError
from rtm_gateway.home_warnings import HomeWarnings
from rtm_gateway.link_event import Event, LinkEvent
from rtm_gateway.outbox import Outbox
from rtm_gateway.settings import GatewaySettings, SensorSettings

ONE, TWO, NEW = UUID(int=1), UUID(int=2), UUID(int=3)
THIGH = SensorSettings(sensor=ONE, placement="left_thigh", address="C0:00:00:00:00:01", serial="A1")
SHANK = SensorSettings(sensor=TWO, placement="left_shank", address="C0:00:00:00:00:02")
HOME = Assignment((THIGH, SHANK), "squat")


def settings(*sensors: SensorSettings, exercise: str | None = "squat") -> GatewaySettings:
    return GatewaySettings(tenant=UUID(int=8), gateway=UUID(int=9), sensors=sensors, exercise=exercise)


def test_a_sensor_goes_to_another_place_and_keeps_who_it_is() -> None:
    after = HOME.changed({"sensor": str(ONE), "placement": "right_thigh"})
    assert after.sensors == (THIGH.model_copy(update={"placement": "right_thigh"}), SHANK)
    assert after.exercise == "squat"


def test_the_exercise_changes_with_it_or_alone() -> None:
    both = HOME.changed({"sensor": str(ONE), "placement": "right_thigh", "exercise": "bridge"})
    assert [each.exercise for each in both.sensors] == ["bridge", None], (
        "the other sensor may be somebody else's"
    )
    assert both.exercise == "squat", "the gateway's own, where a sensor has none"
    alone = both.changed({"sensor": str(ONE), "exercise": None})
    assert [each.exercise for each in alone.sensors] == [None, None]


def test_a_new_sensor_is_added_and_an_old_one_removed() -> None:
    told = {"sensor": str(NEW), "placement": "wrist", "profile": "polar-pmd", "name": "Polar H10"}
    added = HOME.changed(told)
    assert added.sensors == (*HOME.sensors, SensorSettings.model_validate(told))
    assert added.changed({"sensor": str(ONE), "placement": None}).sensors == (SHANK, added.sensors[2])


def test_another_device_is_not_bound_to_the_old_ones_number() -> None:
    swapped = HOME.changed({"sensor": str(ONE), "address": "C0:00:00:00:00:09"})
    assert swapped.sensors[0].serial is None
    told = HOME.changed({"sensor": str(ONE), "address": "C0:00:00:00:00:09", "serial": "B2"})
    assert told.sensors[0].serial == "B2"
    same = HOME.changed({"sensor": str(ONE), "address": "C0:00:00:00:00:01"})
    assert same == HOME


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({}, "sensor is missing"),
        ({"sensor": "nonsense", "placement": "wrist"}, "sensor is missing or not usable"),
        ({"sensor": str(NEW)}, "placement is missing or not usable"),
        ({"sensor": str(ONE), "placement": "Left Thigh!"}, "placement"),
        ({"sensor": str(ONE), "placement": 7}, "placement"),
        ({"sensor": str(NEW), "placement": None}, "not one of this home"),
        ({"sensor": str(ONE), "profile": "abacus"}, "no driver"),
        ({"sensor": str(ONE), "colour": "red"}, "not known: colour"),
        ({"sensor": str(ONE), "exercise": 3}, "exercise"),
        ({"sensor": str(ONE), "address": "c0:00:00:00:00:02"}, "the same address"),
    ],
)
def test_what_cannot_be_is_refused(command: dict[str, Any], words: str) -> None:
    with pytest.raises(AssignmentError, match=words):
        HOME.changed(command)


VALUES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just(str(ONE)) | st.just("wrist")
)
KEYS = st.sampled_from(["sensor", "placement", "profile", "address", "name", "serial", "exercise"])


@given(st.dictionaries(KEYS, VALUES))
def test_any_command_is_carried_out_or_refused_and_can_be_kept(command: dict[str, Any]) -> None:
    try:
        after = HOME.changed(command)
    except AssignmentError:
        return
    own = settings(*HOME.sensors)
    assert Assignment.of(own, after.state(own)) == after


def test_warnings_of_a_sensor_that_goes_end_with_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", bytes(32), limit_bytes=1 << 24)
    warnings = HomeWarnings(HOME.sensors, outbox)
    for sensor in HOME.sensors:
        warnings.on_event(sensor, LinkEvent(Event.BATTERY, "", 0, 0.1))
    warnings.assign((SHANK,))
    assert [each["sensor"] for each in warnings.current()] == [str(TWO)]
    outbox.close()


def test_what_an_earlier_release_kept_still_holds() -> None:
    """It kept one exercise of the gateway, and its digest knew no exercise of a sensor."""
    own = settings(THIGH, SHANK)
    kept = HOME.changed({"sensor": str(ONE), "placement": "right_thigh"})
    said = [[each.model_dump(mode="json", exclude={"exercise"}) for each in own.sensors], own.exercise]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    sensors = [each.model_dump(mode="json", exclude_none=True) for each in kept.sensors]
    state = json.dumps({"settings": digest, "sensors": sensors, "exercise": "bridge"}).encode()
    assert Assignment.of(own, state) == Assignment(kept.sensors, "bridge")


def test_it_holds_over_a_restart_until_the_settings_name_other_sensors() -> None:
    own = settings(THIGH, SHANK)
    assert Assignment.of(own, None) == HOME
    moved = HOME.changed({"sensor": str(ONE), "placement": "right_thigh"})
    assert Assignment.of(own, moved.state(own)) == moved
    anew = settings(THIGH)
    assert Assignment.of(anew, moved.state(own)) == Assignment((THIGH,), "squat")
    other = settings(THIGH, SHANK, exercise="bridge")
    assert Assignment.of(other, moved.state(own)).exercise == "bridge"
