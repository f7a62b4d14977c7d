"""Writes the list of sensors into the settings file and leaves every other line of it as it was."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from rtm_gateway.settings import SensorSettings

_TABLE: Final = re.compile(r"\s*\[\[\s*[\"']?sensors[\"']?\s*\]\]")
_HEADER: Final = re.compile(r"\s*\[")
_KEY: Final = re.compile(r"\s*[\"']?sensors[\"']?\s*=")
_MODE: Final = 0o600
"""The broker's password may stand in the same file."""


class SensorFileError(ValueError):
    """The settings file cannot be changed; the message is one plain sentence."""


def write_sensors(path: Path, sensors: Iterable[SensorSettings]) -> None:
    """Put these sensors into the file instead of those in it, at once or not at all.

    Comments and other keys stay. Raises SensorFileError where the file is not TOML, or cannot be written.
    """
    wanted = [each.model_dump(mode="json", exclude_none=True) for each in sensors]
    try:
        old = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        old = ""
    except (OSError, UnicodeDecodeError) as error:
        raise SensorFileError(f"{path.name} cannot be read.") from error
    new = with_sensors(old, wanted, path.name)
    try:
        _replace(path, new)
    except OSError as error:
        raise SensorFileError(f"{path.name} cannot be written: {error.strerror}.") from error


def with_sensors(text: str, sensors: list[dict[str, Any]], name: str = "rtm.toml") -> str:
    """The text with this list of sensors; checked by reading it again. Raises SensorFileError."""
    before = _read(text, name)
    kept = "\n".join(_without(text.splitlines())).rstrip()
    tables = "\n\n".join(_table(sensor) for sensor in sensors)
    new = "\n\n".join(part for part in (kept, tables) if part) + "\n"
    expected = {key: value for key, value in before.items() if key != "sensors"}
    if sensors:
        expected["sensors"] = sensors
    if _read(new, name) != expected:
        raise SensorFileError(f"The sensors in {name} are written in a way that cannot be changed safely.")
    return new


def _read(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SensorFileError(f"{name} is not valid TOML: {error}.") from error


def _without(lines: list[str]) -> list[str]:
    """The lines that do not say which sensors there are."""
    kept: list[str] = []
    top, at = True, 0
    while at < len(lines):
        if _TABLE.match(lines[at]):
            top, at = False, at + 1
            while at < len(lines) and not _HEADER.match(lines[at]):
                at += 1
        elif top and _KEY.match(lines[at]):
            at += _extent(lines[at:])
        else:
            top = top and not _HEADER.match(lines[at])
            kept.append(lines[at])
            at += 1
    return kept


def _extent(lines: list[str]) -> int:
    """How many lines one `key = value` takes: the fewest that are TOML by themselves."""
    for count in range(1, len(lines) + 1):
        try:
            tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        return count
    return 1


def _table(sensor: dict[str, Any]) -> str:
    """Values are text: a JSON string is a TOML basic string, save that TOML also escapes DEL."""
    rows = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in sensor.items()]
    return "\n".join(["[[sensors]]", *rows]).replace("\x7f", "\\u007f")


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else _MODE
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(mode)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
