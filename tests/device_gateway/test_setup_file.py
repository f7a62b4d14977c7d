"""The settings file after the set-up: new sensors, everything else as it was."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtm_gateway.sensor_file import SensorFileError, with_sensors, write_sensors
from rtm_gateway.settings import SensorSettings

WRIST = SensorSettings(
    sensor=UUID(int=1), placement="left_wrist", profile="polar-pmd", address="C0:00:00:00:00:01", serial="A1"
)
HEAD = '# our home\ntenant = "x" # keep me\noutbox_limit_mb = 7\n'
LISTS = (
    "",
    "sensors = []\n",
    'sensors = [{sensor = "a", placement = "thigh"}, # old ]\n  {sensor = "b", placement = "[x]"},\n]\n',
    '[[sensors]]\nsensor = "a"\nplacement = "thigh"\n\n[[sensors]]\nsensor = "b"\nplacement = "shank"\n',
    '"sensors" = [\n]\n',
)


@pytest.mark.parametrize("old", LISTS)
@pytest.mark.parametrize("tail", ["", '\n[other]\nsensors = "not these"\n'])
def test_only_the_sensors_change(tmp_path: Path, old: str, tail: str) -> None:
    path = tmp_path / "rtm.toml"
    path.write_text(HEAD + old + tail)
    path.chmod(0o640)
    write_sensors(path, [WRIST])
    text = path.read_text()
    assert "# our home" in text
    assert "# keep me" in text
    found = tomllib.loads(text)
    assert [SensorSettings(**each) for each in found.pop("sensors")] == [WRIST]
    before = tomllib.loads(HEAD + tail)
    assert found == before
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["rtm.toml"], "no draft is left"


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "rtm.toml"
    write_sensors(path, [WRIST])
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ["tenant = ", "[sensors]\na = 1\n", 'a = """\n[[sensors]]\n"""\n', "sensors.x = 1\n"]
)
def test_what_cannot_be_changed_safely_is_left(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rtm.toml"
    path.write_text(text)
    with pytest.raises(SensorFileError, match=r"rtm\.toml"):
        write_sensors(path, [WRIST])
    assert path.read_text() == text


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.fixed_dictionaries({"sensor": _TEXT, "placement": _TEXT}), max_size=3))
def test_any_text_survives(sensors: list[dict[str, Any]]) -> None:
    once = with_sensors(HEAD, sensors)
    assert tomllib.loads(once).get("sensors", []) == sensors
    assert with_sensors(once, sensors) == once, "twice is once"
