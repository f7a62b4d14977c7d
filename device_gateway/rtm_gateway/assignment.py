"""Which sensor is worn where, and for what: from the settings, and changed by the clinic's `assign` command.

Pure. What the clinic assigned is kept in the outbox and goes on after a restart, until the settings name other
sensors: who sets the sensors up anew means what is written then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError

from rtm_gateway.drivers import DRIVERS
from rtm_gateway.settings import GatewaySettings, SensorSettings, twice

STATE: Final = "assignment"
"""The outbox's name for it."""
_WHO: Final = frozenset({"profile", "address", "name"})
"""What makes a sensor another device: a serial number seen before belongs to the old one."""
_KNOWN: Final = frozenset({"sensor", "placement", "serial", "exercise"}) | _WHO


class AssignmentError(ValueError):
    """An assignment that cannot be carried out; the message is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The sensors of this home, and the exercise of recordings for which neither Start nor a sensor names one."""

    sensors: tuple[SensorSettings, ...]
    exercise: str | None = None

    @staticmethod
    def of(settings: GatewaySettings, kept: bytes | None) -> Assignment:
        """The one in force. kept: what `state` gave."""
        if kept is not None:
            raw = json.loads(kept)
            if raw["settings"] == _digest(settings):
                sensors = tuple(SensorSettings(**each) for each in raw["sensors"])
                return Assignment(sensors, raw["exercise"])
        return Assignment(settings.sensors, settings.exercise)

    def state(self, settings: GatewaySettings) -> bytes:
        """To be kept under STATE; it holds as long as these settings do."""
        sensors = [each.model_dump(mode="json", exclude_none=True) for each in self.sensors]
        kept = {"settings": _digest(settings), "sensors": sensors, "exercise": self.exercise}
        return json.dumps(kept).encode()

    def changed(self, command: Mapping[str, Any]) -> Assignment:
        """With one sensor added, worn elsewhere, or (placement null) removed. Raises AssignmentError.

        What the command does not name stays. An exercise of null means none of its own: the gateway's is used.
        """
        unknown = sorted(command.keys() - _KNOWN)
        if unknown:
            raise AssignmentError(f"the assignment carries a field that is not known: {unknown[0][:40]}")
        fields = dict(command)
        known = {str(each.sensor): each for each in self.sensors}
        before = known.get(str(fields.get("sensor", "")).lower())
        removed = "placement" in fields and fields["placement"] is None
        if removed and before is None:
            raise AssignmentError("the sensor to be removed is not one of this home")
        sensors = tuple(each for each in self.sensors if each is not before)
        if not removed:
            after = _merged(before, fields)
            if after.profile not in DRIVERS:
                raise AssignmentError("there is no driver of this profile")
            place = len(sensors) if before is None else self.sensors.index(before)
            sensors = (*sensors[:place], after, *sensors[place:])
        what = twice(sensors)
        if what is not None:
            raise AssignmentError(f"two sensors would have the same {what}")
        return replace(self, sensors=sensors)


def _merged(before: SensorSettings | None, fields: Mapping[str, Any]) -> SensorSettings:
    old = {} if before is None else before.model_dump(mode="json")
    if any(key in fields and fields[key] != old.get(key) for key in _WHO):
        old["serial"] = None
    try:
        return SensorSettings(**{**old, **fields})
    except (ValidationError, TypeError) as error:
        if isinstance(error, ValidationError):
            where = error.errors(include_url=False, include_input=False)[0]["loc"]
            raise AssignmentError(f"the assignment's {where[0]} is missing or not usable") from error
        raise AssignmentError("the assignment is not usable") from error


def _digest(settings: GatewaySettings) -> str:
    """An exercise of its own that a sensor does not have is left out: an earlier release knew of none."""
    sensors = [each.model_dump(mode="json") for each in settings.sensors]
    said = [
        [
            {key: value for key, value in each.items() if (key, value) != ("exercise", None)}
            for each in sensors
        ],
        settings.exercise,
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
